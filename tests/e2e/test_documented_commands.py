"""Run the commands of the documents in a lab of their own, in the order of the documents.

tests/documented_commands.py says which commands these are, and with which words they are run.
"""

import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from documented_commands import to_run
from documents import DOCUMENTS, commands
from real_processes import VIDEOS, environment, new_folder, running, write_catalogue

pytestmark = [pytest.mark.slow, pytest.mark.heavy, pytest.mark.timeout(1_800)]

FIRST = "thumblab import FOLDER --serve"


@dataclass
class Shell:
    """A shell in a folder with the files that the documents name, and with the settings of one lab."""

    folder: Path
    environment: dict[str, str]
    names: dict[str, str]

    def run(self, command: str) -> str | None:
        """Run a command. Return what it wrote if it failed, and None if it succeeded."""
        for name, value in self.names.items():
            command = command.replace(f"{{{name}}}", value)
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=900
        )
        return None if done.returncode == 0 else f"{command}\n  status {done.returncode}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """A shell with the catalogue FOLDER, its pictures, a table of scoring requests, and an export of a channel of it."""
    with new_folder() as data_dir, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = write_catalogue(folder / "FOLDER", VIDEOS)
        tech = [row for row in rows if row["niche"] == "tech"]
        pictures = [(folder / "FOLDER" / str(row["image"])).read_bytes() for row in tech[:3]]
        (folder / "pictures").mkdir()
        for name, picture in zip("abc", pictures, strict=True):
            (folder / f"{name}.jpg").write_bytes(picture)
            (folder / "pictures" / f"{name}.jpg").write_bytes(picture)
        (folder / "videos.csv").write_text("thumbnail,title,niche,group\na.jpg,T,tech,1\nb.jpg,T,tech,1\n")
        export = folder / "Content 2015-01-01_2026-11-01 My channel.csv"
        with export.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["Content", "Video title", "Video publish time", "Duration", "Views"])
            for row in tech:
                writer.writerow([row["video_id"], row["title"], str(row["published_on"])[:10], 600, row["views"]])
        paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        lab = environment(data_dir, THUMBLAB_IMAGE_ENCODER="builtin", COLUMNS="200", **paths)
        names = {"channel": f'"{tech[0]["channel"]}"', "video": str(tech[0]["video_id"]), "export": export.name}
        yield Shell(folder, lab, names)


def documented() -> list[str]:
    """Return what is to be run for all documents, each command once."""
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
