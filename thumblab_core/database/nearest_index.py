"""Make an HNSW index in PostgreSQL for the vectors of one encoder, if comparing all vectors takes too long.

HNSW is a kind of index that finds nearest neighbours fast, but may miss some.

The column `embeddings.vector` has no dimension, because the vectors of different encoders differ in length. Therefore
an index contains the vectors of one encoder only, and casts them to the dimension of this encoder.
"""

import hashlib
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, Engine, text

from thumblab_core.database.engine import NO_IDLE_TIMEOUT
from thumblab_core.database.lock_numbers import NEAREST_INDEX

WORTHWHILE = 10_000
"""The number of vectors above which an encoder gets an index. Comparing fewer vectors takes milliseconds."""

_MOST_DIMENSIONS = 2_000  # This is the largest dimension that pgvector indexes at full precision.
_MOST_MEMORY_MB = 1_024

_FACTS = """
SELECT count(*) AS vector_count, min(vector_dims(vector)) AS least_dimension, max(vector_dims(vector)) AS dimension
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
    """Return the name of the encoder's index.

    The name contains a hash of the encoder's fingerprint. The fingerprint itself may have characters and a length that
    PostgreSQL does not allow in a name.
    """
    return f"ix_embeddings_hnsw_{hashlib.sha256(f'{dimension} {encoder}'.encode()).hexdigest()[:20]}"


def has_index(connection: Connection, encoder: str, dimension: int) -> bool:
    """Return whether the encoder has an index that searches can use.

    An index that is still being made does not count.
    """
    return connection.execute(text(_STATE), {"name": index_name(encoder, dimension)}).scalar() is True


def ensure_index(engine: Engine, encoder: str, worthwhile: int = WORTHWHILE) -> bool:
    """Make an index for the encoder if the encoder has more than `worthwhile` vectors. Return whether the encoder has
    an index now.

    If the vectors have more than 2,000 numbers or different dimensions, pgvector cannot index the vectors, and no index
    is made.

    An existing index is kept. Readers and writers continue while the index is made. The remains of an interrupted
    attempt are dropped first. If another process is making the index, this process does nothing and returns False.
    """
    with engine.begin() as connection:
        facts = connection.execute(text(_FACTS), {"encoder": encoder}).one()
        one_dimension = facts.least_dimension == facts.dimension
        if facts.vector_count <= worthwhile or not one_dimension or facts.dimension > _MOST_DIMENSIONS:
            return False
        if has_index(connection, encoder, facts.dimension):
            return True
    with engine.begin() as holder:
        # CREATE INDEX CONCURRENTLY waits for the end of every transaction that has touched the table, or that itself
        # waits for a lock. The transaction that holds the advisory lock stays open until CREATE INDEX ends. If this
        # transaction touched the table or waited for a lock, the transaction and CREATE INDEX would wait for each other
        # for ever (a deadlock). Therefore the transaction touches no table. It requests the advisory lock with a
        # function that does not wait if another process has the lock.
        holder.execute(text(NO_IDLE_TIMEOUT))
        if not holder.execute(text("SELECT pg_try_advisory_xact_lock(:all, :one)"), lock_of(encoder)).scalar_one():
            return False
        schema = holder.execute(text(_SCHEMA)).scalar_one()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _drop(connection, encoder, facts.dimension)
            _make(connection, schema, encoder, facts.dimension, facts.vector_count)
    return True


def lock_of(encoder: str) -> dict[str, int]:
    """Return the two numbers of the advisory lock that a process holds while it makes the index of the encoder."""
    return {"all": NEAREST_INDEX, "one": int.from_bytes(hashlib.sha256(encoder.encode()).digest()[:4], signed=True)}


def _make(connection: Connection, schema: str, encoder: str, dimension: int, vector_count: int) -> None:
    # Making the index takes much less time if the whole index fits into memory. Each vector takes memory for its
    # numbers and for about 32 links to other vectors.
    memory = min(_MOST_MEMORY_MB, 64 + vector_count * (4 * dimension + 500) // 2**20)
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
        # On a closed connection, RESET would raise a new error, and hide the error that closed the connection.
        if not driver.closed:
            connection.execute(text("RESET maintenance_work_mem"))


def _drop(connection: Connection, encoder: str, dimension: int) -> None:
    name = sql.Identifier(index_name(encoder, dimension))
    _run(connection, sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {name}").format(name=name))


def _run(connection: Connection, statement: sql.Composed) -> None:
    """Run a statement without parameters directly with the driver psycopg.

    SQLAlchemy would look for parameters in the quoted names and values of the statement.
    """
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.execute(statement)
