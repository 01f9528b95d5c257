"""What the watch over the pipelines knows: ended runs, results of checks, open alerts, and messages to be delivered.

Dagster's sensor `alerts` keeps this in the file `monitoring.json` of the data folder. A file survives a restart, and can
be read and written while the database is down. `/metrics` of the service and `thumblab summary` read it.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from thumblab_core.durable_files import replace_private_file
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
    still waits for more failures. `count` is the number of failures, or 1 for a state such as a late refresh.
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
    deliveries: list[Delivery] = Field(default_factory=list)
    without_channel: bool = False


_unwritten: dict[Path, WatchState] = {}
"""States that the disk has refused. A full disk must not make the watch forget what it has told."""


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
        raise LabError(f"{path} has another format; delete it, and the lab watches anew from now on") from None


@contextmanager
def changing_state(data_dir: Path) -> Iterator[WatchState]:
    """Yield the state, and write it at the end of the `with` block. One process at a time is inside the block.

    If the file cannot be written, this process keeps the state and writes it the next time. A file of another format is
    replaced, because alerts count more than what is kept of earlier ones.
    """
    path = data_dir / FILE
    with ExitStack() as held:
        with suppress(OSError):  # On a read-only disk the lock may not exist. Then nobody can write the file either.
            lock = held.enter_context((data_dir / LOCK).open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        state = _unwritten.pop(path, None)
        if state is None:
            try:
                state = read_state(data_dir) or WatchState()
            except LabError as error:
                _log.warning("%s", error)
                state = WatchState()
        try:
            yield state
        finally:
            try:
                replace_private_file(path, state.model_dump_json())
            except OSError as error:
                _unwritten[path] = state
                _log.warning("%s cannot be written (%s); it is written at the next look", path, error.strerror)
