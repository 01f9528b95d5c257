"""Test that the lab works with each kind of PostgreSQL server that docs/postgres.md lists."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dagster import DagsterInstance
from pydantic import SecretStr
from real_servers import RealServer, has_pgbouncer
from session_server import do
from sqlalchemy import make_url
from stored_library import fill

from thumblab_cli.main import cli
from thumblab_core.database import nearest
from thumblab_core.database.nearest import Library
from thumblab_core.database.schema import open_database
from thumblab_core.database.urls import database_url, named_database_url
from thumblab_core.encoders.protocol import unit
from thumblab_core.errors import LabError
from thumblab_core.settings import CHECKOUT, Settings, settings

NewPlace = Callable[..., str]
PAGE = Path(__file__).parents[3] / "docs" / "postgres.md"


@dataclass(frozen=True)
class Case:
    """A kind of server or URL with which the lab must work."""

    statements: tuple[str, ...] = ()
    rights: str = ""
    vector: bool = True
    user: str = "{0}"
    host: str = "127.0.0.1"
    parameters: str = ""
    scheme: str = "postgresql"
    pooler: str = ""
    """The mode of a PgBouncer in front of the server, or an empty text if there is no PgBouncer."""
    places: str = ""
    """Where Dagster and MLflow have their tables: in databases of their own, or in schemas of the lab's database."""


CASES = {
    "superuser": Case(vector=False, user="postgres", places="databases"),
    "owner of the database, may create databases": Case(rights="CREATEDB", places="databases"),
    "owner of the database, may not create databases": Case(places="schemas"),
    "pgvector in the schema `extensions` (Supabase)": Case(
        (
            "CREATE SCHEMA extensions",
            "CREATE EXTENSION vector SCHEMA extensions",
            "GRANT USAGE ON SCHEMA extensions TO {0}",
            "ALTER ROLE {0} SET search_path = public, extensions",
        ),
        vector=False,
        rights="CREATEDB",
    ),
    "pgvector in a schema outside the search path": Case(
        (
            'CREATE SCHEMA "Far away"',
            'CREATE EXTENSION vector SCHEMA "Far away"',
            'GRANT USAGE ON SCHEMA "Far away" TO {0}',
        ),
        vector=False,
    ),
    "PgBouncer in session mode": Case(rights="CREATEDB", pooler="session", places="databases"),
    "PgBouncer in transaction mode": Case(rights="CREATEDB", pooler="transaction", places="databases"),
    "`postgres://`": Case(scheme="postgres"),
    "`postgresql+psycopg://`": Case(scheme="postgresql+psycopg"),
    "parameters of Supabase and Prisma": Case(
        parameters="?pgbouncer=true&connection_limit=1&schema=public&supa=base-pooler.x", rights="CREATEDB"
    ),
    "`options` in the URL": Case(parameters="?options=-c%20statement_timeout%3D50s", places="schemas"),
    "IPv6": Case(host="[::1]"),
    "a socket": Case(host="socket"),
}
SMALL = {"owner of the database, may not create databases", "PgBouncer in transaction mode"}
NAMES = [pytest.param(name, marks=[] if name in SMALL else pytest.mark.heavy) for name in CASES]


def test_the_page_lists_the_servers_that_are_tested() -> None:
    table = PAGE.read_text().partition("## Tested servers")[2].partition("\n## ")[0]
    assert re.findall(r"^\| ([^|]+?) +\|", table, re.M)[1:] == [*CASES, *WITH_TLS]


