"""The outcome of one thing that was looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckResult:
    """`passed` False stops what comes after, unless it is `advisory`; `explanation` carries the figures either way."""

    name: str
    passed: bool
    explanation: str
    advisory: bool = False


def finished(stopped: str | None) -> CheckResult:
    """Did a run get to its end? `stopped` says why not and when it can go on; what it has is good all the same."""
    return CheckResult("finished", stopped is None, stopped or "nothing is left to do now", advisory=True)
