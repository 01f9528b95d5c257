"""Read and change the table `niches`. Each change also updates the niche file (module `niche_file`)."""

import logging
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, text, update

from thumblab_core.database.lock_numbers import NICHES
from thumblab_core.database.tables import niches
from thumblab_core.errors import LabError
from thumblab_core.niches.names import LARGEST_NICHES, NicheConflictError, UnknownNicheError, check_new_name
from thumblab_core.niches.niche import Niche, checked, described
from thumblab_core.niches.niche_file import NICHE_FILE, read_names, read_restored, write_names

_log = logging.getLogger(__name__)

_NOT_GIVEN = ("added_at", "retired_at", "version")


def all_niches(connection: Connection, retired: bool = False) -> list[Niche]:
    """Return the niches in the order in which they were added. With `retired`, also return the retired niches."""
    statement = select(niches).order_by(niches.c.number)
    if not retired:
        statement = statement.where(niches.c.retired_at.is_(None))
    return [_niche(row) for row in connection.execute(statement)]


def niche_names(engine: Engine) -> tuple[str, ...]:
    """Return the names of the niches that are not retired, in the order in which they were added."""
    with engine.connect() as connection:
        return _names(connection)


def niche_named(connection: Connection, name: str) -> Niche:
    """Return the niche with this name, even if it is retired. Raises `UnknownNicheError` if there is no such niche."""
    row = connection.execute(select(niches).where(niches.c.name == name)).one_or_none()
    if row is None:
        raise UnknownNicheError(name, _names(connection))
    return _niche(row)


def active_niche(connection: Connection, name: str) -> Niche:
    """Return a niche that is not retired. Raises `UnknownNicheError` if there is no such niche, and `LabError` if it is
    retired.
    """
    niche = niche_named(connection, name)
    if niche.retired_at is not None:
        raise LabError(f"{name} is retired, so it is not collected; `thumblab niche restore {name}` restores it")
    return niche


def add_niche(engine: Engine, data_dir: Path, niche: Niche) -> Niche:
    """Add a niche as `insert_niche` does, write the niche file, and return the stored niche."""
    with engine.begin() as connection:
        stored = insert_niche(connection, niche)
    update_niche_file(engine, data_dir)
    return stored


def insert_niche(connection: Connection, niche: Niche) -> Niche:
    """Add a niche in the transaction of `connection`, and return the stored niche. The niche file is not written.

    Raises `LabError` if a value of `niche` is not allowed, and `NicheConflictError` if the name is taken or if the lab
    has too many niches.
    """
    niche = require_new(connection, niche)
    connection.execute(insert(niches).values(_values(niche)))
    return niche_named(connection, niche.name)


def require_new(connection: Connection, niche: Niche) -> Niche:
    """Return the niche as `insert_niche` would store it, without storing it. Raises the errors of `insert_niche`.

    Nobody else can add a niche until the transaction of `connection` ends.
    """
    niche = checked(niche)
    check_new_name(niche.name)
    _lock(connection)
    known = connection.execute(select(niches.c.retired_at).where(niches.c.name == niche.name)).one_or_none()
    if known is not None:
        hint = (
            f"change it with `thumblab niche edit {niche.name}`"
            if known.retired_at is None
            else f"it is retired; `thumblab niche restore {niche.name}` restores it"
        )
        raise NicheConflictError(f"there is a niche {niche.name} already; {hint}")
    _refuse_too_many(connection)
    return niche


def edit_niche(engine: Engine, niche: Niche) -> Niche:
    """Change a niche as `update_niche` does, and return the stored niche."""
    with engine.begin() as connection:
        return update_niche(connection, niche)


def update_niche(connection: Connection, niche: Niche) -> Niche:
    """Replace the stored values of a niche, except its dates, in the transaction of `connection`. Return the stored
    niche. Raises the errors of `require_unchanged`.
    """
    niche = require_unchanged(connection, niche)
    connection.execute(
        update(niches).where(niches.c.name == niche.name).values(_values(niche) | {"version": niche.version + 1})
    )
    return niche_named(connection, niche.name)


def require_unchanged(connection: Connection, niche: Niche) -> Niche:
    """Check a changed niche, and return it as `update_niche` would store it, but with its old version. Nothing is
    stored.

    Nobody else can change a niche until the transaction of `connection` ends. `niche.version` must be the version that
    the caller has read and changed. Raises `LabError` if a value of `niche` is not allowed, and `UnknownNicheError` if
    there is no such niche. If another person has changed the niche since the caller read it, raises
    `NicheConflictError` with the present state of the niche.
    """
    niche = checked(niche)
    _lock(connection)
    present = niche_named(connection, niche.name)
    if present.version != niche.version:
        raise NicheConflictError(
            f"somebody else has changed {niche.name} since you read it, so your change was not made; the niche now "
            f"has {described(present)}"
        )
    return replace(niche, added_at=present.added_at, retired_at=present.retired_at)


