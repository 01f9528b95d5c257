"""The result that every check of a pipeline step returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of a pipeline step. If it fails, the steps that use the result of the checked step do not
    run, unless the check is `advisory`.

    `explanation` gives the figures that were checked, both if the check passed and if it failed. `figures` has the same
    figures as numbers by name, so that Dagster can plot them over time.
    """

    name: str
    passed: bool
    explanation: str
    advisory: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)


def finished(stopped: str | None) -> CheckResult:
    """Return an advisory check that fails if a run ended early.

    `stopped` says why the run ended early and when it can continue. It is None if the run did all its work. The check
    is advisory, because everything that an unfinished run collected stays valid.
    """
    return CheckResult(
        "finished",
        stopped is None,
        stopped or "nothing is left to do now",
        True,
        {"ended_early": int(stopped is not None)},
    )
