"""Test the lab with an external PostgreSQL server.

The lab works through the connection pooler PgBouncer, and with the extension `vector` in any schema. If the lab cannot
use the server, it reports the reason in one sentence.
"""

import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from session_server import do
from sqlalchemy import make_url, text
from stored_library import fill

from thumblab_cli.doctor import database as doctor
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Level
from thumblab_cli.doctor.machine import Machine
from thumblab_cli.main import cli
from thumblab_cli.servers.lab_servers import mlflow_server
from thumblab_core.database import nearest, nearest_index, schema
from thumblab_core.database.engine import make_engine
from thumblab_core.database.nearest import Library
from thumblab_core.database.urls import database_url, named_database_url
from thumblab_core.embedded_postgres import cluster
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.models import tracking

NewDatabase = Callable[[], str]
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def vectors(count: int) -> Vectors:
    return unit(np.random.default_rng(0).standard_normal((count, 8)))


@pytest.fixture(scope="module")
def pooler(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode, in which each transaction may get another connection to the server.

    PgBouncer opens at most two connections to each database of the server.
    """
    if PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed")
    home = Path(str(make_url(new_database()).query["host"]))
    folder = tmp_path_factory.mktemp("pooler")
    for part in (folder, *folder.parents):
        # PgBouncer refuses to run as root. If root runs the tests, PgBouncer runs as the user who owns the database
        # server's files. That user must be able to enter `folder` and all folders above it.
        if not part.stat().st_mode & 0o001:
            part.chmod(part.stat().st_mode | 0o011)
    owner = home.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n"
        f"hidden = host={home} port=5432 user=postgres dbname=gone\n"
        f"* = host={home} port=5432 user=postgres\n[pgbouncer]\n"
        f"listen_addr=127.0.0.1\n"
        f"listen_port={port}\nauth_type=any\npool_mode=transaction\ndefault_pool_size=2\nunix_socket_dir=\n"
        f"logfile={folder}/log\npidfile={folder}/pid\n"
    )
    as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    process: Any = subprocess.Popen([PGBOUNCER, folder / "pgbouncer.ini"], stderr=subprocess.DEVNULL, **as_owner)  # type: ignore[call-overload]
    deadline = time.monotonic() + 60
    while socket.socket().connect_ex(("127.0.0.1", port)):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "PgBouncer does not listen"
        time.sleep(0.02)
    yield port
    process.terminate()
    process.wait(10)


def through(pooler: int, url: str, parameters: str = "") -> Settings:
    return Settings(
        database_url=SecretStr(f"postgresql://postgres:x@127.0.0.1:{pooler}/{make_url(url).database}{parameters}")
    )


def test_many_processes_share_two_connections_of_a_transaction_pooler(pooler: int, new_database: NewDatabase) -> None:
    direct = new_database()
    url = database_url(through(pooler, direct))

    def work(seed: int) -> list[int]:
        engine = schema.open_database(url)
        answers = []
        for n in range(12):
            with engine.begin() as connection:
                answers += connection.scalars(
                    text("SELECT :n + count(*) FROM videos WHERE niche = :niche"), {"n": n, "niche": "a"}
                )
        engine.dispose()
        return answers

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(work, range(6))) == [list(range(12))] * 6
    database = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    assert do(direct, f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = {database}") == 0


def test_vectors_are_saved_indexed_and_found_through_a_transaction_pooler_and_no_lock_stays(
    pooler: int, migrated_database: NewDatabase
) -> None:
    direct = migrated_database()
    engine = make_engine(database_url(through(pooler, direct)), pool_pre_ping=True)
    fill(engine, vectors(40), "e")
    assert nearest_index.ensure_index(engine, "e", worthwhile=10)
    for _ in range(8):
        with engine.connect() as connection:
            neighbours = nearest.search(connection, Library("e", "tech", 90), vectors(40)[4:7:2], 5)
        assert [near[0].similarity for near in neighbours] == pytest.approx([1, 1], abs=1e-6)
    lab: Any = SimpleNamespace(
        engine=engine, releases=None, settings=SimpleNamespace(dagster_url="", alert_dagster_url="")
    )
    built: Any = SimpleNamespace(release=None, evaluations=[], history=[])
    tracker: Any = SimpleNamespace(log=lambda *_: locks(direct))
    assert tracking.log_model(lab, tracker, built) == 1
    engine.dispose()
    assert locks(direct) == 0


def locks(url: str) -> Any:
    database = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    return do(url, f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = {database}")


def test_the_doctor_examines_a_database_behind_a_transaction_pooler(
    pooler: int, migrated_database: NewDatabase
) -> None:
    (finding,) = doctor.database(Examined(through(pooler, migrated_database()), Machine.this()))
    assert finding.level is Level.OK
    assert finding.what.startswith("an external server behind a pooler, PostgreSQL ")


def test_a_pooler_without_a_database_for_mlflow_is_reported_at_once(pooler: int, new_database: NewDatabase) -> None:
    with pytest.raises(LabError, match=r"no database with the name in THUMBLAB_DATABASE_URL .*Correct"):
        named_database_url("hidden", settings=through(pooler, new_database()))


@pytest.fixture(scope="module")
def visitor(new_database: NewDatabase) -> Iterator[Callable[..., str]]:
    """Return a function that makes a database, runs SQL statements in it, and returns its URL.

    The database user in this URL may create tables in the database. This user is not an administrator.
    """
    admin = new_database()
    do(admin, "CREATE ROLE a_visitor LOGIN")

    def make(*statements: str) -> str:
        url = new_database()
        do(url, *statements, "GRANT ALL ON SCHEMA public TO a_visitor")
        return make_url(url).set(username="a_visitor", drivername="postgresql").render_as_string(hide_password=False)

    yield make


def test_vector_is_found_in_a_schema_outside_the_search_path(visitor: Callable[..., str]) -> None:
    url = visitor(
        'CREATE SCHEMA "My extensions"',
        'CREATE EXTENSION vector SCHEMA "My extensions"',
        'GRANT USAGE ON SCHEMA "My extensions" TO a_visitor',
    )
    engine = schema.open_database(database_url(Settings(database_url=SecretStr(url))))
    fill(engine, vectors(40), "e")
    assert nearest_index.ensure_index(engine, "e", worthwhile=10)
    with engine.connect() as connection:
        approximate = nearest.search(connection, Library("e", "tech", 90), vectors(40)[4:5], 5)
        exact = nearest.search(connection, Library("e", "tech", 90), vectors(40)[4:5], 5, exact=True)
        count, sample = nearest.sample(connection, Library("e", "tech", 90), 10)
    assert approximate == exact
    assert (count, sample.shape) == (18, (10, 8))
    engine.dispose()


def test_a_role_without_rights_gets_the_statements_for_the_administrator(
    visitor: Callable[..., str],
) -> None:
    without_vector = visitor()
    with pytest.raises(
        LabError, match=r"no extension vector.*permission denied.*run in this database: CREATE EXTENSION vector"
    ):
        schema.migrate(database_url(Settings(database_url=SecretStr(without_vector))))
    with_vector = visitor("CREATE EXTENSION vector")
    do(
        database_url(Settings(database_url=SecretStr(with_vector.replace("a_visitor", "postgres")))),
        "REVOKE ALL ON SCHEMA public FROM a_visitor",
    )
    with pytest.raises(LabError, match=r"permission denied for schema public.*administrator"):
        schema.migrate(database_url(Settings(database_url=SecretStr(with_vector))))
    do(
        database_url(Settings(database_url=SecretStr(with_vector.replace("a_visitor", "postgres")))),
        "GRANT ALL ON SCHEMA public TO a_visitor",
    )
    schema.migrate(database_url(Settings(database_url=SecretStr(with_vector))))


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgres://u:p%40ss@h/d?pgbouncer=true&prepare_threshold=0", "u:p%40ss@h/d"),
        (
            "postgresql://u:p@h:6543/d?sslmode=require&pgbouncer=true&connect_timeout=3",
            "u:p@h:6543/d?connect_timeout=3&sslmode=require",
        ),
        ("  postgresql://u:p/w?#:x@h/d\n", "u:p%2Fw%3F%23%3Ax@h/d"),
        ("postgresql://name@tenant:p@h/d", "name%40tenant:p@h/d"),
        ("postgresql://u:100%@[::1]:5432/d", "u:100%25@[::1]:5432/d"),
        ("postgresql:///d?host=/run/a+b&user=x@y", "/d?host=%2Frun%2Fa%2Bb&user=x%40y"),
    ],
)
def test_a_url_in_the_forms_that_people_paste_is_accepted(given: str, taken: str) -> None:
    accepted = database_url(Settings(database_url=SecretStr(given)))
    assert make_url(accepted) == make_url(f"postgresql+psycopg://{taken}")


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("postgresql://u:a@hunter2@h/d", "more than one @"),
        ("postgresql://u:a@hunter2/w@h/d", "more than one @"),
        ("postgresql://u:a@x?hunter2@h/d", "more than one @"),
        ("postgresql://u:a@x?hunter2=1@h/d", "more than one @"),
        ("postgresql://u/hunter2@h/d", "more than one @"),
        ("postgresql://u:hunter2", "is not a URL"),
        ("postgresql://u:hunter2@h:hunter2/d", "is not a URL"),
        ("u:hunter2@h/d", "is not a URL"),
        ("mysql://u:hunter2@h/d", "is for mysql"),
        ("postgresql://u:hunter2@h/d?pool_mode=x&sslmode=require", "does not know: pool_mode"),
        ("postgresql://u:hunter2@h/d?sslmode=require&sslmode=disable", "twice: sslmode"),
        ("postgresql://u:hunter2@127.0.0.1:1/d", "does not answer: .*Connection refused.* Check THUMBLAB_DATABASE_URL"),
        ("postgresql://u:hunter2@no-such-host.invalid/d", "host in THUMBLAB_DATABASE_URL cannot be found .*Correct"),
        (
            "postgresql://u:hunter2@127.0.0.1/d?sslmode=sometimes",
            'cannot be used .*invalid sslmode value: "sometimes"',
        ),
        ("postgresql://u:hunter2@127.0.0.1/d?connect_timeout=soon", "cannot be used .*soon"),
    ],
)
def test_the_error_of_an_unusable_database_url_is_one_sentence_without_the_password(
    given: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", given)
    settings.cache_clear()
    for command in (["quota"], ["db", "migrate"], ["db", "url", "--database", "mlflow"]):
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == 1, done.exception
        assert len(done.output.strip().splitlines()) == 1, done.output
        assert done.output.startswith("thumblab: ")
        assert SECRET not in done.output
        assert re.search(reason, done.output), done.output


def test_a_checkout_whose_path_has_special_characters_is_migrated(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "feature%2Fthumbs %(here)s #é:"
    checkout.symlink_to(Path(schema.__file__).parent)
    monkeypatch.setattr(schema, "_MIGRATIONS", checkout / "migrations")
    url = new_database()
    schema.migrate(url)
    assert do(url, "SELECT count(*) FROM alembic_version") == 1


@pytest.mark.parametrize("name", ["a+b", "a%2Fb", "a b?c#d&e", "dé'\"$x"])
def test_the_socket_of_a_data_folder_of_any_name_has_a_plain_path(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    home.mkdir()
    link = cluster.socket_dir(home)
    try:
        assert link.resolve() == home
        assert re.fullmatch("[A-Za-z0-9_./-]+", str(link))
    finally:
        link.unlink()


def test_mlflow_installed_below_a_percent_sign_is_started_through_a_plain_path(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "feature%2Fthumbs"
    installed.mkdir()
    monkeypatch.setattr(
        importlib.metadata, "distribution", lambda name: SimpleNamespace(locate_file=lambda path: installed)
    )
    chosen = Settings(data_dir=tmp_path, database_url=SecretStr(new_database()))
    path = Path(mlflow_server(chosen, 5000).environment["PYTHONPATH"])
    try:
        assert path.resolve() == installed
        assert "%" not in str(path)
    finally:
        path.unlink()
