"""Test what doctor says about a data folder on a file system that is full or read-only."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from thumblab_cli.doctor.finding import Level
from thumblab_cli.doctor.folder import _unwritable

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")

ELSEWHERE = "set THUMBLAB_DATA_DIR to a folder that you can write"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine does not mount file systems")
    yield folder
    subprocess.run(["umount", folder], check=True)


def full(disk: Path) -> None:
    with suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))


def read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [(full, "make room on its file system"), (read_only, "mount its file system for writing (if nobody mounted it")],
)
def test_a_folder_in_which_nothing_can_be_written_is_found(
    disk: Path, spoil: Callable[[Path], None], mend: str
) -> None:
    assert list(_unwritable(disk, ELSEWHERE)) == []
    spoil(disk)
    (found,) = _unwritable(disk, ELSEWHERE)
    assert found.level is Level.ERROR
    assert found.mend is not None
    assert found.mend.startswith(mend)
    assert found.mend.endswith(f"or {ELSEWHERE}")
