"""Write a summary as lines of text, for a terminal, a chat and an e-mail."""

from thumblab_core.monitoring.watch_state import Message
from thumblab_pipelines.alerts.book import hobart
from thumblab_pipelines.alerts.summary import NicheDay, Summary

_MOST_FAILURES = 10
_GIB = 2**30


def summary_message(summary: Summary, dagster: str) -> Message:
    """Return the summary as a message, with a link to Dagster's pages."""
    return Message(title=_title(summary), lines=summary_lines(summary), link=dagster)


def summary_lines(summary: Summary) -> list[str]:
    """Return one line per fact. A missing fact gets no line. If there is no alert or no failed check, a line says so."""
    lines = [f"The day until {hobart(summary.at)}"]
    if not summary.watched:
        lines.append(
            "Nobody watches the runs now: Dagster's daemon or its sensor `alerts` is off, so some runs are missing here"
        )
    if summary.demo:
        lines.append(
            "New videos are not counted in a demo's lab, because the clock of its emulator stands still. The runs of "
            "`thumblab demo` are not counted either; the figures are the runs of Dagster while `thumblab up` runs"
        )
    lines += [_niche(day) for day in summary.niches if day.release or day.refreshed or day.failed or day.new_videos]
    lines += [f"Failed run: {failure}" for failure in summary.failures[:_MOST_FAILURES]]
    if len(summary.failures) > _MOST_FAILURES:
        lines.append(f"and {len(summary.failures) - _MOST_FAILURES} more failed runs")
    lines += [f"Held: {sentence}" for sentence in summary.held]
    lines.append(_model(summary))
    if summary.quota:
        used = ", ".join(f"{balance.spent:,} of {balance.limit:,} {balance.bucket}" for balance in summary.quota)
        lines.append(f"YouTube's quota used today: {used}")
    lines += [f"Check: {check.asset}.{check.check}: {check.explanation}" for check in summary.checks]
    if not summary.checks:
        lines.append("No check warns")
    size = "" if summary.database_bytes is None else f", the database has {summary.database_bytes / _GIB:.2f} GiB"
    lines.append(f"Disk: {summary.free_bytes / _GIB:.0f} GiB free{size}")
    if summary.database_problem:
        lines.append(f"The database did not answer: {summary.database_problem}")
    lines += [f"Open alert: {alert}" for alert in summary.alerts] or ["No alert is open"]
    lines += [f"Alerts wait for {channel}: {problem}" for channel, problem in summary.undelivered.items()]
    return lines


def _title(summary: Summary) -> str:
    failed, alerts = summary.runs["failed"], len(summary.alerts)
    runs = f"{summary.runs['ok']} runs succeeded" + (f", {failed} failed" if failed else "")
    return f"Daily summary: {runs}, {alerts} open alert{'' if alerts == 1 else 's'}"


def _niche(day: NicheDay) -> str:
    refreshes = f"{day.refreshed} refreshed" + (f", {day.failed} failed" if day.failed else "")
    new = "" if day.new_videos is None else f", {day.new_videos:,} new videos"
    served = "no index served" if day.release is None else f"index {day.release}{_age(day.age_hours)}"
    return f"{day.niche}: {refreshes}{new}; {served}"


def _model(summary: Summary) -> str:
    served = "no model served" if summary.model is None else f"{summary.model}{_age(summary.model_age_hours)}"
    ok, failed = summary.trainings["ok"], summary.trainings["failed"]
    trained = f"; {ok} trainings succeeded, {failed} failed" if ok or failed else ""
    promotion = summary.promotion
    outcome = "promoted" if promotion and promotion.level == "passed" else "not promoted"
    return f"Model: {served}{trained}" + (f"; {outcome}: {promotion.explanation}" if promotion else "")


def _age(hours: float | None) -> str:
    return "" if hours is None else f", {hours / 24:.0f} days old" if hours >= 48 else f", {hours:.0f} h old"
