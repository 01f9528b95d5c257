"""Turn check results into Dagster asset checks, and a LabError into a failure with its message."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.checks import CheckResult


class Confirmation(dg.Config):
    """A person's confirmation that the videos due may be deleted, however large a share of the niche they are."""

    confirmed: bool = False


@contextmanager
def explained() -> Iterator[None]:
    """Turn a LabError of the block into a failure of the step, which is retried only when the error is transient."""
    try:
        yield
    except LabError as error:
        raise dg.Failure(description=str(error), allow_retries=error.transient) from error


def blocking(asset: str, *names: str) -> Sequence[dg.AssetCheckSpec]:
    """Return specs of checks that stop later assets when they fail. Their results come with the materialization."""
    return [dg.AssetCheckSpec(name, asset=asset, blocking=True) for name in names]


def advisory(asset: str, *names: str) -> Sequence[dg.AssetCheckSpec]:
    """Return specs of checks that warn and stop nothing."""
    return [dg.AssetCheckSpec(name, asset=asset, blocking=False) for name in names]


def results(checks: Sequence[CheckResult]) -> list[dg.AssetCheckResult]:
    """Return Dagster's results. A failed check is an error, or a warning where it is advisory."""
    return [
        dg.AssetCheckResult(
            severity=dg.AssetCheckSeverity.WARN if check.advisory else dg.AssetCheckSeverity.ERROR,
            passed=check.passed,
            check_name=check.name,
            metadata={"explanation": check.explanation},
            description=check.explanation,
        )
        for check in checks
    ]
