"""Write docs/reference/tables.md from the definitions of the database tables in SQLAlchemy."""

from collections.abc import Iterator

from sqlalchemy import CheckConstraint, Column, Table, make_url

from thumblab_cli.reference.markdown import GENERATED, code, table
from thumblab_core.database.tables import metadata

_INTRODUCTION = f"""\
# Tables

PostgreSQL keeps the facts of the lab in these tables. All moments are in UTC. A count that YouTube does not report is
NULL, never 0. The explanation of a column is its comment in the database. A column without a comment means what its name
says; the [glossary](../glossary.md) explains the words. [Storage](../architecture.md#storage) lists what is kept outside
the database.

{GENERATED}"""

_POSTGRESQL = make_url("postgresql+psycopg://").get_dialect()()

MEANINGS = {
    "channels": "A row for each channel that the lab knows.",
    "videos": "A row for each video, in one niche. Deleting the row also deletes everything that was made from the "
    "video.",
    "video_stats": "A row for each observation: the counts of one video at one moment.",
    "views_at_age": "The views of a video at a fixed age, estimated from its observations.",
    "thumbnails": "The current picture of each video, or the reason why there is none.",
    "thumbnail_versions": "The pictures and titles that a video had, and when they were seen.",
    "embeddings": "A unit vector for each picture and title, by encoder.",
    "visual_features": "The six sub-scores of each picture, with their evidence.",
    "channel_baselines": "The views that the videos of a channel usually get.",
    "model_evaluations": "The figures of each model on held-out pairs.",
    "reach_reports": "The reports of the YouTube Reporting API that were imported.",
    "video_reach": "The true click-through rates of the owner's videos, by day and source.",
    "quota_ledger": "The quota of YouTube that was spent, by day and bucket.",
    "charts": "The regions in which YouTube has a chart of a category.",
    "crawl_searches": "The searches of the crawl, and the progress of each search.",
    "crawl_channels": "The channels that the crawl has found, and how many of their uploads it has read.",
    "crawl_videos": "The uploads that the crawl has seen, and whether each was kept or left out.",
}
"""The purpose of each table that has no comment in the database. The text is in this module, because a comment in the
database would need a migration.
"""


def page() -> str:
    return "\n".join([_INTRODUCTION, *(_section(table) for table in metadata.sorted_tables)])


def _section(found: Table) -> str:
    meaning = found.comment or MEANINGS[found.name]
    columns = table(("Column", "Type", "May be NULL", "Explanation"), map(_row, found.columns))
    rules = [f"- {code(' '.join(str(rule.sqltext).split()))}" for rule in _checks(found)]
    checked = "" if not rules else "\nThe database holds:\n\n" + "\n".join(rules) + "\n"
    return f"## {found.name}\n\n{meaning[0].upper()}{meaning[1:].rstrip('.')}.\n\n{columns}{checked}"


def _row(column: Column[object]) -> tuple[str, str, str, str]:
    kind = column.type.compile(dialect=_POSTGRESQL).lower()
    return code(column.name), code(kind), "yes" if column.nullable else "", " ".join(_explanations(column))


def _explanations(column: Column[object]) -> Iterator[str]:
    if column.primary_key:
        yield "Key."
    for key in column.foreign_keys:
        yield f"Refers to {code(key.target_fullname)}."
    if column.comment:
        yield f"{column.comment[0].upper()}{column.comment[1:].rstrip('.')}."


def _checks(found: Table) -> list[CheckConstraint]:
    checks = [rule for rule in found.constraints if isinstance(rule, CheckConstraint)]
    return sorted(checks, key=lambda rule: str(rule.name))
