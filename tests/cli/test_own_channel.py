"""Tests of `thumblab import-studio` and `thumblab import-reach`."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from demo.catalogues.synthetic import synthetic_catalogue
from demo.emulator import Emulator
from demo.reporting import ReachReport, reach_csv
from thumblab_cli.main import cli
from thumblab_core.settings import settings

HEADER = "Content,Video title,Video publish time,Impressions,Impressions click-through rate (%)\n"
GOOD = HEADER + 'Total,,,9,9\nvideo_aaaaa,"One, two","Jan 1, 2026",1000,5.25\n -ideo_bbbbb,T,,"1,234",0\n'
DAY = date(2026, 11, 1)


@dataclass
class Shell:
    """A runner of `thumblab` commands. All commands of a runner use the same data folder and the same database."""

    folder: Path
    database: str

    @property
    def lab(self) -> dict[str, str]:
        """The environment variables with which a command opens the lab of this runner."""
        return {"THUMBLAB_DATA_DIR": str(self.folder), "THUMBLAB_DATABASE_URL": self.database}

    def __call__(self, *arguments: str, **environment: str) -> Result:
        """Run a command in this process."""
        settings.cache_clear()
        return CliRunner().invoke(cli, list(arguments), env=self.lab | environment)

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as its own process."""
        command = [sys.executable, "-m", "thumblab_cli.main", *arguments]
        return subprocess.run(command, env=os.environ | self.lab, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def shell(migrated_database: Callable[[], str]) -> Iterator[Shell]:
    with tempfile.TemporaryDirectory() as folder:
        yield Shell(Path(folder), migrated_database())


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "Table data.csv"
    path.write_text(GOOD)
    return path


def output(done: Result | subprocess.CompletedProcess[str]) -> str:
    """Return the standard output on one line. Each sequence of spaces and line breaks is replaced by one space."""
    return " ".join(done.stdout.split())


@pytest.mark.slow
def test_real_exports_have_545_true_rates_and_a_second_import_changes_nothing(
    new_database: Callable[[], str], tmp_path: Path, shared_data: Path
) -> None:
    shell = Shell(tmp_path, new_database())
    files = [str(path) for path in sorted((shared_data / "studio_ctr").glob("channel_*.csv"))]
    first, second = (shell.process("import-studio", *files) for _ in range(2))
    assert (first.returncode, first.stderr, second.returncode, second.stderr) == (0, "", 0, "")
    for name, count, shorts in (("a_videos", 223, 0), ("b_videos", 220, 2), ("c_shorts", 102, 100)):
        line = next(line for line in first.stdout.splitlines() if f"channel_{name}.csv" in line)
        assert f"{count} of {count} videos got a true CTR ({count} new, 0 changed" in line
        assert f"{shorts} Shorts), 0 skipped" in line
    for done in (first, second):
        assert "545 videos have a true CTR; 0 of these videos are in the library already." in output(done)
        assert "kept until the lab collects these videos" in output(done)
    assert "nothing has changed" not in first.stdout
    assert second.stdout.count("0 new, 0 changed") == second.stdout.count("nothing has changed") == 3


def test_a_skipped_row_is_named_and_the_exit_status_is_0(shell: Shell, export: Path) -> None:
    export.write_text(GOOD + "video_ccccc,T,,0,\n")
    done = shell("import-studio", str(export), "--as-of", "2026-03-01")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "line 5 video_ccccc: skipped: the video has no impressions" in output(done)
    assert "as of 2026-03-01: 2 of 3 videos got a true CTR" in output(done)
    assert "1 skipped" in output(done)


def test_json_prints_the_whole_report_on_stdout_only(shell: Shell, export: Path) -> None:
    done = shell("import-studio", str(export), "--as-of", "2026-03-01", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert (report["with_ctr"], report["in_library"], report["refused"]) == (2, 0, [])
    assert report["files"][0]["video_ids"] == ["video_aaaaa", "-ideo_bbbbb"]


def test_an_unreadable_file_is_a_one_line_error_with_exit_status_1(shell: Shell, tmp_path: Path) -> None:
    bad = {"empty.csv": b"", "other.csv": b"a,b\n1,2\n", "no.zip": b"PK\x03\x04", "blob.csv": bytes(range(256)) * 10}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    for name in (*bad, "absent.csv", "."):
        done = shell("import-studio", str(tmp_path / name))
        assert (done.exit_code, done.stdout) == (1, ""), name
        assert done.stderr.startswith("thumblab: ")
        assert done.stderr.count("\n") == 1


def test_one_bad_file_does_not_stop_the_others(shell: Shell, export: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    done = shell("import-studio", str(tmp_path / "empty.csv"), str(export))
    assert done.exit_code == 1
    assert "2 of 2 videos got a true CTR" in output(done)
    assert "empty.csv is empty" in done.stderr


def test_reach_without_credentials_is_a_one_line_error_with_exit_status_1(shell: Shell) -> None:
    done = shell("import-reach")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "THUMBLAB_YOUTUBE_OWNER_CREDENTIALS" in done.stderr
    assert done.stderr.count("\n") == 1


def test_reach_says_that_no_report_exists_yet_and_later_reads_it(shell: Shell, tmp_path: Path) -> None:
    fields = {"client_id": "i", "client_secret": "GOCSPX-secret", "refresh_token": "1//token"}
    (tmp_path / "owner.json").write_text(json.dumps({"type": "authorized_user", **fields}))
    with Emulator(synthetic_catalogue(videos=60), refresh_token="1//token") as emulator:
        variables = {
            "THUMBLAB_YOUTUBE_ENDPOINT": emulator.endpoint,
            "THUMBLAB_YOUTUBE_OWNER_CREDENTIALS": str(tmp_path / "owner.json"),
        }
        waiting = shell("import-reach", **variables)
        table = reach_csv([(DAY, "UC", "video_zzzzz", 100, 0.05)])
        emulator.reach_reports = [ReachReport(DAY, DAY + timedelta(days=1), table)]
        reading = shell("import-reach", **variables)
        again = shell("import-reach", "--json", **variables)
    assert (waiting.exit_code, waiting.stderr, reading.exit_code, reading.stderr) == (0, "", 0, "")
    assert "YouTube has made no report yet" in output(waiting)
    assert "Reports read: 1 (" in output(reading)
    assert "new days: 1. Videos with a true CTR: 1," in output(reading)
    assert json.loads(again.stdout)["reports"] == 0
    assert "GOCSPX" not in waiting.stdout + reading.stdout + again.stdout + again.stderr
