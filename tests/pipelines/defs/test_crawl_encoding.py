"""Test which niche the sensor `crawl_encoding` chooses for the next run.

One run, which is called a turn, encodes videos that the crawl has found for one niche.
"""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from thumblab_pipelines.defs.collection import encode_crawl
from thumblab_pipelines.lab import Lab


@pytest.fixture
def tick(open_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that evaluates the sensor once.

    The arguments are how many videos of each niche wait to be encoded, and the sensor's cursor. The function returns
    the niche of the requested run, and the new cursor.
    """
    lab = open_lab()

    class Opened(dg.ConfigurableResource):  # type: ignore[type-arg]
        def open(self) -> Lab:
            return lab

    def evaluate(waiting: dict[str, int], cursor: str | None = None) -> tuple[str | None, str | None]:
        monkeypatch.setattr(encode_crawl, "waiting_for_encoder", lambda _lab, niche: waiting.get(niche, 0))
        monkeypatch.setattr(encode_crawl, "waiting_for_meter", lambda _lab, _niche: 0)
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance, cursor=cursor, resources={"lab": Opened()})
            [asked] = list(encode_crawl.crawl_encoding(context))
            return getattr(asked, "partition_key", None), context.cursor

    return evaluate


def test_the_niche_with_the_most_waiting_videos_gets_the_turn(tick: Callable[..., Any]) -> None:
    assert tick({"tech": 10, "news": 300})[0] == "news"
    assert tick({})[0] is None


def test_a_niche_whose_turn_changed_nothing_lets_the_others_come_first(tick: Callable[..., Any]) -> None:
    waiting = {"tech": 600, "news": 500}
    first, cursor = tick(waiting)
    second, cursor = tick(waiting, cursor)
    third, cursor = tick(waiting, cursor)
    assert (first, second, third) == ("tech", "news", None)
    assert tick({"tech": 600, "news": 436}, cursor)[0] == "news"
    an_hour_ago = json.dumps({niche: [count, hour - 1] for niche, (count, hour) in json.loads(cursor).items()})
    assert tick(waiting, an_hour_ago)[0] == "tech"
