"""Define the state of the monitoring of the pipelines: ended runs, results of checks, open alerts, and unsent messages.

Dagster's sensor `alerts` writes the state to the file `monitoring.json` of the data folder. A file survives a restart,
and can be read and written while the database is down. `/metrics` of the service and `thumblab summary` read the file.
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
    """The last result of an asset check. If the asset has a partition for each niche, the result is for one niche."""

    asset: str
    check: str
    niche: str | None
    level: Level
    at: datetime
    explanation: str


class OpenAlert(BaseModel):
    """A cause of failures that still exists.

    `things`: the names of the things that have failed and not succeeded again, such as niches and jobs. `told_at` is
    when the last message about the alert was made, or None if the alert still waits for more failures. `count` is the
    number of failures. If `lasting` is true, the cause is a state, such as a late refresh, and `count` is 1.
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
    """A message to a person. The lab wrote `title` and `lines`. `error` may contain text from other programs."""

    title: str
    error: str | None = None
    lines: list[str] = Field(default_factory=list)
    link: str | None = None


class Delivery(BaseModel):
    """A message that is not sent yet. `channel` is the way it is sent, such as e-mail. `next_at` is the time of the
    next attempt.
    """

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
    """The state of the monitoring, which the sensor `alerts` updates.

    - `checked_at` is when the sensor last ran.
    - `refreshed` has the end of the last good refresh of each niche.
    - `totals` counts the ended runs since the file was made, by `job/outcome`. `going_on` counts the runs that have not
      ended, by state.
    - `read_to` and `read_runs` say which ended runs the sensor has read.
    - `late_since` has the time at which the sensor first found that a thing, such as a niche, is late.
    - `closed` lists the things whose lasting alert a person has closed, such as a late niche. A thing stays in the list
      until its state has ended, so that no new alert is opened for it.
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
    """Raised if the state file has a format that this version of the lab does not write."""


_Stamp = tuple[int, int, int]

_unwritten: dict[Path, tuple[_Stamp | None, WatchState]] = {}
"""For each state file that could not be written: the `_stamp` that the file had then, and the state that is kept in
memory instead. Without these states, the sensor would send the same alerts again while the disk is full.
"""


def read_state(data_dir: Path) -> WatchState | None:
    """Return the state that the sensor stored, or None if the sensor has never run. Raises LabError if the file cannot
    be used.
    """
    path = data_dir / FILE
    try:
        return WatchState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}); make it readable") from None
    except ValidationError:
        raise OtherFormatError(f"{path} has another format; delete it, and the lab starts with a new state") from None


@contextmanager
def changing_state(data_dir: Path, *, keep_unwritten: bool = False) -> Iterator[WatchState]:
    """Yield the state, and write it at the end of the `with` block. Only one process at a time can be inside the block.

    Raises LabError if the file cannot be read or written.

    With `keep_unwritten`, a state that cannot be written raises no error. This process keeps it in memory and uses it
    in the next call. If another process has written the file in the meantime, the kept state is dropped.

    If the file has another format, the block gets a new state, and the old file is replaced. New alerts are more
    important than the old state.
    """
    path = data_dir / FILE
    with ExitStack() as held:
        with suppress(OSError):  # If a read-only disk has no lock file, nobody can write the state either.
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
                        f"{path} cannot be written ({error.strerror}); free space on the disk or make the folder "
                        "writable, then try again"
                    ) from None
                _unwritten[path] = _stamp(path), state
                _log.warning("%s cannot be written (%s); the next run of the sensor tries again", path, error.strerror)


def without_future(state: WatchState, now: datetime, longest_pause: timedelta) -> WatchState:
    """Return a copy of the state without times after `now`. Such times exist if the clock was set back.

    The times in `read_runs` are not changed, even if they are after `now`. Dagster stores the same times for these
    runs. With changed times, the sensor would read the runs again.
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
    """Return values that change when the file is replaced or changed, or None if the file does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
