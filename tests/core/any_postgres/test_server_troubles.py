"""Test that the lab reports each problem with a real PostgreSQL server in one sentence that shows no part of the
password.
"""

import re
from collections.abc import Callable

import psycopg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from real_servers import PASSWORD, RealServer
from sqlalchemy import text

from thumblab_cli.main import cli
from thumblab_core.database.engine import explained
from thumblab_core.database.schema import migrate, open_database, refuse_old
from thumblab_core.database.troubles import DatabaseTroubleError
from thumblab_core.database.urls import database_url, named_database_url
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings, settings

NewPlace = Callable[..., str]
Complaint = Callable[..., str]


@pytest.fixture
def complaint(monkeypatch: pytest.MonkeyPatch) -> Complaint:
    """Return a function that runs `thumblab` with a database URL, and returns the single line of its output."""

    def run(url: str, *command: str) -> str:
        monkeypatch.setenv("THUMBLAB_DATABASE_URL", url)
        settings.cache_clear()
        done = CliRunner().invoke(cli, command or ["db", "migrate"])
        assert done.exit_code == 1, (done.output, done.exception)
        lines = done.output.strip().splitlines()
        assert len(lines) == 1, done.output
        assert lines[0].startswith("thumblab: ")
        assert not any(part in lines[0] for part in (PASSWORD, PASSWORD[:12], "Traceback"))
        return lines[0]

    return run


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            ("nobody", "postgres"),
            r"refuses the user or the password .*password authentication failed.*Correct the user and",
        ),
        (("postgres", "no_such"), r"no database with the name .*no_such.*Correct the name"),
        (("postgres", "postgres", "127.0.0.1", "?sslmode=require"), r"server has no TLS.*sslmode=prefer"),
    ],
)
def test_a_wrong_url_is_explained(
    parts: tuple[str, ...], sentence: str, server: RealServer, complaint: Complaint
) -> None:
    assert re.search(sentence, complaint(server.url(*parts)))
    assert re.search(sentence, complaint(server.url(*parts), "db", "url", "--database", "mlflow"))


