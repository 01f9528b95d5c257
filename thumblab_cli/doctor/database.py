"""Check that the database answers.

Check the version of the server, the extension pgvector, the lab's tables and the rights of the role.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from thumblab_cli.doctor.examined import Examined, NotRunningError
from thumblab_cli.doctor.finding import Finding, error, fine, skipped, warning
from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

_OLDEST_SERVER = 150_000
"""PostgreSQL 15. Older versions get no security fixes any more."""
_OLDEST_EXTENSION = (0, 8)
"""pgvector 0.8. Older versions lack the iterative index scans that the search in large libraries uses."""
_BUSY = 0.9

_FACTS = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
  current_setting('default_transaction_read_only')::bool OR pg_is_in_recovery() AS read_only,
  (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS extension,
  EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') AS available,
  current_setting('max_connections')::int AS most, (SELECT sum(numbackends) FROM pg_stat_database)::int AS used,
  pg_backend_pid() AS backend, current_schema() AS schema,
  has_schema_privilege(current_schema(), 'CREATE') AS may_create
"""


def database(examined: Examined) -> Iterator[Finding]:
    """Check the database with queries. These queries change nothing, and no server is started."""
    from thumblab_core.embedded_postgres.server import other_host

    external = examined.settings.database_url is not None
    holder = None if external else other_host(examined.settings)
    if holder is not None:
        yield error(
            f"the database of the data folder is in use by {holder}",
            f"stop the lab there; if that machine or container no longer exists, run: {examined.up('db take-over')}",
        )
        return
    try:
        with examined.database() as connection:
            yield from _asked(connection, external, examined)
    except NotRunningError as reason:
        yield skipped(str(reason))
    except LabError as problem:
        own = f"{examined.up('db stop --force')}, and run the doctor again after the next command"
        yield error(
            str(problem), "correct THUMBLAB_DATABASE_URL, or start the server that it names" if external else own
        )


def _asked(connection: "Connection", external: bool, examined: Examined) -> Iterator[Finding]:
    from sqlalchemy import text

    facts = connection.execute(text(_FACTS)).one()
    faults = [*_faults_of_server(facts), *_schema(connection, examined, facts.schema, bool(facts.may_create))]
    yield from faults
    if faults:
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    # If the server and the driver give different process ids, a connection pooler is between the client and the server.
    pooled = " behind a pooler" if facts.backend != driver.info.backend_pid else ""
    kind = f"an external server{pooled}" if external else "the lab's own server"
    yield fine(f"{kind}, PostgreSQL {facts.version}, pgvector {facts.extension}, the tables are current")


def _faults_of_server(facts: "Row[Any]") -> Iterator[Finding]:
    if facts.number < _OLDEST_SERVER:
        yield warning(
            f"PostgreSQL {facts.version} gets no security fixes any more", "upgrade the server to 15 or later"
        )
    if facts.read_only:
        yield error("the database is read-only", "use the address of the primary server in THUMBLAB_DATABASE_URL")
    if facts.used >= facts.most * _BUSY:
        yield warning(
            f"{facts.used} of {facts.most} connections of the server are in use", "raise max_connections of the server"
        )
    if facts.extension is None:
        by_hand = "CREATE EXTENSION vector (in this database, as its owner)"
        mend = by_hand if facts.available else "install pgvector on the server"
        yield error("the extension vector is missing", f"thumblab db migrate, or if that is refused: {mend}")
    elif tuple(int(part) for part in facts.extension.split(".")[:2]) < _OLDEST_EXTENSION:
        what = f"pgvector is {facts.extension}, and the lab needs 0.8"
        yield warning(what, "ALTER EXTENSION vector UPDATE (in this database)")


def _schema(connection: "Connection", examined: Examined, schema: str | None, may_create: bool) -> Iterator[Finding]:
    """Compare the schema version of the database with the migrations of this version of the lab."""
    from alembic.migration import MigrationContext

    from thumblab_core.database.revisions import known_revisions

    known = known_revisions()
    found = MigrationContext.configure(connection).get_current_heads()
    unknown = [revision for revision in found if revision not in known]
    if unknown:
        yield error(
            f"a newer version of the lab has changed the tables ({unknown[0]})",
            "install that version of the lab, or use another database",
        )
    elif known[0] not in found:
        state = f"the tables are at version {found[0]}, not {known[0]}" if found else "the lab has no tables yet"
        yield warning(f"{state}; the next command brings them up to date", examined.command("db migrate"))
        if not may_create:
            yield error(
                f"the role of THUMBLAB_DATABASE_URL may not make tables in the schema {schema}",
                f"ask the administrator to run: GRANT CREATE ON SCHEMA {schema} TO the role",
            )
