"""Tests of the commands `thumblab experiment`.

The commands run in the process of the tests. No other test file uses the lab of these commands.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from served_model import publish_model
from sqlalchemy import create_engine, delete, insert
from sqlalchemy.dialects import postgresql

from thumblab_cli.commands import score
from thumblab_cli.main import cli
from thumblab_cli.printing import tables
from thumblab_core.database.tables import channels, experiments, video_reach, videos
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import settings

Shell = Callable[..., Result]
CHANNEL = "UC" + "a" * 22


@pytest.fixture
def shell(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A function that runs `thumblab experiment` with the given arguments.

    The lab has the channel Alpha with one video, and no experiments at first.
    """
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    engine, now = create_engine(environment["THUMBLAB_DATABASE_URL"]), datetime.now(UTC)
    with engine.begin() as connection:
        for table in (experiments, video_reach):
            connection.execute(delete(table))
        row = {"channel_id": CHANNEL, "title": "Alpha \x1b[2J"}
        connection.execute(postgresql.insert(channels).values(**row).on_conflict_do_nothing())
        facts = {
            "niche": "tech",
            "title": "t",
            "tags": [],
            "source": "youtube",
            "published_at": now,
            "refreshed_at": now,
        }
        video = postgresql.insert(videos).values(video_id="video_aaaaa", channel_id=CHANNEL, **facts)
        connection.execute(video.on_conflict_do_nothing())
    engine.dispose()

    def run(*arguments: object) -> Result:
        settings.cache_clear()
        return CliRunner().invoke(cli, ["experiment", *map(str, arguments)])

    yield run
    settings.cache_clear()


def add(pictures: list[Path], *more: object) -> tuple[object, ...]:
    """Return the arguments with which `thumblab experiment` adds an experiment whose variants show `pictures`.

    `more` are further arguments. Without further arguments, the outcome of the experiment is inconclusive.
    """
    chosen = [argument for path in pictures for argument in ("--picture", path)]
    facts = ("--channel", CHANNEL, "--video", "video_aaaaa", "--started", "2026-11-01")
    return ("add", *facts, *(more or ("--outcome", "inconclusive")), *chosen)


def test_an_experiment_is_added_listed_changed_and_removed(shell: Shell, pictures: list[Path]) -> None:
    shares = ("--share", "46.1", "--share", "53.9", "--impressions", "1000", "--impressions", "1100")
    done = shell(*add(pictures[:2], "--outcome", "winner", *shares, "--title", "Both", "--json"))
    assert (done.exit_code, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    number = report["experiment_id"]
    assert (report["state"], report["winner"], report["note"], report["started_on"]) == ("new", 2, "", "2026-11-01")
    assert [variant["impressions"] for variant in report["variants"]] == [1_000, 1_100]
    assert [variant["title"] for variant in report["variants"]] == ["Both", "Both"]
    listed = shell("list").stdout
    assert "winner: variant 2" in listed
    assert "46.1 %, 53.9 %" in listed
    assert "\x1b" not in listed
    assert shell(*add(pictures)).stdout == f"Experiment {number} is changed.\n"
    assert shell(*add(pictures)).stdout == f"Experiment {number} is unchanged.\n"
    (one,) = json.loads(shell("list", "--channel", CHANNEL, "--json").stdout)
    assert (one["experiment_id"], one["experiment"]["outcome"]) == (number, "inconclusive")
    assert shell("remove", number).stdout == f"Experiment {number} is removed.\n"
    assert shell("list").stdout.startswith("No experiment is stored")
    assert shell("list", "--json").stdout == "[]\n"
    unknown = shell("list", "--channel", "\udc80")
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (1, 1)
    again = shell("remove", number)
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)


def test_a_video_id_may_begin_with_a_hyphen(shell: Shell) -> None:
    titles = ("--title", "One", "--title", "Two", "--outcome", "inconclusive")
    done = shell("add", "--channel", CHANNEL, "--video", "-hi_dddddd1", "--started", "2026-11-01", *titles)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "-hi_dddddd1" in shell("list").stdout


def test_an_id_that_no_experiment_can_have_is_refused(shell: Shell) -> None:
    for number in ("99999999999", "0", "x"):
        assert shell("remove", number).exit_code == 2


def test_a_winner_against_the_shares_is_noted(shell: Shell, pictures: list[Path]) -> None:
    done = shell(*add(pictures[:2], "--outcome", "winner", "--winner", "1", "--share", "40", "--share", "60"))
    assert done.exit_code == 0
    assert "note: variant 1 won, but variant 2 has the largest share" in done.stdout


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--outcome", "winner"), "not known which variant won"),
        (("--outcome", "inconclusive", "--share", "50"), "--share is given 1 times for 2 variants"),
        (("--outcome", "inconclusive", "--title", "1", "--title", "2", "--title", "3"), "--title is given 3 times"),
        (("--outcome", "inconclusive", "--ended", "2026-10-01"), "before it started"),
        (("--outcome", "inconclusive", "--ended", "2999-10-01"), "is in the future"),
        (("--outcome", "inconclusive", "--channel", "@me\x1b[2J"), "set THUMBLAB_YOUTUBE_API_KEY"),
        (("--outcome", "inconclusive", "--channel", "Nobody\x1b[2J"), "knows no channel called"),
        (("--outcome", "inconclusive", "--channel", "\udc80"), "holds bytes that are not text"),
    ],
)
def test_an_experiment_that_cannot_be_added_gives_one_line_on_stderr(
    shell: Shell, pictures: list[Path], more: tuple[str, ...], sentence: str
) -> None:
    done = shell(*add(pictures[:2], *more))
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("thumblab: ")
    assert sentence in done.stderr
    assert "\x1b" not in done.stderr


