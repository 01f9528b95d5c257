"""Write how a run of collecting ended into the metadata of an asset."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from thumblab_pipelines.youtube.quota import Spending


class _Collected(Protocol):
    """The report of a function that collects. `stopped`: why it stopped early, or None if it did not."""

    @property
    def remarks(self) -> Sequence[str]: ...

    @property
    def stopped(self) -> str | None: ...

    @property
    def quota(self) -> Spending: ...


def collecting_metadata(report: _Collected) -> Mapping[str, str | int]:
    """Return the remarks, whether everything was collected, and YouTube's quota by bucket: spent, and left today."""
    spent = {f"quota_{bucket}_spent": count for bucket, count in report.quota.spent.items()}
    left = {f"quota_{balance.bucket}_left_today": balance.left for balance in report.quota.balances}
    return {"remarks": remarks_metadata(report.remarks), "state": report.stopped or "complete", **spent, **left}


def remarks_metadata(remarks: Sequence[str]) -> str:
    """Return the remarks as one text. Without remarks, it says so."""
    return "; ".join(remarks) or "none"