def test_the_status_says_why_an_external_server_cannot_be_used(
    server: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", server.url("nobody", "postgres"))
    settings.cache_clear()
    done = CliRunner().invoke(cli, ["db", "status"])
    assert "cannot be used\nThe server refuses the user or the password" in done.output


def test_a_read_only_server_is_explained(server: RealServer, new_place: NewPlace, complaint: Complaint) -> None:
    place = new_place("ALTER ROLE {0} SET default_transaction_read_only = on")
    for command in (["db", "migrate"], ["db", "url", "--database", "mlflow"]):
        assert re.search("is read-only.*primary", complaint(server.url(place, place), *command))


def test_a_lock_timeout_and_a_statement_timeout_are_explained(
    server: RealServer, new_place: NewPlace, complaint: Complaint
) -> None:
    place = new_place("ALTER ROLE {0} SET lock_timeout = '50ms'")
    with server.connect(place) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(7204115)")
        assert re.search("Another session holds a lock.*lock timeout", complaint(server.url(place, place)))
    server.do(f"ALTER ROLE {place} RESET ALL", f"ALTER ROLE {place} SET statement_timeout = '1ms'")
    assert re.search("ended a statement.*Raise statement_timeout", complaint(server.url(place, place)))


def test_a_role_without_a_place_for_mlflow_gets_the_statements_for_the_administrator(
    server: RealServer, new_place: NewPlace, complaint: Complaint
) -> None:
    place = new_place("ALTER DATABASE {0} OWNER TO postgres", "GRANT ALL ON SCHEMA public TO {0}")
    said = complaint(server.url(place, place), "db", "url", "--database", "mlflow_of_another")
    assert re.search(f'CREATE DATABASE mlflow_of_another OWNER "{place}"', said)
    server.do("CREATE DATABASE closed")
    said = complaint(server.url(place, place), "db", "url", "--database", "closed")
    assert f'ALTER DATABASE closed OWNER TO "{place}"' in said


def test_too_many_connections_are_explained(server: RealServer, new_place: NewPlace, complaint: Complaint) -> None:
    place = new_place()
    server.do(f"ALTER ROLE {place} CONNECTION LIMIT 0")
    assert re.search("takes no more connections", complaint(server.url(place, place)))


def test_a_schema_behind_a_pooler_is_refused_with_the_way_out(
    server: RealServer, new_place: NewPlace, complaint: Complaint
) -> None:
    place = new_place()
    pooler = server.pooler("transaction", ignore_startup_parameters="extra_float_digits,options")
    try:
        url = server.url(place, place, port=pooler.port)
        said = complaint(url, "db", "url", "--database", "mlflow_behind")
        assert re.search("behind a pooler.*own address.*CREATE DATABASE mlflow_behind OWNER", said)
        optioned = server.url(place, place, parameters="?options=-cwork_mem%3D8MB", port=pooler.port)
        assert not re.search("unsupported", complaint(optioned, "db", "url", "--database", "mlflow_behind"))
    finally:
        pooler.stop()


@pytest.mark.slow
def test_a_server_that_restarts_in_the_middle_is_transient_and_works_again(
    server: RealServer, new_place: NewPlace, complaint: Complaint
) -> None:
    place = new_place()
    url = server.url(place, place)
    engine = open_database(database_url(Settings(database_url=SecretStr(url))))
    with pytest.raises(DatabaseTroubleError, match="database ended the connection") as cut:  # noqa: SIM117
        with explained(), engine.begin() as connection:
            connection.execute(text("SELECT 1"))
            server.stop()
            connection.execute(text("SELECT 1"))
    assert cut.value.transient
    assert re.search("does not answer.*Connection refused.*its server runs", complaint(url))
    server.start()
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM videos")) == 0
    engine.dispose()


def test_a_server_that_starts_up_is_explained(server: RealServer, complaint: Complaint) -> None:
    # After SIGTERM, PostgreSQL waits for the end of its sessions and refuses new sessions. The lab reports this refusal
    # in the same way as a refusal by a server that is still starting.
    with server.connect() as session:
        session.execute("SELECT 1")
        assert server._process is not None
        server._process.terminate()
        said = ""
        for _ in range(100):
            try:
                server.connect().close()
            except psycopg.OperationalError:
                said = complaint(server.url("postgres", "postgres"))
                break
        assert re.search("starting, stopping or recovering.*Wait a moment", said)
    server._process.wait(30)
    server.start()


@pytest.mark.heavy
def test_a_server_without_pgvector_is_explained(plain_server: RealServer, complaint: Complaint) -> None:
    said = complaint(plain_server.url("postgres", "postgres"))
    assert re.search("no extension vector.*is not available.*install pgvector", said)
    assert "mlflow" in named_database_url(
        "mlflow", settings=Settings(database_url=SecretStr(plain_server.url("postgres", "postgres")))
    )


def test_an_extension_that_the_role_may_not_create_is_explained(
    server: RealServer, new_place: NewPlace, complaint: Complaint
) -> None:
    place = new_place(vector=False)
    assert re.search("permission denied.*run in this database: CREATE EXTENSION", complaint(server.url(place, place)))


def test_a_server_that_is_too_old_is_refused(new_database: Callable[[], str]) -> None:
    for fine in ((13, 0), (18, 1)):
        refuse_old(fine)
    with pytest.raises(LabError, match=r"PostgreSQL 12\.22, but the lab needs 13"):
        refuse_old((12, 22))
    migrate(new_database())


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [("ssl=true", "sslmode=require"), ("schema=lab", "SET search_path"), ("foo=1", "Remove it")],
)
def test_a_parameter_of_another_client_that_changes_the_connection_is_refused(
    parameter: str, sentence: str, server: RealServer, complaint: Complaint
) -> None:
    name = parameter.partition("=")[0]
    said = complaint(server.url("postgres", "postgres", parameters=f"?{parameter}"))
    assert re.search(f"does not know: {name}.*{sentence}", said)
