"""Define what a check of the doctor returns."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is. A check that could not be made is `skipped`, which is neither good nor bad."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """A fact about the lab. A warning or an error also says in `mend` what mends it, if possible as a command."""

    level: Level
    what: str
    mend: str | None = None


def fine(what: str) -> Finding:
    return Finding(Level.OK, what)


def skipped(what: str) -> Finding:
    return Finding(Level.SKIPPED, what)


def warning(what: str, mend: str) -> Finding:
    return Finding(Level.WARNING, what, mend)


def error(what: str, mend: str) -> Finding:
    return Finding(Level.ERROR, what, mend)
