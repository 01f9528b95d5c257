"""Test the field `test_plan` of an answer.

The plan contains the impressions that an experiment with two candidates needs, and the two candidates to test.
"""

import base64
import io
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from leaks import SECRETS
from PIL import Image
from sqlalchemy import Engine, create_engine, insert, update

from thumblab_core.database.tables import channels, video_reach, videos
from thumblab_core.experiments.planning import impressions_per_variant
from thumblab_core.keys.named_keys import NamedKeys

CHANNEL = "UC" + "a" * 22
Draw = Callable[..., bytes]


def reencoded(data: bytes) -> bytes:
    """Return the picture compressed again as JPEG. The result looks the same, but its bytes differ."""
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).save(file, "JPEG", quality=60)
    return file.getvalue()


def test_the_plan_names_the_best_candidate_and_the_candidate_with_the_least_certain_outcome(
    service: Any, draw: Draw
) -> None:
    answer = service.score(*(draw(n) for n in range(4)))
    plan = answer["test_plan"]
    assert (plan["click_through_rate"], plan["click_through_rate_of"], plan["lift"]) == (0.05, "assumed", 0.1)
    assert plan["impressions_per_variant"] == 31_234
    assert (plan["power"], plan["alpha"], plan["advice"]) == (0.8, 0.05, None)
    by_chance = sorted(answer["thumbnails"], key=lambda one: -one["win_probability"])
    best, second = by_chance[:2]
    pair = plan["pair"]
    assert (pair["first"], pair["second"]) == (answer["winner"], second["id"])
    odds = best["win_probability"] / second["win_probability"]
    assert pair["win_probability"] == pytest.approx(odds / (1 + odds), abs=1e-4)
    assert 0 < pair["information"] <= 1


def test_candidates_that_look_the_same_are_named_and_not_proposed(service: Any, draw: Draw) -> None:
    two = service.score(draw(1), reencoded(draw(1)))["test_plan"]
    assert (two["pair"], len(two["too_alike"])) == (None, 1)
    assert {two["too_alike"][0]["first"], two["too_alike"][0]["second"]} == {"p0.jpg", "p1.jpg"}
    assert two["too_alike"][0]["bits"] <= 6
    assert two["advice"].startswith("All candidates are too alike.")
    three = service.score(draw(1), reencoded(draw(1)), draw(2))["test_plan"]
    assert len(three["too_alike"]) == 1
    assert "p2.jpg" in (three["pair"]["first"], three["pair"]["second"])


def test_a_model_without_proven_skill_chooses_no_pair_and_the_plan_says_how_many_impressions(
    new_lab: Any, run: Any, draw: Draw
) -> None:
    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model(evaluated={"skills": {"new_channels": (0.5, 0.4, 0.6)}}))
    with run(lab.settings) as service:
        answer = service.score(draw(1), draw(2), draw(3))
    plan = answer["test_plan"]
    assert (answer["verdict"], plan["pair"], plan["impressions_per_variant"]) == ("no_skill", None, 31_234)
    assert plan["advice"].startswith("The order of the model is not used, because its skill is not proven.")


def test_there_is_no_plan_for_fewer_than_two_pictures(service: Any, draw: Draw) -> None:
    assert service.score(draw(1))["test_plan"] is None
    assert service.score(draw(1), b"no picture")["test_plan"] is None


def put_reach(engine: Engine, ctr: float, impressions: int) -> None:
    """Store a channel with one video, and the video's click-through rate and impressions from YouTube Studio."""
    now = datetime(2026, 11, 20, tzinfo=UTC)
    with engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=CHANNEL, title="Alpha"))
        row = {"niche": "tech", "title": "t", "tags": [], "source": "youtube", "published_at": now, "refreshed_at": now}
        connection.execute(insert(videos).values(video_id="video_aaaaa", channel_id=CHANNEL, **row))
        reach = {"video_id": "video_aaaaa", "source": "studio", "day": date(2026, 11, 1), "imported_at": now}
        connection.execute(insert(video_reach).values(impressions=impressions, click_through_rate=ctr, **reach))


