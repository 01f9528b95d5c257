"""Test that the service stores its answers as predictions in the database if the setting `keep_predictions` is on.

A database that is slow or not available must neither delay an answer nor make the answer fail.
"""

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, insert, select

from thumblab_core.database.schema import migrate
from thumblab_core.database.tables import channels, prediction_candidates, predictions
from thumblab_core.images import decode
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_core.predictions import KeptCandidate, KeptPrediction
from thumblab_core.settings import Settings
from thumblab_serving.loading import kept_predictions
from thumblab_serving.loading.kept_predictions import KeeperState, PredictionKeeper

NOWHERE = "postgresql://nobody:secret-password@127.0.0.1:1/nothing"
TITLE = "I tested every phone under $200"
PREDICTION = KeptPrediction(
    uuid.UUID(int=1), datetime(2026, 11, 1, tzinfo=UTC), "r1", None, "tech", "A title", "clear", 0.8, "model",
    "new_channels",
    (KeptCandidate(1, "a" * 64, 1, 50.0, 0.8, 1), KeptCandidate(2, "b" * 64, 2, 40.0, 0.2, 2)),
)  # fmt: skip


def keeping(lab: Any, url: str) -> Settings:
    return lab.settings.model_copy(update={"keep_predictions": True, "database_url": SecretStr(url)})


def numbered(number: int, **changed: Any) -> KeptPrediction:
    return replace(PREDICTION, prediction_id=uuid.UUID(int=number), **changed)


def rows(url: str, table: Any, *order: Any) -> list[Any]:
    engine = create_engine(url)
    with engine.connect() as connection:
        read = list(connection.execute(select(table).order_by(*order)))
    engine.dispose()
    return read


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counted(service: Any) -> dict[str, float]:
    """Return the values of the service's metric `thumblab_predictions_total`, by their label `outcome`."""
    text = service.client.get("/metrics").text
    return {
        outcome: float(value)
        for outcome, value in re.findall(r'^thumblab_predictions_total\{outcome="(\w+)"\} (\S+)', text, re.MULTILINE)
    }


@pytest.fixture(scope="module")
def url(migrated_database: Callable[[], str]) -> str:
    return migrated_database()


@pytest.fixture(scope="module")
def kept_service(lab: Any, run: Callable[..., Any], url: str) -> Iterator[Any]:
    with run(keeping(lab, url)) as running:
        yield running


def test_each_answer_is_kept_with_hashes_and_claims_of_its_candidates(
    kept_service: Any, url: str, draw: Callable[..., bytes]
) -> None:
    before = datetime.now(UTC)
    images = [draw(seed) for seed in (1, 2, 3)]
    answer = kept_service.score(images[0], b"no picture", *images[1:], channel_id="UCown", title=TITLE)
    kept_service.score(images[0])
    wait_until(lambda: kept_service.health()["predictions"]["kept"] == 2)
    assert kept_service.health()["predictions"] == {
        "state": "fine",
        "kept": 2,
        "lost": 0,
        "waiting": 0,
        "reason": None,
    }
    assert counted(kept_service) == {"kept": 2, "lost": 0}
    # When the service started, it also scored pictures to warm up. The answer for these pictures is not kept, so there
    # are exactly two predictions.
    first, alone = rows(url, predictions, predictions.c.scored_at)
    assert before <= first.scored_at <= datetime.now(UTC)
    assert (first.model_release, first.channel_id) == (answer["releases"]["model"], "UCown")
    assert (first.niche, first.title, first.knowledge) == ("tech", TITLE, "future")
    assert (first.ordered_by, alone.ordered_by) == ("model", "model")
    assert (first.verdict, first.confidence) == (answer["verdict"], pytest.approx(answer["confidence"]))
    assert (alone.channel_id, alone.knowledge, alone.verdict) == (None, "new_channels", "only_one")
    candidates = [
        row
        for row in rows(url, prediction_candidates, prediction_candidates.c.position)
        if row.prediction_id == first.prediction_id
    ]
    assert [row.position for row in candidates] == [1, 3, 4]
    for row, data in zip(candidates, images, strict=True):
        answered = answer["thumbnails"][row.position - 1]
        assert row.sha256 == hashlib.sha256(data).hexdigest()
        assert row.phash == perceptual_hash(decode(data).pixels)
        assert (row.score, row.rank) == (pytest.approx(answered["score"]), answered["rank"])
        assert row.win_probability == pytest.approx(answered["win_probability"])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("@handle", None),
        ("Nobody", None),
        ("A title of no channel", None),
        ("Kept channel", "kept-1"),
        ("kept-1", "kept-1"),
        ("UC" + "z" * 22, "UC" + "z" * 22),
    ],
)
def test_a_prediction_names_its_channel_only_by_an_id(
    kept_service: Any, url: str, draw: Callable[..., bytes], given: str, kept: str | None
) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(channels.delete())
        connection.execute(insert(channels), [{"channel_id": "kept-1", "title": "Kept channel"}])
    engine.dispose()
    before = kept_service.health()["predictions"]["kept"]
    kept_service.score(draw(1), draw(2), channel_id=given)
    wait_until(lambda: kept_service.health()["predictions"]["kept"] > before)
    assert rows(url, predictions, predictions.c.scored_at)[-1].channel_id == kept


