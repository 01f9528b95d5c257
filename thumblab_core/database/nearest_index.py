"""The HNSW index of one encoder's vectors in PostgreSQL: made where comparing them all takes too long, and taken away.

The column `embeddings.vector` has no dimension, because encoders differ in it: an index is over the vectors of one encoder,
cast to its dimension.
"""

import hashlib
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, Engine, text

from thumblab_core.database.engine import HELD

WORTHWHILE = 10_000
"""Vectors of an encoder from which on an index is made; up to here comparing with all of them takes milliseconds."""

_MOST_DIMENSIONS = 2_000  # that pgvector indexes at full precision
_MOST_MEMORY_MB = 1_024
_LOCK = 7_204_116  # any number that no other program takes as an advisory lock in this database

_FACTS = """
SELECT count(*) AS held, min(vector_dims(vector)) AS least, max(vector_dims(vector)) AS most
FROM embeddings WHERE encoder = :encoder
"""
_STATE = """
SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'embeddings'::regclass AND c.relname = :name
"""
_SCHEMA = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""


def index_name(encoder: str, dimension: int) -> str:
    """Whatever characters a fingerprint holds, and however many."""
    return f"ix_embeddings_hnsw_{hashlib.sha256(f'{dimension} {encoder}'.encode()).hexdigest()[:20]}"


def has_index(connection: Connection, encoder: str, dimension: int) -> bool:
    """Whether there is one that searches can use: not while it is being made."""
    return connection.execute(text(_STATE), {"name": index_name(encoder, dimension)}).scalar() is True


def ensure_index(engine: Engine, encoder: str, worthwhile: int = WORTHWHILE) -> bool:
    """Make the index of the encoder where it has more vectors than that and none yet. Returns whether there is one now.

    Writers and readers go on meanwhile. What an interrupted attempt left is taken away first; while another process makes
    it, this one leaves it to that one and returns False.
    """
    with engine.begin() as connection:
        facts = connection.execute(text(_FACTS), {"encoder": encoder}).one()
        if facts.held <= worthwhile or facts.least != facts.most or facts.most > _MOST_DIMENSIONS:
            return False
        if has_index(connection, encoder, facts.most):
            return True
    with engine.begin() as holder:
        # It touches no table, and the lock is never waited for: making an index concurrently waits for whoever waits.
        holder.execute(text(HELD))
        if not holder.execute(text("SELECT pg_try_advisory_xact_lock(:all, :one)"), lock_of(encoder)).scalar_one():
            return False
        schema = holder.execute(text(_SCHEMA)).scalar_one()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _drop(connection, encoder, facts.most)
            _make(connection, schema, encoder, facts.most, facts.held)
    return True


def lock_of(encoder: str) -> dict[str, int]:
    """The two numbers of the advisory lock that whoever makes an index of the encoder holds."""
    return {"all": _LOCK, "one": int.from_bytes(hashlib.sha256(encoder.encode()).digest()[:4], signed=True)}


def drop_index(engine: Engine, encoder: str) -> None:
    """Take the index of the encoder away, where there is one; its vectors stay."""
    with engine.begin() as connection:
        dimensions = "SELECT DISTINCT vector_dims(vector) FROM embeddings WHERE encoder = :encoder"
        found = connection.scalars(text(dimensions), {"encoder": encoder}).all()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for dimension in found:
            _drop(connection, encoder, dimension)


def _make(connection: Connection, schema: str, encoder: str, dimension: int, count: int) -> None:
    # In memory as long as it fits, which is many times as fast; a vector and about 32 links for each.
    memory = min(_MOST_MEMORY_MB, 64 + count * (4 * dimension + 500) // 2**20)
    connection.execute(text(f"SET maintenance_work_mem = '{memory}MB'"))
    statement = sql.SQL(
        "CREATE INDEX CONCURRENTLY {name} ON embeddings USING hnsw "
        "((vector::{schema}.vector({dimension})) {schema}.vector_ip_ops) WHERE encoder = {encoder}"
    )
    try:
        _run(
            connection,
            statement.format(
                name=sql.Identifier(index_name(encoder, dimension)),
                schema=sql.Identifier(schema),
                dimension=sql.Literal(dimension),
                encoder=sql.Literal(encoder),
            ),
        )
    finally:
        driver: Any = connection.connection.dbapi_connection
        if not driver.closed:  # else the error that closed it is the one to raise
            connection.execute(text("RESET maintenance_work_mem"))


def _drop(connection: Connection, encoder: str, dimension: int) -> None:
    name = sql.Identifier(index_name(encoder, dimension))
    _run(connection, sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {name}").format(name=name))


def _run(connection: Connection, statement: sql.Composed) -> None:
    """By the driver: such statements take no parameters, and SQLAlchemy would look for some inside of the quotes."""
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.execute(statement)
