"""The tables of niche reports: the newest report of each niche, and the videos that the report shows as examples.

The table `niche_reports` contains no video id. An example has foreign keys to its two videos. So the example is deleted
when one of the two videos is deleted (docs/retention.md).
"""

from sqlalchemy import Column, ForeignKey, Index, SmallInteger, String, Table
from sqlalchemy.dialects.postgresql import JSONB

from thumblab_core.database.metadata import MOMENT, metadata

niche_reports = Table(
    "niche_reports",
    metadata,
    Column("niche", String, primary_key=True),
    Column("made_at", MOMENT, nullable=False),
    Column(
        "report",
        JSONB,
        nullable=False,
        comment="the report without its examples; see thumblab_core.niche_report.niche_figures",
    ),
    comment="the newest report of each niche: how its winners differ from other videos of their channels",
)

niche_report_examples = Table(
    "niche_report_examples",
    metadata,
    Column("niche", String, ForeignKey("niche_reports.niche", ondelete="CASCADE"), primary_key=True),
    Column(
        "feature", String, primary_key=True, comment="the feature in which the two videos differ, such as text_area"
    ),
    Column(
        "position", SmallInteger, primary_key=True, autoincrement=False, comment="the number of the example, from 1"
    ),
    Column("winner_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), nullable=False),
    Column(
        "other_id",
        String,
        ForeignKey("videos.video_id", ondelete="CASCADE"),
        nullable=False,
        comment="another video of the same channel",
    ),
    Index("ix_niche_report_examples_winner_id", "winner_id"),
    Index("ix_niche_report_examples_other_id", "other_id"),
    comment="example pairs of videos for each difference in a niche report",
)
