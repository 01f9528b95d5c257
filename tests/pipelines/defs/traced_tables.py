"""Trace which tables, releases and pointers a piece of code reads and writes.

PostgreSQL locks each table that a transaction uses. The mode of the lock shows whether the transaction reads or writes
the table. Statements that do not go through SQLAlchemy, such as COPY, are therefore traced too. A view is traced as the
tables that it reads. Releases are traced in the functions with which the release store reads and writes folders.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, event

from thumblab_core.releases import scope_folder
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope_folder import ScopeFolder

_LOCKED = """
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
"""
# When PostgreSQL checks a foreign key, it takes a lock of the mode RowShareLock. The tracing ignores this lock.
_READS, _WRITES = "AccessShareLock", "RowExclusiveLock"


@dataclass
class Touched:
    """The names of the tables, releases and pointers that were read and written.

    A release of the kind index is named `release index`.
    """

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)


@contextmanager
def tracing(database: URL) -> Iterator[Touched]:
    """Record what this process reads and writes inside the `with` block, and yield the record.

    The record contains each table of `database` and each release that any thread reads or writes. Database engines that
    are made inside the block are traced too.
    """
    touched = Touched()

    def note_tables(connection: Connection) -> None:
        cursor = connection.connection.cursor()
        try:
            for name, mode in cursor.execute(_LOCKED).fetchall():
                if mode == _READS:
                    touched.reads.add(name)
                elif mode == _WRITES:
                    touched.writes.add(name)
        finally:
            cursor.close()

    def note(kind: str, reads: bool, function: Any) -> Any:
        """Return a function that records a release and then calls `function`.

        The record contains the kind of the release. The kind is the first argument, or the attribute `kind` of an
        argument.
        """

        def noted(first: Any, *rest: Any, **named: Any) -> Any:
            of = first if isinstance(first, str) else first.kind if isinstance(first, ScopeFolder) else rest[0]
            (touched.reads if reads else touched.writes).add(f"{kind} {of}")
            return function(first, *rest, **named)

        return noted

    def note_end(connection: Connection) -> None:
        if connection.engine.url == database and not connection.invalidated:
            note_tables(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scope_folder, "read_release", note("release", True, scope_folder.read_release))
        patch.setattr(ReleaseStore, "publish", note("release", False, ReleaseStore.publish))
        patch.setattr(ScopeFolder, "pointer", note("pointer", True, ScopeFolder.pointer))
        patch.setattr(ScopeFolder, "move_pointer", note("pointer", False, ScopeFolder.move_pointer))
        for moment in ("commit", "rollback"):
            event.listen(Engine, moment, note_end)
        try:
            yield touched
        finally:
            for moment in ("commit", "rollback"):
                event.remove(Engine, moment, note_end)
