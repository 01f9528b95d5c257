"""Find or make a place for the tables of another program, such as MLflow or Dagster, on an external server.

The place is a database of its own. If the role may not create databases, the place is a schema in the lab's database.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thumblab_core.database.connect import connect, parameters_of
from thumblab_core.database.troubles import DatabaseTroubleError, first_line, trouble_of
from thumblab_core.errors import LabError

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import URL

_FACTS = """
SELECT current_database(), current_user, pg_backend_pid(), current_setting('transaction_read_only') = 'on',
  (SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE')
    FROM pg_namespace WHERE nspname = %(name)s),
  (SELECT has_database_privilege(oid, 'CONNECT') FROM pg_database WHERE datname = %(name)s)
"""
_MAY_MAKE_TABLES = """
SELECT current_schema(), has_schema_privilege(current_schema(), 'CREATE')
  OR EXISTS (SELECT FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r')
"""


@dataclass(frozen=True)
class _Facts:
    """What the server says about the schema and the database that are called `name`. One of the two gets the tables."""

    database: str
    role: str
    pooled: bool
    """Whether a pooler is between the lab and the server."""
    schema_usable: bool | None
    """Whether the role may make tables in the schema `name`. None if there is no such schema."""
    connectable: bool | None
    """Whether the role may connect to the database `name`. None if there is no such database."""


def find_or_make(external: "URL", name: str) -> "URL":
    """Return the URL of the database or schema called `name`. `external` is the URL of the lab's database.

    If the lab's database has a schema of this name, the schema is used even if a database of this name exists. So the
    tables stay in the same place if an administrator creates the database later.

    Raises LabError if neither can be made, or if the role may not make tables in the chosen one.
    """
    with connect(parameters_of(external)) as connection:
        facts = _ask(connection, name)
        if not facts.schema_usable:
            if facts.connectable:
                return _checked_database(external, name, facts.role)
            refusal = "it exists, but the role may not connect to it"
            if facts.connectable is None:
                refused = _make_database(connection, name)
                if refused is None:
                    return _checked_database(external, name, facts.role)
                refusal = refused
            _make_schema(connection, name, facts, refusal)
    return _checked_schema(external, name, facts)


def make_database(connection: "psycopg.Connection", name: str) -> None:
    """Create the database `name`. Another process may create it at the same time."""
    import psycopg
    from psycopg import sql

    try:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return  # Another process created the database first, so there is nothing left to do.


def _ask(connection: "psycopg.Connection", name: str) -> _Facts:
    row = connection.execute(_FACTS, {"name": name}).fetchone()
    assert row is not None
    database, role, backend, read_only, schema_usable, connectable = row
    if read_only:
        raise DatabaseTroubleError(
            f"The database is read-only, and {name} needs to write. Set THUMBLAB_DATABASE_URL to the primary server, "
            "and not to a standby; if this is the primary, set default_transaction_read_only to off for the role and "
            "the database"
        )
    # Compare two ids of the server's process: the id that the server sent when the connection was made, and the id of
    # the process that answers now. If they differ, a pooler is in front of the server.
    return _Facts(database, role, backend != connection.info.backend_pid, schema_usable, connectable)


def _make_database(connection: "psycopg.Connection", name: str) -> str | None:
    """Create the database `name`. Return the server's reason if the role has no right to create databases."""
    import psycopg

    try:
        make_database(connection, name)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported) as error:
        return first_line(error)
    except psycopg.Error as error:
        raise LabError(
            f"The server of THUMBLAB_DATABASE_URL has no database {name} and does not let the lab create it "
            f"({first_line(error)}). Ask its administrator to run: CREATE DATABASE {name}"
        ) from None
    return None


def _make_schema(connection: "psycopg.Connection", name: str, facts: _Facts, refusal: str) -> None:
    import psycopg
    from psycopg import sql

    role = sql.Identifier(facts.role).as_string(connection)
    try:
        if facts.schema_usable is False:
            raise LabError(
                f"The role of THUMBLAB_DATABASE_URL may not use the database {name} ({refusal}), and may not make "
                f"tables in the schema {name}. Ask the server's administrator to run in the database {facts.database}: "
                f"GRANT USAGE, CREATE ON SCHEMA {name} TO {role}"
            )
        _refuse_pooler(name, facts)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    except (psycopg.errors.DuplicateSchema, psycopg.errors.UniqueViolation):
        return  # Another process created the schema first, so there is nothing left to do.
    except psycopg.Error as error:
        raise LabError(
            f"The lab cannot use a database {name} on the server of THUMBLAB_DATABASE_URL ({refusal}), and cannot "
            f"create a schema {name} instead ({first_line(error)}). Ask the server's administrator to run: "
            f"CREATE DATABASE {name} OWNER {role}"
        ) from None


def _refuse_pooler(name: str, facts: _Facts) -> None:
    """Raise LabError if a pooler is in front of the server, because a pooler may mix the search paths of its clients."""
    if facts.pooled:
        raise LabError(
            f"The role of THUMBLAB_DATABASE_URL may not create a database {name}, and the lab cannot keep {name} in a "
            "schema behind a pooler. Set THUMBLAB_DATABASE_URL to the server's own address, or ask its administrator "
            f'to run: CREATE DATABASE {name} OWNER "{facts.role}"'
        )


def _checked_database(external: "URL", name: str, role: str) -> "URL":
    """Return the URL of the database. Raise LabError if the role may not make tables in this database.

    Also raise LabError if the connection fails. For example, a pooler in front of the server may have no entry for the
    database.
    """
    url = external.set(database=name)
    if not _may_make_tables(url)[1]:
        raise LabError(
            f"The role of THUMBLAB_DATABASE_URL may not make tables in the database {name}. Ask the server's "
            f'administrator to run: ALTER DATABASE {name} OWNER TO "{role}"'
        )
    return url


def _checked_schema(external: "URL", name: str, facts: _Facts) -> "URL":
    _refuse_pooler(name, facts)
    given = external.query.get("options", "")
    url = external.update_query_dict({"options": f"{given} -csearch_path={name}".strip()})
    if _may_make_tables(url) != (name, True):
        raise LabError(
            f"The connection of THUMBLAB_DATABASE_URL cannot make tables in the schema {name}, although the option "
            "search_path names this schema. A pooler may have dropped the option. Set THUMBLAB_DATABASE_URL to the "
            "address of the PostgreSQL server itself"
        )
    return url


def _may_make_tables(url: "URL") -> tuple[str | None, bool]:
    """Return the first schema of the search path, and whether the role may make tables in this schema or already has
    some there.
    """
    import psycopg

    with connect(parameters_of(url)) as connection:
        try:
            row = connection.execute(_MAY_MAKE_TABLES).fetchone()
        except psycopg.Error as error:
            raise trouble_of(error) or error from None
    return (None, False) if row is None else (row[0], bool(row[1]))
