"""Make the report on a niche, store it, and check it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from thumblab_core.niche_report.niche_figures import CAVEATS, Coverage, NicheReport
from thumblab_core.niche_report.store import save_report
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.niche_report.compared import Compared, least_multiple, winners_of
from thumblab_pipelines.niche_report.examples import with_examples
from thumblab_pipelines.niche_report.features import measure
from thumblab_pipelines.niche_report.findings import find, too_few
from thumblab_pipelines.niche_report.read import NOT_MEASURED, read_videos

if TYPE_CHECKING:
    import pandas as pd

_LEAST_MEASURED = 0.5
"""The check passes only if at least this share of the videos has a measured picture. With fewer measured pictures, the
report would mostly be about titles."""


@dataclass(frozen=True)
class Made:
    """A report, and the videos from which the report was made, see `read_videos`."""

    report: NicheReport
    videos: pd.DataFrame


def make_report(lab: Lab, niche: str) -> Made:
    """Make the report on a niche from the present data. The same data gives the same figures. Nothing is stored."""
    videos, left_out = read_videos(lab, niche)
    return Made(report_on(niche, videos, measure(videos), left_out), videos)


def report_on(niche: str, videos: pd.DataFrame, values: pd.DataFrame, left_out: dict[str, int]) -> NicheReport:
    """Return the report on these videos. `values`: the features of the videos. `left_out`: how many videos were left
    out, by reason.
    """
    compared = Compared.of(videos, winners_of(videos)) if len(videos) else None
    reason = "The niche has no videos that can be compared" if compared is None else too_few(compared)
    findings, features = ([], 0) if reason is not None else find(videos, values)
    coverage = Coverage(
        videos=0 if compared is None else len(compared.rows),
        channels=0 if compared is None else compared.channels,
        winners=0 if compared is None else compared.winners,
        least_multiple=None if compared is None else least_multiple(videos.outlier_multiple.to_numpy(float)),
        features=features,
        left_out=left_out,
    )
    return NicheReport(
        niche=niche,
        made_at=datetime.now(UTC),
        as_of=videos.observed_at.max().to_pydatetime() if len(videos) else None,
        too_few=reason,
        coverage=coverage,
        findings=tuple(with_examples(findings, videos, values)),
        caveats=CAVEATS,
    )


def store_report(lab: Lab, niche: str) -> Made:
    """Make the report on a niche, and store it in place of the earlier report."""
    made = make_report(lab, niche)
    with lab.engine.begin() as connection:
        save_report(connection, made.report)
    return made


def check_report(made: Made) -> list[CheckResult]:
    """Check that there are enough videos for figures, and that at least half of the pictures were measured."""
    coverage, total = made.report.coverage, len(made.videos)
    unmeasured = coverage.left_out.get(NOT_MEASURED, 0)
    return [
        CheckResult(
            "enough_videos",
            made.report.too_few is None,
            made.report.too_few or f"{coverage.winners} winners on {coverage.channels} channels",
            advisory=True,
            figures={"winners": coverage.winners, "channels": coverage.channels},
        ),
        CheckResult(
            "pictures_measured",
            total - unmeasured >= _LEAST_MEASURED * total,
            f"{total - unmeasured} of {total} pictures were measured",
            advisory=True,
            figures={"videos": total, "measured": total - unmeasured},
        ),
    ]
