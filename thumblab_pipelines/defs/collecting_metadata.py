"""Describe in the metadata of an asset how a run that collects data has ended."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from thumblab_pipelines.youtube.quota import Spending


class _Collected(Protocol):
    """The report of a function that collects data. `stopped`: why the function stopped early, or None."""

    @property
    def remarks(self) -> Sequence[str]: ...

    @property
    def stopped(self) -> str | None: ...

    @property
    def quota(self) -> Spending: ...


def collecting_metadata(report: _Collected) -> Mapping[str, str | int]:
    """Return metadata that describes the end of the run.

    The metadata has the remarks, and `complete` or the reason why the run stopped early. It also has the quota that the
    run spent and the quota that is left today, by bucket.
    """
    spent = {f"quota_{bucket}_spent": count for bucket, count in report.quota.spent.items()}
    left = {f"quota_{balance.bucket}_left_today": balance.left for balance in report.quota.balances}
    return {"remarks": remarks_metadata(report.remarks), "state": report.stopped or "complete", **spent, **left}


def remarks_metadata(remarks: Sequence[str]) -> str:
    """Return the remarks as one text, or "none" if there are no remarks."""
    return "; ".join(remarks) or "none"
