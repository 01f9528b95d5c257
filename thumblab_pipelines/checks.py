"""The result that every check of a pipeline step returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of a pipeline step. If the check fails, the later steps do not run, unless the check is
    `advisory`.

    `explanation`: the checked figures as a sentence, for a passed and for a failed check. `figures`: the same figures
    as numbers, by name. Dagster plots these numbers over time.
    """

    name: str
    passed: bool
    explanation: str
    advisory: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)


def finished(stopped: str | None) -> CheckResult:
    """Return an advisory check that fails if a run ended early.

    `stopped` says why the run ended early and when it can continue. `stopped` is None if the run did all its work. The
    check is advisory, because everything that an unfinished run collected stays valid.
    """
    return CheckResult(
        "finished",
        stopped is None,
        stopped or "nothing is left to do now",
        True,
        {"ended_early": int(stopped is not None)},
    )
