"""The result of a check of a pipeline step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckResult:
    """The result of one check. A check that failed stops the later steps, unless it is `advisory`.

    `explanation` gives the figures, whether the check passed or not.
    """

    name: str
    passed: bool
    explanation: str
    advisory: bool = False


def finished(stopped: str | None) -> CheckResult:
    """Return the advisory check of whether a run got to its end. What an unfinished run collected stays valid.

    `stopped`: why the run stopped early and when it can continue; None where it finished.
    """
    return CheckResult("finished", stopped is None, stopped or "nothing is left to do now", advisory=True)
