"""Run the commands of the documents in a separate lab, in the order of the documents.

tests/documented_commands.py lists these commands, and the words that the test replaces in a command.
"""

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from documented_commands import to_run
from documents import DOCUMENTS, commands
from real_processes import VIDEOS, environment, new_folder, running, write_catalogue, write_rows

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1_800)]

FIRST = "thumblab import FOLDER --serve"

EXPORTED_ON = "2026-11-01"
EXPORT = f"Content 2015-01-01_{EXPORTED_ON} My channel.zip"
STUDIO_COLUMNS = (
    *("Content", "Video title", "Video publish time", "Duration", "Views"),
    *("Impressions", "Impressions click-through rate (%)"),
)


@dataclass
class Shell:
    """A shell with the settings of one lab. The shell runs in a folder with all files that the documents mention."""

    folder: Path
    environment: dict[str, str]
    names: dict[str, str]

    def run(self, command: str) -> str | None:
        """Run a command. Return the output of a command that failed, and None for a command that succeeded."""
        for name, value in self.names.items():
            command = command.replace(f"{{{name}}}", value)
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=900
        )
        return None if done.returncode == 0 else f"{command}\n  status {done.returncode}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """A shell with the catalogue FOLDER, its pictures, a table of scoring requests, and an export of "My channel".

    My channel is the catalogue's channel of the niche tech. The folder my-videos has only the videos of this channel.
    """
    with new_folder() as data_dir, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = write_catalogue(folder / "FOLDER", VIDEOS)
        mine = [row | {"channel": "My channel"} for row in rows if row["niche"] == "tech"]
        write_rows(folder / "FOLDER", [*mine, *(row for row in rows if row["niche"] != "tech")])
        shutil.copytree(folder / "FOLDER" / "images", folder / "my-videos" / "images")
        write_rows(folder / "my-videos", mine)
        (folder / "pictures").mkdir()
        for name, row in zip("abc", mine, strict=False):
            for copy in (folder / f"{name}.jpg", folder / "pictures" / f"{name}.jpg"):
                shutil.copy(folder / "FOLDER" / str(row["image"]), copy)
        (folder / "videos.csv").write_text("thumbnail,title,niche,group\na.jpg,T,tech,1\nb.jpg,T,tech,1\n")
        for export in (EXPORT, "EXPORT.zip"):
            with zipfile.ZipFile(folder / export, "w") as archive:
                archive.writestr("Table data.csv", studio_table(mine))
        paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        lab = environment(data_dir, THUMBLAB_IMAGE_ENCODER="builtin", COLUMNS="200", **paths)
        yield Shell(folder, lab, {"video": str(mine[0]["video_id"])})


def studio_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return the table of an export of YouTube Studio. The table has the videos that were published on or before
    `EXPORTED_ON`.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(STUDIO_COLUMNS)
    for row in rows:
        day = str(row["published_on"])[:10]
        if day <= EXPORTED_ON:
            writer.writerow([row["video_id"], row["title"], day, 600, row["views"], 10 * int(str(row["views"])), 4.5])
    return out.getvalue()


def documented() -> list[str]:
    """Return the commands that the test runs, from all documents. Each command is returned once."""
    lines = [line.text.replace(".venv/bin/thumblab", "thumblab") for path in DOCUMENTS for line in commands(path)]
    return list(dict.fromkeys(command for line in lines for command in to_run(line)))


def test_every_documented_command_that_can_run_here_succeeds(shell: Shell) -> None:
    given = documented()
    first = shell.run(FIRST)
    assert first is None, first
    data_dir = Path(shell.environment["THUMBLAB_DATA_DIR"])
    with running(data_dir, THUMBLAB_IMAGE_ENCODER="builtin") as up:
        shell.names["service"] = up.url("scoring")
        failures = [failure for command in given if command != FIRST and (failure := shell.run(command)) is not None]
    assert [re.sub(r"\s+", " ", failure) for failure in failures] == []
