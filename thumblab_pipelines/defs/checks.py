"""From the verdicts of a step to blocking asset checks, and from its errors to failures that say what to do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.checks import CheckResult


class Confirmation(dg.Config):
    """A person's word that what is to be forgotten is right, however much of the niche it is."""

    confirmed: bool = False


@contextmanager
def explained() -> Iterator[None]:
    """A `LabError` is a sentence for a person: it fails the step as such, and is not tried again unless that may help."""
    try:
        yield
    except LabError as error:
        raise dg.Failure(description=str(error), allow_retries=error.transient) from error


def blocking(asset: str, *names: str) -> Sequence[dg.AssetCheckSpec]:
    """Checks that stop what comes after; their results come with the materialization."""
    return [dg.AssetCheckSpec(name, asset=asset, blocking=True) for name in names]


def advisory(asset: str, *names: str) -> Sequence[dg.AssetCheckSpec]:
    """Checks that tell and stop nothing."""
    return [dg.AssetCheckSpec(name, asset=asset, blocking=False) for name in names]


def results(verdicts: Sequence[CheckResult]) -> list[dg.AssetCheckResult]:
    """A verdict that does not hold is an error; where its check is advisory, a warning."""
    return [
        dg.AssetCheckResult(
            severity=dg.AssetCheckSeverity.WARN if verdict.advisory else dg.AssetCheckSeverity.ERROR,
            passed=verdict.passed,
            check_name=verdict.name,
            metadata={"explanation": verdict.explanation},
            description=verdict.explanation,
        )
        for verdict in verdicts
    ]
