"""Test `thumblab score FOLDER|TABLE.csv --out FILE` with channels that are named by @handles.

The tests check how the command finds the channel of each @handle.
"""

import csv

import pytest

from demo.catalogues.synthetic import synthetic_catalogue
from demo.emulator import Emulator
from demo.faults import hang_up, html_error, refusal


@pytest.fixture(scope="module")
def catalogue():
    return synthetic_catalogue(videos=30)


@pytest.fixture
def emulator(catalogue):
    with Emulator(catalogue, key="key") as emulator:
        yield emulator


@pytest.fixture
def score(within, service, emulator, migrated_database, tmp_path, draw):
    """Return a function that scores a table with a row for each of the given channels.

    The function returns the result of the command, and the rows of the results file.
    """
    settings = {
        "THUMBLAB_SERVING_URL": service.url,
        "THUMBLAB_DATABASE_URL": migrated_database(),
        "THUMBLAB_YOUTUBE_ENDPOINT": emulator.endpoint,
        "THUMBLAB_YOUTUBE_API_KEY": "key",
        "THUMBLAB_YOUTUBE_FIRST_WAIT_S": "0",
    }
    (tmp_path / "a.jpg").write_bytes(draw(1))

    def run(*channels):
        table, results = tmp_path / "videos.csv", tmp_path / "results.csv"
        table.write_text("\n".join(["thumbnail,title,niche,channel", *(f"a.jpg,T,tech,{c}" for c in channels)]))
        done = within(table, "--out", results, **settings)
        with results.open(newline="", encoding="utf-8") as file:
            return done, list(csv.DictReader(file))

    return run


@pytest.mark.slow
def test_youtube_is_asked_once_for_the_handle_of_many_pictures(score, emulator, catalogue):
    known = next(iter(catalogue.channels.values())).handle
    done, rows = score(*[f"@{known}", "@nobody"] * 3)
    assert done.exit_code == 1
    assert [bool(row["error"]) for row in rows] == [False, True] * 3
    assert "YouTube knows no channel '@nobody'" in rows[1]["error"]
    assert sum(emulator.counts.calls.values()) == 2


@pytest.mark.parametrize("fault", [html_error(502), hang_up()])
def test_a_failure_of_youtube_ends_the_run_and_the_next_run_continues(score, emulator, catalogue, fault):
    known = next(iter(catalogue.channels.values())).handle
    emulator.inject(fault, times=None)
    done, rows = score("", f"@{known}", "UCown")
    assert done.exit_code == 1
    assert [(row["group"], row["error"]) for row in rows] == [("line 2", "")]
    emulator.heal()
    done, rows = score("", f"@{known}", "UCown")
    assert done.exit_code == 0, done.stderr
    assert "Scored 2 requests, 1 were done before." in done.stdout
    assert [(row["group"], row["error"]) for row in rows] == [("line 2", ""), ("line 3", ""), ("line 4", "")]


def test_a_spent_quota_ends_the_run_and_is_not_reported_as_a_picture_error(score, emulator):
    emulator.inject(refusal(403, "quotaExceeded"))
    done, rows = score("", "@anyone", "UCown")
    assert done.exit_code == 1
    assert "YouTube says that today's units of its quota are spent" in done.stderr
    assert [(row["group"], row["error"]) for row in rows] == [("line 2", "")]
