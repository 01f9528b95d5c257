"""Test the embedded database server on a separate disk that is full when the server starts."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from server_processes import USE, home_of, python, remove, running, soon, sql, user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of 150 MB, mounted on a folder that the server's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="thumblab-disk-"))
    folder.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", "size=150m,mode=755", "none", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        folder.rmdir()
        pytest.skip("this machine does not mount file systems")
    yield folder
    remove(folder / "lab")
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def fill(disk: Path) -> Path:
    """Write a file that takes the rest of the disk, and return its path."""
    file = disk / "full"
    with suppress(OSError), file.open("wb", buffering=0) as written:
        while True:
            written.write(bytes(4_096))
    return file


@pytest.mark.slow
def test_a_database_on_a_full_disk_says_so_and_has_all_its_rows_when_there_is_room(disk: Path) -> None:
    data_dir = disk / "lab"
    with user(data_dir):
        assert home_of(data_dir).is_relative_to(disk)
        sql(data_dir, "CREATE TABLE committed AS SELECT generate_series(1, 1000) AS n")
    assert soon(lambda: not running(data_dir))
    full = fill(disk)
    _, complaint = python(data_dir, USE).communicate(timeout=180)
    assert "no room is left on the disk" in complaint
    full.unlink()
    with user(data_dir):
        assert sql(data_dir, "SELECT count(*) FROM committed") == 1000
