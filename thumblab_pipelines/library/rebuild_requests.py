"""Store, read and close requests to rebuild the index of a niche.

A request stays open until the service serves a build that read the database after the time of the request.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import index_rebuilds
from thumblab_core.releases.release import Release
from thumblab_pipelines.lab import Lab


@dataclass(frozen=True)
class RebuildRequest:
    """A request to rebuild the index of a niche."""

    niche: str
    asked_at: datetime
    reason: str


def request_rebuild(lab: Lab, niche: str, reason: str) -> None:
    """Store a request to rebuild the niche's index. The Dagster sensor `index_rebuilds` then starts the rebuild."""
    with lab.engine.begin() as connection:
        store_request(connection, niche, reason)


def store_request(connection: Connection, niche: str, reason: str) -> None:
    """Do the same as `request_rebuild`, but in the transaction of `connection`."""
    statement = insert(index_rebuilds).values(niche=niche, reason=reason)
    changed = {"reason": reason, "asked_at": func.now()}
    connection.execute(statement.on_conflict_do_update(index_elements=["niche"], set_=changed))


def open_rebuild_requests(lab: Lab) -> list[RebuildRequest]:
    """Return the open requests, ordered by niche."""
    statement = select(index_rebuilds.c.niche, index_rebuilds.c.asked_at, index_rebuilds.c.reason)
    with lab.engine.connect() as connection:
        return [RebuildRequest(*row) for row in connection.execute(statement.order_by(index_rebuilds.c.niche))]


def request_time(lab: Lab, niche: str) -> datetime | None:
    """Return the time of the niche's open request, or None if the niche has no open request."""
    with lab.engine.connect() as connection:
        return connection.scalar(select(index_rebuilds.c.asked_at).where(index_rebuilds.c.niche == niche))


def close_request_made_at(lab: Lab, niche: str, asked_at: datetime | None) -> None:
    """Close the request of the niche if it was made at `asked_at`. A later request stays open."""
    _close(lab, niche, index_rebuilds.c.asked_at == asked_at)


def close_request_answered_by(lab: Lab, release: Release) -> None:
    """Close the request of the niche if the build of `release` answers it.

    A build answers the request that was open when the build read the database.
    """
    if "answers" in release.info:
        asked = release.info["answers"]
        close_request_made_at(lab, release.scope, datetime.fromisoformat(asked) if asked else None)
    else:  # An early version of the lab made the release, and did not record the answered request.
        _close(lab, release.scope, index_rebuilds.c.asked_at <= as_of(release))


def as_of(release: Release) -> datetime:
    """Return when the build of the release read the database. The time is from the clock of the database."""
    return datetime.fromisoformat(release.info.get("as_of", release.created_at))


def _close(lab: Lab, niche: str, condition: ColumnElement[bool]) -> None:
    with lab.engine.begin() as connection:
        connection.execute(delete(index_rebuilds).where(index_rebuilds.c.niche == niche, condition))
