"""Read the result of a query as columns.

Columns need much less time and memory than one Python object for each value. PostgreSQL sends the rows as CSV, and
pyarrow parses them while they arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 8 * 2**20
"""Number of bytes that pyarrow parses at a time. No row may be longer."""


def read_columns(
    connection: Connection, query: str, types: Mapping[str, str], parameters: Mapping[str, Any]
) -> pa.Table:
    """Return the result of an SQL query as a table.

    Args:
        connection: A connection to PostgreSQL.
        query: The query, with parameters in the form :name.
        types: The type of each column of the result, by its name: "string", "int64", "float64" or "bool".
            Numbers are exact. An unknown value (NULL) stays different from an empty text.
        parameters: The values of the parameters.
    """
    import pyarrow as pa
    from pyarrow import csv

    # SQLAlchemy has no function for COPY, so the database driver is called directly. The driver needs parameters in the
    # form %(name)s, and this line converts them from the form :name.
    statement = str(text(f"COPY ({query}) TO STDOUT (FORMAT CSV, HEADER)").compile(dialect=connection.dialect))
    cursor: Any = connection.connection.cursor()
    with cursor.copy(statement, parameters) as copy:
        return csv.read_csv(
            pa.PythonFile(_Stream(copy), "r"),
            csv.ReadOptions(block_size=_BLOCK),
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            csv.ConvertOptions(
                include_columns=list(types),
                column_types={name: pa.type_for_alias(alias) for name, alias in types.items()},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,  # PostgreSQL quotes an empty text, but not NULL.
                true_values=["t"],
                false_values=["f"],
            ),
        )


class _Stream:
    """The output of PostgreSQL's COPY, as a file that pyarrow can read."""

    closed = False

    def __init__(self, copy: Any) -> None:
        self._copy = copy
        self._read = bytearray()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or all that are left. The driver returns one row at a time."""
        while len(self._read) < size and (row := self._copy.read()):
            self._read += row
        part = bytes(memoryview(self._read)[:size])
        del self._read[:size]
        return part

    def close(self) -> None:
        """Do nothing. The `with` block of the COPY ends the COPY."""