@pytest.fixture(scope="module")
def rated(
    lab_at: Any, run: Any, migrated_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A running service whose database has a channel with a usual rate of 8 %. `engine` connects to the database."""
    url = migrated_database()
    engine = create_engine(url)
    put_reach(engine, 0.08, 5_000)
    lab = lab_at(tmp_path_factory.mktemp("rated"), database_url=url)
    lab.promote(lab.model())
    lab.promote(lab.index())
    with run(lab.settings) as service:
        service.engine = engine
        yield service
    engine.dispose()


def test_the_plan_uses_the_usual_rate_of_the_channel(rated: Any, draw: Draw) -> None:
    plan = rated.score(draw(1), draw(2), channel_id=CHANNEL)["test_plan"]
    assert (plan["click_through_rate"], plan["click_through_rate_of"]) == (pytest.approx(0.08), "channel")
    assert plan["assumed_because"] is None
    assert plan["impressions_per_variant"] == impressions_per_variant(plan["click_through_rate"], 0.1)
    other = rated.score(draw(1), draw(2), channel_id="UC" + "b" * 22)["test_plan"]
    assert (other["click_through_rate"], other["click_through_rate_of"]) == (0.05, "assumed")
    assert other["assumed_because"] == "the lab knows fewer than 1,000 impressions of the channel"
    assert rated.score(draw(1), draw(2))["test_plan"]["assumed_because"] == "the request names no channel"


def test_the_usual_rate_of_a_channel_is_used_only_for_the_key_to_which_the_channel_belongs(
    rated: Any, draw: Draw
) -> None:
    """Request a plan with three keys: the key of the channel's owner, a key of another owner, and an admin key of the
    lab.

    Each key requests the plan in a single request and in a batch.
    """
    keys = NamedKeys(rated.app.state.settings)
    headers = {name: {"X-API-Key": keys.add(name, ["score"])} for name in ("alice", "bob")}
    headers["boss"] = {"X-API-Key": keys.add("boss", ["score", "admin"])}
    thumbnails = [{"id": str(n), "image_base64": base64.b64encode(draw(n)).decode()} for n in (1, 2)]
    item = {"title": "t", "channel_id": "Alpha", "thumbnails": thumbnails}

    def rates(name: str) -> list[tuple[str, str | None]]:
        given = {"headers": headers[name]}
        answers = [rated.client.post("/v1/score", json=item, **given).json()]
        batch = rated.client.post("/v1/batches", json={"items": [{"id": "a", **item}]}, **given).json()["id"]
        deadline = time.monotonic() + 60
        while rated.client.get(f"/v1/batches/{batch}", **given).json()["state"] != "done":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        answers += [rated.client.get(f"/v1/batches/{batch}/results", **given).json()["answer"]]
        plans = [answer["test_plan"] for answer in answers]
        return [(plan["click_through_rate_of"], plan["assumed_because"]) for plan in plans]

    private = "the click-through rates of a channel are used only for the API key to which the channel belongs"
    assert rates("bob") == [("assumed", private)] * 2, "Bob's key must not get the rates of the lab's channel"
    [owner] = [key.owner for key in keys.all() if key.name == "alice"]
    with rated.engine.begin() as connection:
        connection.execute(update(channels).values(owner=owner))
    assert rates("bob") == [("assumed", private)] * 2
    assert rates("alice") == rates("boss") == [("channel", None)] * 2


def test_an_answer_lacks_only_the_plan_if_the_database_never_answers(new_lab: Any, run: Any, draw: Draw) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lab = new_lab(database_url=f"postgresql://somebody:{SECRETS[-1]}@127.0.0.1:{silent.getsockname()[1]}/lab")
        lab.promote(lab.model())
        lab.promote(lab.index())
        with run(lab.settings) as service:
            without = service.score(draw(1), draw(2))
            assert without["test_plan"]["click_through_rate_of"] == "assumed"
            for patience in (6.0, 2.0):
                start = time.monotonic()
                answer = service.score(draw(1), draw(2), channel_id=CHANNEL)
                assert time.monotonic() - start < patience
                assert answer["test_plan"] is None
                assert (answer["winner"], answer["verdict"]) == (without["winner"], without["verdict"])
                assert not any("database" in sentence for sentence in answer["degraded"])
