"""Define the table of view histories.

The table has a digest for each video. The digest is made of the data from which the video's views at fixed ages were
estimated."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table

from thumblab_core.database.metadata import metadata

view_histories = Table(
    "view_histories",
    metadata,
    Column("video_id", String, ForeignKey("videos.video_id", ondelete="CASCADE"), primary_key=True),
    Column("counts", Integer, nullable=False, comment="how many counts of views the digest covers"),
    Column("digest", BigInteger, nullable=False, comment="digest of the counts, the publication and the method"),
    comment="the counts from which the rows of views_at_age were estimated; they are estimated again if the digest changes",
)