def test_by_default_nothing_is_kept(service: Any, draw: Callable[..., bytes]) -> None:
    service.score(draw(1), draw(2))
    assert service.health()["predictions"] == {"state": "off", "kept": 0, "lost": 0, "waiting": 0, "reason": None}
    assert counted(service) == {}


@pytest.mark.slow
def test_answers_come_while_the_database_is_away_and_are_kept_once_it_is_ready(
    lab: Any,
    run: Callable[..., Any],
    draw: Callable[..., bytes],
    new_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_predictions, "_RETRY_S", 0.1)
    fresh = new_database()
    with run(keeping(lab, fresh)) as service:
        assert service.score(draw(1), draw(2))["verdict"] is not None
        wait_until(lambda: service.health()["predictions"]["state"] == "failed")
        state = service.health()["predictions"]
        assert (state["kept"], state["lost"], state["waiting"]) == (0, 0, 1)
        assert state["reason"] == "the database could not answer (UndefinedTable); run `thumblab db migrate`"
        migrate(fresh)
        wait_until(lambda: service.health()["predictions"]["kept"] == 1)
        assert service.health()["predictions"]["state"] == "fine"
    assert len(rows(fresh, prediction_candidates)) == 2


def test_lost_predictions_without_a_database_are_counted_and_no_secret_is_shown(tmp_path: Path) -> None:
    reported: dict[str, int] = {"kept": 0, "lost": 0}
    settings = Settings(_env_file=None, data_dir=tmp_path, database_url=SecretStr(NOWHERE))
    keeper = PredictionKeeper(settings)
    keeper.report_to(lambda outcome, count: reported.update({outcome: reported[outcome] + count}))
    begun = time.monotonic()
    for number in range(1_005):
        keeper.keep(numbered(number))
    assert time.monotonic() - begun < 30
    assert keeper.state().lost == 5
    wait_until(lambda: keeper.state().failure == "the database cannot be reached")
    keeper.close()
    assert keeper.state() == KeeperState(0, 1_005, 0, "the database cannot be reached")
    assert reported == {"kept": 0, "lost": 1_005}
    keeper.keep(numbered(1))
    assert keeper.state().lost == 1_006


def test_a_lab_whose_database_does_not_run_is_named_as_the_reason(tmp_path: Path) -> None:
    keeper = PredictionKeeper(Settings(_env_file=None, data_dir=tmp_path))
    keeper.keep(numbered(1))
    wait_until(lambda: keeper.state().failure is not None)
    keeper.close()
    assert keeper.state().failure == "the database does not run; start the lab with `thumblab up`"


def test_a_prediction_that_the_database_refuses_does_not_hold_up_the_others(
    migrated_database: Callable[[], str], tmp_path: Path
) -> None:
    url = migrated_database()
    keeper = PredictionKeeper(Settings(_env_file=None, data_dir=tmp_path, database_url=SecretStr(url)))
    bad = (numbered(4, knowledge="everything"), numbered(5, title="a \0"), numbered(6, title="a \ud800"))
    for prediction in (numbered(1), *bad, numbered(3), numbered(3)):
        keeper.keep(prediction)
    wait_until(lambda: keeper.state().waiting == 0)
    assert (keeper.state().kept, keeper.state().lost) == (3, 3)
    keeper.close()
    # The keeper is the part of the service that stores predictions. The test gave prediction 3 to the keeper twice, but
    # the database must contain this prediction once. A keeper writes a prediction again if it loses the connection
    # before the database confirms the write.
    assert [row.prediction_id.int for row in rows(url, predictions, predictions.c.prediction_id)] == [1, 3]


def test_waiting_predictions_are_written_before_the_service_stops(
    migrated_database: Callable[[], str], tmp_path: Path
) -> None:
    url = migrated_database()
    keeper = PredictionKeeper(Settings(_env_file=None, data_dir=tmp_path, database_url=SecretStr(url)))
    for number in range(250):
        keeper.keep(numbered(number, scored_at=PREDICTION.scored_at + timedelta(seconds=number)))
    keeper.close()
    assert keeper.state() == KeeperState(250, 0, 0, None)
    assert len(rows(url, predictions)) == 250
