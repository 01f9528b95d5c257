"""Test a lab on a separate disk that the kernel makes read-only because of an error of the disk."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server_processes import KEEP, USE, finish, python, remove, running, soon, sql, user

from thumblab_core.embedded_postgres import server
from thumblab_core.running import Running, announced, running_lab
from thumblab_core.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems"),
    pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is not installed"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on which `mount` mounts the disk."""
    folder = Path(tempfile.mkdtemp(prefix="thumblab-disk-"))
    folder.chmod(0o755)
    yield folder
    if folder.is_mount():
        remove(folder / "lab")
        subprocess.run(["umount", folder], check=True)
    folder.rmdir()


@pytest.fixture
def mount(folder: Path, tmp_path: Path) -> Callable[[], None]:
    """Return a function that mounts the disk, an ext4 file system of 200 MB in a file, for writing."""
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(200 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)

    def mount() -> None:
        options = "loop,errors=remount-ro"
        if subprocess.run(["mount", "-o", options, image, folder], capture_output=True).returncode != 0:
            pytest.skip("this machine does not mount file systems from a file")

    return mount


def fail(folder: Path) -> None:
    """Let the kernel do what it does after an error of the disk: the file system becomes read-only at once."""
    subprocess.run(["mount", "-o", "remount,abort", folder], check=True)
    with pytest.raises(OSError, match="Read-only"):
        (folder / "new").touch()


def test_a_database_on_a_disk_that_became_read_only_says_so_and_has_all_its_rows_afterwards(
    folder: Path, mount: Callable[[], None]
) -> None:
    mount()
    data_dir = folder / "lab"
    with user(data_dir):
        sql(data_dir, "CREATE TABLE committed AS SELECT generate_series(1, 1000) AS n")
        fail(folder)
    assert soon(lambda: not running(data_dir), 60), "nothing may hold the disk, or nobody could mount it again"
    _, complaint = python(data_dir, USE).communicate(timeout=180)
    assert f"{data_dir}/postgres" in complaint
    assert "is on a read-only file system. Mount it for writing" in complaint
    assert soon(lambda: subprocess.run(["umount", folder], capture_output=True).returncode == 0)
    mount()
    with user(data_dir):
        assert sql(data_dir, "SELECT count(*) FROM committed") == 1000


def test_a_lab_on_a_disk_that_became_read_only_ends_and_starts_again_on_the_mended_disk(
    folder: Path, mount: Callable[[], None]
) -> None:
    mount()
    servers = Running("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")
    with announced(folder, servers):
        fail(folder)
    assert running_lab(folder) is None
    subprocess.run(["umount", folder], check=True)
    mount()
    with announced(folder, servers):
        assert running_lab(folder) == servers


@pytest.mark.parametrize("by_a_person", [True, False])
def test_a_kept_server_on_a_disk_that_became_read_only_can_be_stopped_and_stops_by_itself(
    folder: Path, mount: Callable[[], None], by_a_person: bool
) -> None:
    mount()
    data_dir = folder / "lab"
    assert finish(python(data_dir, KEEP)) == ""
    if by_a_person:  # The watcher may take some seconds, so the person is usually faster.
        fail(folder)
        assert server.stop(Settings(data_dir=data_dir), force=True)
    else:
        fail(folder)
    assert soon(lambda: not running(data_dir), 60), "a kept server holds the disk, so nobody can mount it again"
