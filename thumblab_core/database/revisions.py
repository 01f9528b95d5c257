"""Read the revision of a database's tables, and refuse the tables of a newer version of the lab.

The module does not import Alembic, so that the scoring service can use this module without loading Alembic.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def known_revisions() -> list[str]:
    """Return the revisions that this version of the lab contains, the newest first.

    The file name of a migration starts with its revision.
    """
    return sorted((path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py")), reverse=True)


def revision_of(connection: "Connection") -> str | None:
    """Return the revision of the lab's tables in the database, or None if the database has no such tables."""
    from sqlalchemy import text

    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT max(version_num) FROM alembic_version"))
    return revision


def refuse_newer(connection: "Connection") -> None:
    """Raise LabError if a newer version of the lab has changed the tables of the database."""
    revision = revision_of(connection)
    if revision is not None and revision not in known_revisions():
        raise LabError(
            f"a newer version of the lab has changed this database ({revision}); install that version, or use another "
            "database"
        )
