"""What the watch over the pipelines knows: ended runs, results of checks, open alerts, and messages to be delivered.

Dagster's sensor `alerts` keeps this in the file `monitoring.json` of the data folder. A file survives a restart, and can
be read and written while the database is down. `/metrics` of the service and `thumblab summary` read it.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from thumblab_core.durable_files import give_to_owner, replace_private_file
from thumblab_core.errors import LabError

FILE, LOCK = "monitoring.json", "monitoring.lock"

Level = Literal["passed", "warning", "error"]

_log = logging.getLogger(__name__)


class EndedRun(BaseModel):
    """A run that has ended. `error` is the first sentence of its error, or None if it succeeded."""

    run_id: str
    job: str
    niche: str | None
    ended_at: datetime
    error: str | None = None


class CheckState(BaseModel):
    """The last result of a check of an asset, for one niche if the asset has niches."""

    asset: str
    check: str
    niche: str | None
    level: Level
    at: datetime
    explanation: str


class OpenAlert(BaseModel):
    """A cause of failures that is not over.

    `things` are what failed and has not succeeded since. `told_at` is when a person was last told, or None if the alert
    still waits for more failures. `count` is the number of failures, or 1 for a state such as a late refresh, which is
    `lasting`.
    """

    cause: str
    what: str
    step: str | None
    error: str
    advice: str
    first_at: datetime
    last_at: datetime
    count: int
    things: list[str]
    run_id: str | None
    told_at: datetime | None = None
    told_count: int = 0
    lasting: bool = False


class Message(BaseModel):
    """A message to a person. `title` and `lines` are the lab's words; `error` may have words from outside."""

    title: str
    error: str | None = None
    lines: list[str] = Field(default_factory=list)
    link: str | None = None


class Delivery(BaseModel):
    """A message that waits for a channel. `next_at` is the moment of the next attempt."""

    channel: str
    message: Message
    made_at: datetime
    next_at: datetime
    attempts: int = 0
    problem: str | None = None


class Quota(BaseModel):
    """What a bucket of YouTube's quota allows today, and what is left."""

    limit: int
    left: int


class WatchState(BaseModel):
    """Everything that the watch knows.

    `checked_at` is the moment of its last look. `refreshed` has the end of the last good refresh of each niche. `totals`
    counts the ended runs since the file was made, by `job/outcome`. `going_on` has the number of runs by state. `read_to`
    and `read_runs` say which runs were read. `late_since` says since when the watch has seen that something is late.
    `closed` are the things of lasting alerts that a person has closed, until they are over.
    """

    checked_at: datetime | None = None
    read_to: datetime | None = None
    read_runs: dict[str, datetime] = Field(default_factory=dict)
    ended: list[EndedRun] = Field(default_factory=list)
    totals: dict[str, int] = Field(default_factory=dict)
    going_on: dict[str, int] = Field(default_factory=dict)
    refreshed: dict[str, datetime] = Field(default_factory=dict)
    checks: dict[str, CheckState] = Field(default_factory=dict)
    late_since: dict[str, datetime] = Field(default_factory=dict)
    quota: dict[str, Quota] = Field(default_factory=dict)
    database_bytes: int | None = None
    alerts: dict[str, OpenAlert] = Field(default_factory=dict)
    closed: list[str] = Field(default_factory=list)
    deliveries: list[Delivery] = Field(default_factory=list)
    without_channel: bool = False


class OtherFormatError(LabError):
    """The error that is raised if the file of the state was read, but is not what this version of the lab writes."""


_Stamp = tuple[int, int, int]

_unwritten: dict[Path, tuple[_Stamp | None, WatchState]] = {}
"""States that the disk has refused, each with the stamp of the file at that moment. A full disk must not make the watch
forget what it has told."""


def read_state(data_dir: Path) -> WatchState | None:
    """Return the state, or None if the lab was never watched. Raises LabError if the file cannot be used."""
    path = data_dir / FILE
    try:
        return WatchState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}); make it readable") from None
    except ValidationError:
        raise OtherFormatError(f"{path} has another format; delete it, and the lab watches anew from now on") from None


@contextmanager
def changing_state(data_dir: Path, *, keep_unwritten: bool = False) -> Iterator[WatchState]:
    """Yield the state, and write it at the end of the `with` block. One process at a time is inside the block.

    Raises LabError if the file cannot be read or written. With `keep_unwritten`, this process keeps a state that cannot
    be written, and writes it the next time, unless another process has written the file meanwhile. A file of another
    format is replaced, because alerts count more than what is kept of earlier ones.
    """
    path = data_dir / FILE
    with ExitStack() as held:
        with suppress(OSError):  # On a read-only disk the lock may not exist. Then nobody can write the file either.
            lock = held.enter_context((data_dir / LOCK).open("a"))
            give_to_owner(lock.fileno(), data_dir)
            fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, kept = _unwritten.pop(path, (None, None))
        if kept is not None and stamp == _stamp(path):
            state = kept
        else:
            try:
                state = read_state(data_dir) or WatchState()
            except OtherFormatError as error:
                _log.warning("%s", error)
                state = WatchState()
        try:
            yield state
        finally:
            try:
                replace_private_file(path, state.model_dump_json())
            except OSError as error:
                if not keep_unwritten:
                    raise LabError(
                        f"{path} cannot be written ({error.strerror}); correct this, then do the same again"
                    ) from None
                _unwritten[path] = _stamp(path), state
                _log.warning("%s cannot be written (%s); it is written at the next look", path, error.strerror)


def without_future(state: WatchState, now: datetime, longest_pause: timedelta) -> WatchState:
    """Return a copy of the state without moments after `now`. The clock may have been ahead, and was set back.

    `read_runs` stays as it is. Dagster has the same moments of these runs, so the watch would read them a second time.
    """
    found: WatchState = _not_after(state.model_copy(deep=True), now)
    for delivery in found.deliveries:
        delivery.next_at = min(delivery.next_at, now + longest_pause)
    return found


def _not_after(value: Any, now: datetime) -> Any:
    if isinstance(value, datetime):
        return min(value, now)
    if isinstance(value, dict):
        return {name: _not_after(of, now) for name, of in value.items()}
    if isinstance(value, list):
        return [_not_after(of, now) for of in value]
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.keys() - {"read_runs", "next_at"}
        return value.model_copy(update={name: _not_after(getattr(value, name), now) for name in fields})
    return value


def _stamp(path: Path) -> _Stamp | None:
    """Return what differs if the file was replaced or changed, or None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