HEADER = "channel,video_id,started_on,outcome,picture_1,picture_2\n"


def test_a_table_is_imported_and_each_bad_row_is_named_with_file_and_line(shell: Shell, pictures: list[Path]) -> None:
    table = pictures[0].parent / "tests.csv"
    rows = [
        f"{CHANNEL},video_aaaaa,2026-11-01,inconclusive,a.jpg,b.jpg",
        "Nobody\x1b,video_bbbbb,2026-11-01,x,a.jpg,b.jpg",
    ]
    table.write_text(HEADER + "\n".join(rows))
    done = shell("import", table)
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{table} line 3: skipped: the lab knows no channel called 'Nobody\\x1b'; give its id" in done.stdout
    assert "1 of 2 experiments stored (1 new, 0 changed, 0 unchanged), 1 skipped" in done.stdout
    assert "\x1b" not in done.stdout
    again = shell("import", table, "--json")
    report = json.loads(again.stdout)
    assert (again.exit_code, report["stored"], report["unchanged"], report["problems"][0]["line"]) == (0, 1, 1, 3)


def test_a_list_has_a_limit_and_says_how_many_experiments_there_are(shell: Shell) -> None:
    titles = ("--title", "One", "--title", "Two", "--outcome", "inconclusive")
    for day in (1, 2, 3):
        shell("add", "--channel", CHANNEL, "--video", "video_aaaaa", "--started", f"2026-11-0{day}", *titles)
    two = shell("list", "--limit", "2")
    assert two.stdout.count("video_aaaaa") == 2
    assert ("2026-11-03" in two.stdout, "2026-11-01" in two.stdout) == (True, False)
    assert two.stderr == "2 of 3 experiments are listed; --limit 3 lists all of them.\n"
    assert len(json.loads(shell("list", "--json").stdout)) == 3
    one = shell("list", "--json", "--limit", "1")
    assert len(json.loads(one.stdout)) == 1
    assert one.stderr.startswith("1 of 3 experiments are listed")
    assert shell("list", "--limit", "3").stderr == ""
    assert shell("list", "--limit", "0").exit_code == 2


def test_an_import_prints_no_more_notes_and_problems_than_its_limit(shell: Shell, pictures: list[Path]) -> None:
    table = pictures[0].parent / "tests.csv"
    unknown = [f"note_{number}" for number in range(60)]
    good = f"{CHANNEL},video_aaaaa,2026-11-01,inconclusive,a.jpg,b.jpg\n"
    table.write_text(f"{HEADER.strip()},{','.join(unknown)}\n{good}" + good.replace(CHANNEL, "Nobody") * 60)
    usual = shell("import", table)
    assert (usual.stdout.count("is not used"), usual.stdout.count(": skipped: ")) == (50, 50)
    assert "and 10 more notes; --limit 60 lists all of them" in usual.stdout
    assert "and 10 more problems; --limit 60 lists all of them" in usual.stdout
    three = shell("import", table, "--limit", "3")
    assert (three.stdout.count("is not used"), three.stdout.count(": skipped: ")) == (3, 3)
    assert len(json.loads(shell("import", table, "--json").stdout)["remarks"]) == 60


