"""Tests of the commands `thumblab predictions list` and `purge`.

The commands run in the process of the tests. No other test file uses the lab of these commands.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, delete, insert

from thumblab_cli.main import cli
from thumblab_core.database.predictions import insert_predictions
from thumblab_core.database.tables import experiments, prediction_outcomes
from thumblab_core.predictions import KeptCandidate, KeptPrediction
from thumblab_core.settings import settings

Shell = Callable[..., Result]
CHANNEL = "UC" + "a" * 22


def prediction(number: int, day: int, **facts: Any) -> KeptPrediction:
    candidates = (KeptCandidate(1, "a" * 64, 1, 80.0, 0.65, 1), KeptCandidate(2, "b" * 64, 2, None, None, None))
    values: dict[str, Any] = {
        "prediction_id": uuid.UUID(int=number),
        "scored_at": datetime(2026, 11, day, 12, tzinfo=UTC),
        "model_release": "r1",
        "channel_id": CHANNEL,
        "niche": "tech",
        "title": "[b] \x1b[2J",
        "verdict": "too_close_to_call",
        "confidence": 0.55,
        "ordered_by": "model",
        "knowledge": "future",
    }
    return KeptPrediction(**(values | facts), candidates=candidates)


@pytest.fixture
def shell(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A function that runs `thumblab predictions` with the given arguments. At first, the lab has no predictions.

    `answer` is what a person types if the command asks for confirmation.
    """
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object, answer: str | None = None) -> Result:
        settings.cache_clear()
        return CliRunner().invoke(cli, ["predictions", *map(str, arguments)], input=answer)

    assert run("purge", "--yes").exit_code == 0
    yield run
    settings.cache_clear()


@pytest.fixture
def put(shell: Shell, environment: dict[str, str]) -> Callable[..., None]:
    """A function that stores predictions in the lab of `shell`."""

    def store(*kept: KeptPrediction) -> None:
        engine = create_engine(environment["THUMBLAB_DATABASE_URL"])
        with engine.begin() as connection:
            insert_predictions(connection, kept)
        engine.dispose()

    return store


def test_an_empty_list_says_how_to_keep_predictions(shell: Shell) -> None:
    listed = shell("list")
    assert listed.exit_code == 0
    assert listed.output == (
        "No prediction is kept. The scoring service keeps its answers if it was started with "
        "THUMBLAB_KEEP_PREDICTIONS=true.\n"
    )
    assert json.loads(shell("list", "--json").output) == {"total": 0, "predictions": []}


def test_the_newest_predictions_are_listed_first_and_no_title_controls_the_terminal(
    shell: Shell, put: Callable[..., None]
) -> None:
    put(prediction(1, 1), prediction(2, 2), prediction(3, 3, channel_id="UCown", title="Another"))
    lines = shell("list", "--most", 2).output.splitlines()
    rows = [line for line in lines if "2026-11" in line]
    assert ["2026-11-03" in rows[0], "UCown" in rows[0], "2026-11-02" in rows[1], len(rows)] == [True, True, True, 2]
    assert "[b] \N{REPLACEMENT CHARACTER}[2J" in rows[1]
    assert "65 %, -" in rows[1]
    assert lines[-1] == "2 of 3 predictions are shown; --most shows more."
    listed = json.loads(shell("list", "--json", "--channel", "UCown").output)
    assert listed["total"] == 1
    (one,) = listed["predictions"]
    assert (one["title"], one["outcomes"]) == ("Another", [])
    assert one["candidates"][0]["win_probability"] == 0.65


def test_the_outcome_of_a_candidate_is_listed(
    shell: Shell, put: Callable[..., None], environment: dict[str, str]
) -> None:
    put(prediction(1, 1))
    engine = create_engine(environment["THUMBLAB_DATABASE_URL"])
    with engine.begin() as connection:
        connection.execute(delete(experiments))
        # A trigger of the database checks that each experiment has variants. This test needs no variants, so the next
        # line switches off all triggers for this transaction.
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        facts = {
            "channel_id": CHANNEL,
            "video_id": "video_aaaaa",
            "started_on": datetime(2026, 11, 1, tzinfo=UTC).date(),
        }
        new = insert(experiments).values(**facts, outcome="winner", winner=1, changed_at=datetime.now(UTC))
        number = connection.execute(new.returning(experiments.c.experiment_id)).scalar_one()
        row = {"prediction_id": uuid.UUID(int=1), "position": 1, "experiment_id": number, "variant": 1}
        connection.execute(insert(prediction_outcomes).values(**row, result="won", joined_at=datetime.now(UTC)))
    engine.dispose()
    assert "1 won" in shell("list").output
    ((outcome,),) = [one["outcomes"] for one in json.loads(shell("list", "--json").output)["predictions"]]
    assert (outcome["position"], outcome["result"], outcome["experiment_id"]) == (1, "won", number)


def test_purge_asks_first_and_deletes_the_chosen_predictions(shell: Shell, put: Callable[..., None]) -> None:
    put(prediction(1, 1), prediction(2, 2), prediction(3, 3, channel_id="UCown"))
    refused = shell("purge", answer="n\n")
    assert (refused.exit_code, "Delete all kept predictions?" in refused.output) == (1, True)
    assert json.loads(shell("purge", "--before", "2026-11-02", "--yes", "--json").output) == {"deleted": 1}
    assert shell("purge", "--channel", "UCown", answer="y\n").output.endswith("1 predictions are deleted.\n")
    assert json.loads(shell("list", "--json").output)["total"] == 1
    assert shell("purge", "--yes").output == "1 predictions are deleted.\n"


def test_an_unknown_channel_is_an_error_that_says_what_to_give(shell: Shell) -> None:
    unknown = shell("list", "--channel", "Nobody")
    assert unknown.exit_code == 1
    assert "the lab knows no channel called 'Nobody'" in unknown.output
