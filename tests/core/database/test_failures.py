"""Tests that a failure of the disk or the database is reported in one sentence, and that the work continues when the
failure is over.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from planted_catalogue import RED, plant
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text

from thumblab_cli.main import cli
from thumblab_core.database.failures import DiskError, explained_failure
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import settings
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.features import encoding
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab

Shell = Callable[..., Result]
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")


@contextmanager
def mounted(place: Path, size: str) -> Iterator[None]:
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], capture_output=True)
    if done.returncode:
        pytest.skip("this machine does not mount file systems")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    def run(chosen: Any, *arguments: str) -> Result:
        monkeypatch.setenv("THUMBLAB_DATA_DIR", str(chosen.data_dir))
        monkeypatch.setenv("THUMBLAB_IMAGE_ENCODER", "builtin")
        monkeypatch.setenv("THUMBLAB_DATABASE_URL", chosen.database_url.get_secret_value())
        settings.cache_clear()
        return CliRunner().invoke(cli, list(arguments))

    yield run
    settings.cache_clear()


def refused(result: Result) -> str:
    """Return the single error sentence with which a command ended."""
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("thumblab: ")]
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)
    return line


@pytest.mark.slow
@root
def test_a_full_and_a_read_only_disk_stop_with_a_sentence_and_the_same_command_continues(
    open_lab: Callable[..., Lab], drawn: Any, shell: Shell, tmp_path: Path
) -> None:
    plant(tmp_path / "catalogue", drawn, {"home": RED}, 12)
    disk = tmp_path / "disk"
    with mounted(disk, "300k"):
        lab = open_lab(data_dir=disk / "lab")
        full = disk / "full"
        full.write_bytes(bytes(2**18))
        assert "no room is left on the disk; make room" in refused(
            shell(lab.settings, "import", str(tmp_path / "catalogue"))
        )
        full.unlink()
        assert shell(lab.settings, "import", str(tmp_path / "catalogue")).exit_code == 0
        with pytest.raises(OSError, match="No space"):
            full.write_bytes(bytes(2**20))
        assert "No space left on device" in refused(shell(lab.settings, "refresh", "--no-train"))
        remount(disk, "size=20m")
        assert shell(lab.settings, "refresh", "--no-train").exit_code == 0
        store = ReleaseStore(lab.settings.releases)
        served = store.serving.current(INDEX, "tech")
        assert served is not None

        remount(disk, "ro")
        plant(tmp_path / "more", drawn, {"away": RED}, 3, seed=1)
        assert "read-only" in refused(shell(lab.settings, "import", str(tmp_path / "more")))
        assert shell(lab.settings, "index", "status").exit_code == 0
        store.serving.current(INDEX, "tech").verify()  # type: ignore[union-attr]
        remount(disk, "rw")
        assert shell(lab.settings, "import", str(tmp_path / "more")).exit_code == 0
        shutil.rmtree(disk / "lab")


def test_a_database_that_ends_all_connections_gives_one_sentence(
    open_lab: Callable[..., Lab], drawn: Any, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "catalogue", drawn, {"home": RED}, 12)
    lab = open_lab(data_dir=tmp_path / "lab")
    url = lab.settings.database_url
    assert isinstance(url, SecretStr)
    import_catalogue(lab, tmp_path / "catalogue")
    saved = encoding.save_vectors

    def cut(*arguments: Any, **options: Any) -> None:
        """End all connections to the lab's database, as a restart of the server does."""
        monkeypatch.setattr(encoding, "save_vectors", saved)
        target = make_url(url.get_secret_value())
        engine = create_engine(target.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(ended), {"name": target.database})
        engine.dispose()
        saved(*arguments, **options)

    monkeypatch.setattr(encoding, "save_vectors", cut)
    assert "The database ended the connection: it was stopped or restarted" in refused(
        shell(lab.settings, "refresh", "--no-train")
    )
    assert embed(lab, "tech").images == 12, "the next run continues the work"


def test_an_error_of_the_program_is_not_taken_for_one_of_the_disk() -> None:
    assert explained_failure(ValueError("wrong")) is None
    assert explained_failure(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert isinstance(explained_failure(RuntimeError("I/O error: No space left on device (os error 28)")), DiskError)