def retire_niche(engine: Engine, data_dir: Path, name: str) -> bool:
    """Retire a niche as `retire` does, and write the niche file. Return whether the niche was active before."""
    with engine.begin() as connection:
        was_active = retire(connection, name)
    update_niche_file(engine, data_dir)
    return was_active


def retire(connection: Connection, name: str) -> bool:
    """Retire a niche in the transaction of `connection`, and return whether it was active before. The niche file is
    not written.

    Raises `UnknownNicheError` if there is no such niche, and `NicheConflictError` if it is the only niche that is not
    retired.
    """
    _lock(connection)
    if niche_named(connection, name).retired_at is not None:
        return False
    if _names(connection) == (name,):
        raise NicheConflictError(f"{name} is the only niche of the lab; add another niche before you retire it")
    connection.execute(update(niches).where(niches.c.name == name).values(retired_at=func.now()))
    return True


def restore_niche(engine: Engine, data_dir: Path, name: str) -> bool:
    """Restore a niche as `restore` does, and write the niche file. Return whether the niche was retired."""
    with engine.begin() as connection:
        was_retired = restore(connection, name)
    update_niche_file(engine, data_dir)
    return was_retired


def restore(connection: Connection, name: str) -> bool:
    """Restore a retired niche in the transaction of `connection`, and return whether it was retired. The niche file
    is not written.

    Raises `UnknownNicheError` if there is no such niche, and `NicheConflictError` if the lab has too many niches.
    """
    _lock(connection)
    if niche_named(connection, name).retired_at is None:
        return False
    _refuse_too_many(connection)
    connection.execute(update(niches).where(niches.c.name == name).values(retired_at=None, restored_at=func.now()))
    return True


def require_retired(connection: Connection, name: str) -> None:
    """Raise `LabError` if a niche is not retired, and `UnknownNicheError` if there is no such niche.

    The niche stays retired until the transaction of `connection` ends.
    """
    _lock(connection)
    if niche_named(connection, name).retired_at is None:
        raise LabError(f"{name} is not retired; `thumblab niche retire {name} --forget` retires and forgets it")


def delete_retired(connection: Connection, name: str) -> None:
    """Delete the row of a retired niche in the transaction of `connection`. If the niche is not retired, nothing is
    deleted. The niche file is not written.
    """
    _lock(connection)
    connection.execute(delete(niches).where(niches.c.name == name, niches.c.retired_at.is_not(None)))


def update_niche_file(engine: Engine, data_dir: Path) -> None:
    """Write the niche file as `write_niche_file` does. If the file cannot be written, log a warning.

    An error would be wrong here, because the caller has already changed the table, or only opens the lab.
    """
    try:
        write_niche_file(engine, data_dir)
    except LabError as error:
        _log.warning("%s", error)


def write_niche_file(engine: Engine, data_dir: Path) -> None:
    """Write the niches of the table to the niche file, unless the file has the same niches already. A missing
    file is not made while the table has only the niches that every new lab has.

    Raises `LabError` if the file cannot be written.
    """
    with engine.connect() as connection:
        path = data_dir / NICHE_FILE
        if read_names(path) == _names(connection) and read_restored(path) == _restored(connection):
            return
    with engine.begin() as connection:
        _lock(connection)
        names, restored = _names(connection), _restored(connection)
        try:
            write_names(data_dir, names, restored)
        except OSError as error:
            raise LabError(
                f"the list of niches {data_dir / NICHE_FILE} cannot be written ({error.strerror}), so the service keeps "
                "its old list; make the folder writable"
            ) from None


def _lock(connection: Connection) -> None:
    """Wait until no other transaction changes the niches or the niche file. The lock ends with the transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": NICHES})


def _names(connection: Connection) -> tuple[str, ...]:
    statement = select(niches.c.name).where(niches.c.retired_at.is_(None)).order_by(niches.c.number)
    return tuple(connection.scalars(statement))


def _restored(connection: Connection) -> dict[str, datetime]:
    statement = select(niches.c.name, niches.c.restored_at).where(
        niches.c.retired_at.is_(None), niches.c.restored_at.is_not(None)
    )
    return {row.name: row.restored_at for row in connection.execute(statement)}


def _refuse_too_many(connection: Connection) -> None:
    if len(_names(connection)) >= LARGEST_NICHES:
        raise NicheConflictError(
            f"the lab has {LARGEST_NICHES} niches, and more are not allowed; retire one with `thumblab niche retire`"
        )


def _values(niche: Niche) -> dict[str, object]:
    values = {name: value for name, value in asdict(niche).items() if name not in _NOT_GIVEN}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _niche(row: Row[tuple[object, ...]]) -> Niche:
    found = row._mapping
    return Niche(
        name=found["name"],
        category_id=found["category_id"],
        region=found["region"],
        language=found["language"],
        searches=tuple(found["searches"]),
        channels=tuple(found["channels"]),
        exclude=tuple(found["exclude"]),
        added_at=found["added_at"],
        retired_at=found["retired_at"],
        version=found["version"],
    )
