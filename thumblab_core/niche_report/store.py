"""Store the newest report of each niche in the database, and read it."""

from collections import defaultdict

from sqlalchemy import Connection, and_, delete, exists, insert, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from thumblab_core.database.tables import library_exclusions, niche_report_examples, niche_reports, videos
from thumblab_core.niche_report.niche_figures import Example, NicheReport

_e = niche_report_examples.c


def save_report(connection: Connection, report: NicheReport) -> None:
    """Store the report in place of the earlier report on its niche.

    An example is left out if one of its videos was deleted after the report was made.
    """
    without = report.model_copy(
        update={"findings": tuple(finding.model_copy(update={"examples": ()}) for finding in report.findings)}
    )
    row = {"niche": report.niche, "made_at": report.made_at, "report": without.model_dump(mode="json")}
    statement = upsert(niche_reports).values(row)
    changed = {"made_at": statement.excluded.made_at, "report": statement.excluded.report}
    connection.execute(statement.on_conflict_do_update(index_elements=["niche"], set_=changed))
    connection.execute(delete(niche_report_examples).where(_e.niche == report.niche))
    named = {video for finding in report.findings for pair in finding.examples for video in (pair.winner, pair.other)}
    # The locks keep these videos until the transaction ends, so that the foreign keys of the examples stay valid.
    statement_of_videos = select(videos.c.video_id).where(videos.c.video_id.in_(sorted(named)))
    present = set(connection.scalars(statement_of_videos.with_for_update(read=True, key_share=True)))
    rows = [
        {
            "niche": report.niche,
            "feature": finding.feature,
            "position": position,
            "winner_id": pair.winner,
            "other_id": pair.other,
        }
        for finding in report.findings
        for position, pair in enumerate(finding.examples, 1)
        if {pair.winner, pair.other} <= present
    ]
    if rows:
        connection.execute(insert(niche_report_examples), rows)


def read_report(connection: Connection, niche: str) -> NicheReport | None:
    """Return the stored report on a niche, or None if the niche has no report.

    Examples with a video that a person took out of the library are left out.
    """
    stored = connection.scalar(select(niche_reports.c.report).where(niche_reports.c.niche == niche))
    if stored is None:
        return None
    taken_out = exists().where(
        or_(library_exclusions.c.video_id == _e.winner_id, library_exclusions.c.video_id == _e.other_id)
    )
    examples: dict[str, list[Example]] = defaultdict(list)
    rows = select(_e.feature, _e.winner_id, _e.other_id).where(and_(_e.niche == niche, ~taken_out))
    for feature, winner, other in connection.execute(rows.order_by(_e.feature, _e.position)):
        examples[feature].append(Example(winner=winner, other=other))
    report = NicheReport.model_validate(stored)
    findings = tuple(
        finding.model_copy(update={"examples": tuple(examples[finding.feature])}) for finding in report.findings
    )
    return report.model_copy(update={"findings": findings})