def test_a_long_import_prints_progress_lines_without_a_terminal(
    shell: Shell, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pictures[0].parent / "tests.csv"
    table.write_text(HEADER + f"{CHANNEL},video_aaaaa,2026-11-01,inconclusive,a.jpg,b.jpg\n")
    monkeypatch.setattr(tables, "_LINE_SECONDS", 3_600.0)
    assert shell("import", table).stderr == ""
    monkeypatch.setattr(tables, "_LINE_SECONDS", 0.0)
    done = shell("import", table)
    assert "importing experiments: 1 of 1\n" in done.stderr
    assert "importing experiments" not in done.stdout


def test_an_import_that_stores_nothing_fails_after_it_named_every_row(shell: Shell, pictures: list[Path]) -> None:
    table = pictures[0].parent / "tests.csv"
    table.write_text(HEADER + "Nobody,video_aaaaa,2026-11-01,inconclusive,a.jpg,b.jpg\n" * 2)
    done = shell("import", table)
    assert done.exit_code == 1
    assert done.stdout.count("skipped: the lab knows no channel") == 2
    assert "none of the 2 experiments" in done.stderr
    absent = shell("import", pictures[0].parent / "absent.csv")
    assert (absent.exit_code, absent.stdout, absent.stderr.count("\n")) == (1, "", 1)


def test_a_report_counts_outcomes_and_says_that_no_model_is_served(shell: Shell, pictures: list[Path]) -> None:
    assert shell("report").stdout.startswith("No experiment is stored")
    shell(*add(pictures[:2]))
    done = shell("report")
    assert done.exit_code == 0
    assert "No ranking model is served" in done.stdout
    (report,) = json.loads(shell("report", "--json").stdout)
    assert (report["experiments"], report["inconclusive"], report["agreement"]) == (1, 1, None)


def test_a_plan_uses_the_usual_rate_of_the_channel(
    shell: Shell, environment: dict[str, str], pictures: list[Path]
) -> None:
    without = shell("plan", *pictures[:2], "--channel", CHANNEL)
    assert (
        "a click-through rate of 5.00 % (assumed, because the lab knows fewer than 1,000 impressions" in without.stdout
    )
    engine = create_engine(environment["THUMBLAB_DATABASE_URL"])
    with engine.begin() as connection:
        row = {"video_id": "video_aaaaa", "source": "studio", "day": date(2026, 11, 1), "impressions": 20_000}
        row |= {"click_through_rate": 0.04, "imported_at": datetime.now(UTC)}
        connection.execute(insert(video_reach).values(**row))
    engine.dispose()
    done = shell("plan", *pictures[:2], "--channel", CHANNEL, "--lift", "20")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "a click-through rate of 4.00 % (of 20,000 impressions of 1 videos)" in done.stdout
    assert "a lift of 20 % (to 4.80 %) with 80 % probability needs 10," in done.stdout
    assert done.stdout.endswith("Test the two candidates against each other.\n")
    given = json.loads(shell("plan", *pictures[:2], "--channel", CHANNEL, "--ctr", "6", "--json").stdout)
    assert (given["ctr"], given["ctr_source"], given["lift"], given["pair"]) == (0.06, "as given", 0.1, None)


def test_a_plan_opens_a_lab_only_if_it_needs_one(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", "mysql://nowhere")
    settings.cache_clear()
    done = CliRunner().invoke(cli, ["experiment", "plan", *map(str, pictures[:2])])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "(assumed, because neither --channel nor --ctr is given)" in done.stdout


def test_the_model_chooses_which_two_pictures_to_test(
    shell: Shell, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def answer(*arguments: Any) -> tuple[list[float | None], bool]:
        asked.append(arguments[1:])
        return [0.2, 0.5, 0.3], True

    monkeypatch.setattr(score, "win_probabilities", answer)
    done = shell("plan", *pictures, "--title", "A title", "--niche", "tech", "--channel", CHANNEL)
    assert (done.exit_code, done.stderr) == (0, "")
    a, b, c = map(str, pictures)
    assert f"Test {b} against {c}: the model says that the first image wins with 63 %" in done.stdout
    assert asked == [([a, b, c], "A title", "tech", CHANNEL)]
    half = shell("plan", *pictures, "--title", "A title")
    assert (half.exit_code, half.stderr.count("\n")) == (1, 1)
    assert "give both --title and --niche" in half.stderr


def test_a_plan_with_a_title_needs_a_served_model_and_names_two_pictures(
    shell: Shell, environment: dict[str, str], pictures: list[Path]
) -> None:
    refused = shell("plan", *pictures, "--title", "A title", "--niche", "tech")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("thumblab: no ranking model is served yet")
    publish_model(ReleaseStore(Path(environment["THUMBLAB_DATA_DIR"]) / "releases"))
    done = shell("plan", *pictures, "--title", "A title", "--niche", "tech", "--json")
    assert done.exit_code == 0
    # The served model gives every thumbnail the same score, so each picture of the pair wins with a probability of 0.5.
    pair = {"first": 0, "second": 1, "win_probability": 0.5, "information": 1.0}
    assert json.loads(done.stdout)["pair"] == pytest.approx(pair)
    report = shell("report")
    assert (report.exit_code, "No experiment is stored" in report.stdout) == (0, True)
    shell(*add(pictures[:2]))
    assert "The lab has no vectors" in shell("report").stdout
    (text,) = json.loads(shell("report", "--json").stdout)
    assert text["agreement"] == {"compared": 0, "agreed": 0.0, "by_chance": 0.0}


def test_a_model_without_proven_skill_chooses_no_pictures_to_test_and_the_plan_says_so(
    shell: Shell, environment: dict[str, str], pictures: list[Path]
) -> None:
    publish_model(ReleaseStore(Path(environment["THUMBLAB_DATA_DIR"]) / "releases"), proven=False)
    done = shell("plan", *pictures, "--title", "A title", "--niche", "tech")
    assert done.exit_code == 0
    assert done.stderr.startswith("note: the model was not shown to order such pictures better than chance")
    assert "The order of the model is not used, because its skill is not proven. Test any two" in done.stdout
