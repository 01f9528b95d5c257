"""Trace which tables, releases and pointers a piece of code reads and writes.

PostgreSQL itself says which tables a transaction touches: it locks each of them, in a mode that tells reading from
writing. A statement that goes around SQLAlchemy, such as COPY, is therefore traced too, and a view is traced as the
tables that it reads. Releases are traced where the store reads and writes their folders.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, event

from thumblab_core.releases import release_store, scope_folder
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope_folder import ScopeFolder

_LOCKED = """
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
"""
# A check of a foreign key takes the mode RowShareLock, which counts as neither.
_READS, _WRITES = "AccessShareLock", "RowExclusiveLock"


@dataclass
class Touched:
    """The tables, and the releases and pointers by kind, that were read and written. `release index` is a release."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)


@contextmanager
def tracing(database: URL) -> Iterator[Touched]:
    """Yield an object that records what all threads of this process touch in `database` and in releases.

    Engines that are made inside the `with` block are traced too.
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
        """Return `function` with a first argument whose attribute `kind`, or which itself, is a kind of release."""

        def noted(first: Any, *rest: Any, **named: Any) -> Any:
            of = first if isinstance(first, str) else first.kind if isinstance(first, ScopeFolder) else rest[0]
            (touched.reads if reads else touched.writes).add(f"{kind} {of}")
            return function(first, *rest, **named)

        return noted

    def note_end(connection: Connection) -> None:
        if connection.engine.url == database and not connection.invalidated:
            note_tables(connection)

    with pytest.MonkeyPatch.context() as patch:
        for module in (release_store, scope_folder):
            patch.setattr(module, "read_release", note("release", True, module.read_release))
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
