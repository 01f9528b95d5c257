"""Convert the lab's check results to Dagster asset checks, and a `LabError` to a Dagster failure with the same
message."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import dagster as dg

from thumblab_core.database.failures import explained_failure
from thumblab_core.errors import LabError
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.videos.limited_deletion import CHECK


class Confirmation(dg.Config):
    """Config with which a person allows a run to delete every video that is due for deletion.

    Without a confirmation, a run may delete at most the share THUMBLAB_FORGET_SHARE of the niche's videos. If this
    share is under five videos, the run may delete five. It deletes nothing if the database seems to be that of another
    lab, see `require_own_database`.
    """

    confirmed: bool = False


@contextmanager
def explained() -> Iterator[None]:
    """Turn a `LabError` in the `with` block into a failed step. Dagster retries the step only if the error is
    transient.

    Errors of the disk and of the database count as transient. For such an error, the message of the failed step
    explains what happened.
    """
    try:
        yield
    except LabError as error:
        raise dg.Failure(description=str(error), allow_retries=error.transient) from error
    except Exception as error:
        failure = explained_failure(error)
        if failure is None:
            raise
        raise dg.Failure(description=str(failure), allow_retries=True) from error


FINISHED = {"finished": "The run did all its work. If the day's quota ended the run early, the next run continues."}
"""The description of the advisory check `finished`, see `thumblab_pipelines.checks.finished`."""

NOT_TOO_MANY = {
    CHECK: "The run deleted every video that was due. If too many videos are due, the run deletes none of them until a "
    "person confirms."
}


def blocking(asset: str, **described: str) -> Sequence[dg.AssetCheckSpec]:
    """Return specs of checks that stop all dependent assets if they fail. The asset itself must return their results.

    `described`: the description of each check, by the name of the check.
    """
    return _specs(asset, described, blocking=True)


def advisory(asset: str, **described: str) -> Sequence[dg.AssetCheckSpec]:
    """Return specs of checks that only warn: after a failure, dependent assets still run. `described`: see
    `blocking`."""
    return _specs(asset, described, blocking=False)


def _specs(asset: str, checks: Mapping[str, str], blocking: bool) -> Sequence[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=asset, description=description, blocking=blocking)
        for name, description in checks.items()
    ]


def results(checks: Sequence[CheckResult]) -> list[dg.AssetCheckResult]:
    """Return the checks as Dagster's results. A failed check is a warning if it is advisory, and otherwise an error."""
    return [
        dg.AssetCheckResult(
            severity=dg.AssetCheckSeverity.WARN if check.advisory else dg.AssetCheckSeverity.ERROR,
            passed=check.passed,
            check_name=check.name,
            metadata={"explanation": check.explanation, **check.figures},
            description=check.explanation,
        )
        for check in checks
    ]
