"""Test the field `test_plan` of an answer.

The plan says how many impressions an experiment with two candidates needs, and which two candidates to test.
"""

import io
import socket
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from leaks import SECRETS
from PIL import Image
from sqlalchemy import Engine, create_engine, insert

from thumblab_core.database.tables import channels, video_reach, videos
from thumblab_core.experiments.planning import impressions_per_variant

CHANNEL = "UC" + "a" * 22
Draw = Callable[..., bytes]


def reencoded(data: bytes) -> bytes:
    """Return the picture compressed again as JPEG. It looks the same, but its bytes differ."""
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).save(file, "JPEG", quality=60)
    return file.getvalue()


def test_the_plan_names_the_best_candidate_and_the_one_with_the_least_certain_outcome(service: Any, draw: Draw) -> None:
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


def test_the_plan_uses_the_usual_rate_of_the_channel(
    new_lab: Any, run: Any, draw: Draw, migrated_database: Callable[[], str]
) -> None:
    url = migrated_database()
    engine = create_engine(url)
    put_reach(engine, 0.08, 5_000)
    engine.dispose()
    lab = new_lab(database_url=url)
    lab.promote(lab.model())
    lab.promote(lab.index())
    with run(lab.settings) as service:
        plan = service.score(draw(1), draw(2), channel_id=CHANNEL)["test_plan"]
        assert (plan["click_through_rate"], plan["click_through_rate_of"]) == (pytest.approx(0.08), "channel")
        assert plan["impressions_per_variant"] == impressions_per_variant(plan["click_through_rate"], 0.1)
        other = service.score(draw(1), draw(2), channel_id="UC" + "b" * 22)["test_plan"]
        assert (other["click_through_rate"], other["click_through_rate_of"]) == (0.05, "assumed")


def test_a_database_that_never_answers_costs_the_plan_and_nothing_else(new_lab: Any, run: Any, draw: Draw) -> None:
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