def url_of(case: Case, server: RealServer, name: str, port: int) -> str:
    host = "127.0.0.1" if case.host == "socket" else case.host
    url = server.url(case.user.format(name), name, host, case.parameters, port)
    if case.host == "socket":
        url = url.replace(f"127.0.0.1:{server.port}", "") + f"?host={server.folder}&port={server.port}"
    return url.replace("postgresql", case.scheme, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_lab_dagster_and_mlflow_keep_their_data_on_the_server(
    name: str, server: RealServer, new_place: NewPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    if case.pooler and not has_pgbouncer():
        pytest.skip("PgBouncer is not installed")
    for database in ("mlflow", "dagster"):
        server.do(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    place = new_place(*case.statements, rights=case.rights, vector=case.vector)
    pooler = server.pooler(case.pooler, ignore_startup_parameters="extra_float_digits") if case.pooler else None
    try:
        url = url_of(case, server, place, pooler.port if pooler else 0)
        use(url, tmp_path, monkeypatch, small=name in SMALL)
    finally:
        if pooler:
            pooler.stop()
    made = server.do(
        "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ 'mlflow|dagster'"
    )
    schemas = "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname ~ 'mlflow|dagster'"
    if case.places:
        both = "dagster mlflow"
        expected = (both, None) if case.places == "databases" else (None, both)
        assert (made, server.do(schemas, database=place)) == expected


def use(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, small: bool = False) -> None:
    """Use the server through commands, as a person does, and through functions of the lab, as a refresh does."""
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", url)
    settings.cache_clear()
    for command in (["db", "migrate"], ["db", "migrate"], ["db", "status", "--json"]):
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.output)["running"]
    chosen = Settings(database_url=SecretStr(url), data_dir=folder)
    engine = open_database(database_url(chosen))
    vectors = unit(numbers(40))
    fill(engine, vectors, "e")
    for _ in range(7):
        # Execute the statement seven times. At the sixth execution, psycopg prepares the statement on the server, which
        # some poolers do not support.
        with engine.connect() as connection:
            found = nearest.search(connection, Library("e", "tech", 90), vectors[4:5], 3)
    assert found[0][0].similarity == pytest.approx(1, abs=1e-6)
    engine.dispose()
    (folder / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    instance = DagsterInstance.from_config(str(folder))
    instance.add_dynamic_partitions("niches_of_test", ["tech"])
    assert instance.get_dynamic_partitions("niches_of_test") == ["tech"]
    close(instance)
    mlflow = named_database_url("mlflow", "psycopg2", chosen)
    if small:
        assert do(mlflow, "CREATE TABLE probe (n int)", "SELECT count(*) FROM probe") == 0
    else:
        store_in_mlflow(mlflow, folder)


def numbers(count: int) -> Any:
    import numpy as np

    return np.random.default_rng(0).standard_normal((count, 8))


def close(instance: DagsterInstance) -> None:
    instance.run_storage._engine.dispose()
    instance.dispose()


def store_in_mlflow(url: str, folder: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(url, str(folder))
    made = store.create_experiment("of the test")
    assert store.get_experiment(made).name == "of the test"
    store.engine.dispose()


WITH_TLS = {
    "TLS, `sslmode=require`": "?sslmode=require",
    "TLS, `sslmode=verify-full` with an authority of your own": "?sslmode=verify-full&sslrootcert={ca}",
}


@pytest.fixture(scope="module")
def authority(plain_server: RealServer) -> Path:
    return plain_server.with_certificate()


@pytest.mark.heavy
@pytest.mark.parametrize("name", WITH_TLS)
def test_the_connection_is_encrypted_as_the_url_demands(name: str, plain_server: RealServer, authority: Path) -> None:
    """Check that a connection with TLS is encrypted.

    The embedded PostgreSQL has no TLS, so this test uses Debian's server. Debian's server has no pgvector, so the test
    uses Dagster's database, which does not need pgvector.
    """
    url = plain_server.url("postgres", "postgres", "localhost", WITH_TLS[name].format(ca=authority))
    chosen = Settings(database_url=SecretStr(url))
    for taken in (database_url(chosen), named_database_url("dagster", "psycopg2", chosen)):
        assert do(taken, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


@pytest.mark.heavy
def test_a_certificate_for_another_host_or_of_another_authority_is_refused(
    plain_server: RealServer, authority: Path
) -> None:
    for host, ca in (("127.0.0.1", authority), ("localhost", Path("/nowhere/ca.crt"))):
        url = plain_server.url("postgres", "postgres", host, f"?sslmode=verify-full&sslrootcert={ca}")
        with pytest.raises(LabError, match=r"certificate of the server .* cannot be verified .*sslrootcert=PATH"):
            open_database(database_url(Settings(database_url=SecretStr(url))))


def test_a_schema_stays_the_place_of_dagster_when_a_database_is_created_later(
    server: RealServer, new_place: NewPlace
) -> None:
    place = new_place()
    chosen = Settings(database_url=SecretStr(server.url(place, place, parameters="?application_name=a")))
    first = named_database_url("kept", settings=chosen)
    server.do(f"CREATE DATABASE kept OWNER {place}")
    again = Settings(database_url=SecretStr(server.url(place, place, parameters="?application_name=b")))
    assert make_url(named_database_url("kept", settings=again)).database == make_url(first).database == place
