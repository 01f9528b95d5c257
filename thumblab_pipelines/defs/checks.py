"""Turn the lab's check results into Dagster asset checks, and a `LabError` into a Dagster failure with its message."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.checks import CheckResult


class Confirmation(dg.Config):
    """Config with which a person confirms that a run may delete every video that is due for deletion.

    A run without a confirmation may delete the share THUMBLAB_FORGET_SHARE of the niche's videos, or five videos if
    that is more.
    """

    confirmed: bool = False


@contextmanager
def explained() -> Iterator[None]:
    """Turn a `LabError` in the `with` block into a failed step. Dagster retries it only if the error is transient."""
    try:
        yield
    except LabError as error:
        raise dg.Failure(description=str(error), allow_retries=error.transient) from error


def blocking(asset: str, *names: str, **described: str) -> Sequence[dg.AssetCheckSpec]:
    """Return specs of checks that stop all dependent assets if they fail. The checked asset returns the results.

    `names` are the names of checks without a description. `described` maps the name of each check with a description to
    this description.
    """
    return _specs(asset, dict.fromkeys(names) | described, blocking=True)


def advisory(asset: str, *names: str, **described: str) -> Sequence[dg.AssetCheckSpec]:
    """Return specs of checks that only warn. If they fail, dependent assets still run. See `blocking` for
    `described`."""
    return _specs(asset, dict.fromkeys(names) | described, blocking=False)


def _specs(asset: str, checks: Mapping[str, str | None], blocking: bool) -> Sequence[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=asset, description=description, blocking=blocking)
        for name, description in checks.items()
    ]


def results(checks: Sequence[CheckResult]) -> list[dg.AssetCheckResult]:
    """Return the checks as Dagster's results. A failed check is a warning if it is advisory, else an error."""
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
