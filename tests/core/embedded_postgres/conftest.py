"""Fixtures that give the tests of the embedded server their data folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_processes import remove, sql, user

from thumblab_core.embedded_postgres import server
from thumblab_core.settings import Settings


@pytest.fixture
def fresh_dir(tmp_path: Path) -> Iterator[Path]:
    """The path of a data folder that does not exist yet.

    After the test, the server of this folder is stopped, and the server's files outside the folder are removed.
    """
    folder = tmp_path / "lab"
    yield folder
    remove(folder)


@pytest.fixture(scope="module")
def made_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose server does not wait until its data are on the disk. Not waiting makes the tests faster.

    A power cut could damage these data, but no test cuts the power.
    """
    folder = tmp_path_factory.mktemp("made") / "lab"
    with user(folder):
        sql(folder, "ALTER SYSTEM SET fsync = off")
    yield folder
    remove(folder)


@pytest.fixture
def data_dir(made_dir: Path) -> Iterator[Path]:
    """A data folder whose server has run before and does not run now."""
    server.stop(Settings(data_dir=made_dir), force=True)
    yield made_dir
