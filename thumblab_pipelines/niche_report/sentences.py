"""Express the figures of a niche report in plain English, for the command, the preview in Dagster and the page."""

from collections.abc import Sequence

from thumblab_core.niche_report.niche_figures import FLAG, Estimate, Finding, NicheReport
from thumblab_pipelines.niche_report.findings import LEAST_CHANNELS, LEAST_WINNERS, MOST_FALSE, RECENT_DAYS

HOW = (
    "A video is compared only with videos of its own channel that are in the same age band and were published in the same "
    "year.",
    "The picture and the title are those that the video showed while it earned the views.",
    f"At most {MOST_FALSE:.0%} of all shown differences are expected to be false (Benjamini and Yekutieli, over all "
    "compared features).",
    'A difference is shown only if its whole 95 % interval is on one side of "no difference". Most channels must differ '
    "in the same direction, and the direction must stay the same if any single channel is left out.",
    f"Figures need at least {LEAST_WINNERS} winners on {LEAST_CHANNELS} channels. Live streams and Shorts are left out.",
)
"""Sentences that say how a report is made."""


def scope(report: NicheReport) -> str:
    """Return a sentence that says how many winners, other videos and channels the report compares."""
    coverage = report.coverage
    return (
        f"{coverage.winners:,} winners are compared with {coverage.videos - coverage.winners:,} other videos of the same "
        f"{coverage.channels:,} channels."
    )


def rule(report: NicheReport) -> str:
    """Return a sentence that says what counts as a winner in this report. Return an empty text if nothing is
    compared."""
    least = report.coverage.least_multiple
    if least is None:
        return ""
    return (
        f"A winner is in the top tenth of the niche: it has at least {least:.1f} times what its channel usually gets."
    )


def outcome(report: NicheReport) -> str:
    """Return a sentence that says how many differences were found, or why there are no figures."""
    if report.too_few is not None:
        return f"{report.too_few}."
    compared, found = report.coverage.features, len(report.findings)
    if not found:
        return f"None of the {compared} compared features differs clearly between winners and other videos."
    return f"{found} of the {compared} compared features {'differs' if found == 1 else 'differ'} clearly."


def left_out(report: NicheReport) -> str:
    """Return a sentence that says how many videos were left out and why, or an empty text if no video was left out."""
    reasons = [f"{count:,} ({reason})" for reason, count in report.coverage.left_out.items()]
    return f"Left out, or compared only by title: {', '.join(reasons)}." if reasons else ""


def size(finding: Finding) -> str:
    """Return the size of a difference with its 95 % interval."""
    share = finding.share
    if finding.kind == FLAG:
        points = [200 * (value - 0.5) for value in _ends(share)]
        ratio = "" if finding.odds_ratio is None else f"; odds ratio {finding.odds_ratio:.1f}"
        return f"{points[0]:+.0f} percentage points ({points[1]:+.0f} to {points[2]:+.0f}){ratio}"
    apart = finding.standardized
    standard = (
        "" if apart is None else f"; {apart.value:+.2f} standard deviations ({apart.low:+.2f} to {apart.high:+.2f})"
    )
    return f"more in {_percent(share)} of comparisons{standard}"


def usual(finding: Finding) -> str:
    """Return a text with the usual value of the feature for winners, and for other videos of their channels."""
    winners, others = number(finding.winners_usual), number(finding.others_usual)
    if finding.kind == FLAG:
        return f"{winners} % of winners, {others} % of other videos"
    unit = f" {finding.unit}" if finding.unit else ""
    return f"winners {winners}{unit}, other videos {others}{unit}"


def agreement(finding: Finding) -> str:
    """Return a text with the number of channels that differ in the same direction as the whole niche."""
    return f"the same direction in {finding.channels_agreeing} of {finding.channels} channels"


def change(finding: Finding) -> str:
    """Return a sentence about the change in the last 28 days, or an empty text if there is no clear change."""
    if finding.change is None:
        return ""
    recent, before = finding.change.recent, finding.change.before
    return (
        f"Last {RECENT_DAYS} days: winners have more in {_percent(recent.share)} of comparisons; before: "
        f"{_percent(before.share)}"
    )


def number(value: float) -> str:
    """Return a number as text, rounded: a smaller number gets more decimals, two at most."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def _ends(share: Estimate) -> Sequence[float]:
    return share.value, share.low, share.high


def _percent(share: Estimate) -> str:
    value, low, high = (100 * end for end in _ends(share))
    return f"{value:.0f} % ({low:.0f} to {high:.0f})"
