"""Define the findings that a check of the doctor returns."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The severity of a finding. `skipped` means that the check could not run, and so has found nothing."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """A fact about the lab that a check found.

    For a warning or an error, `mend` says how to repair the fault, if possible as a command.
    """

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
