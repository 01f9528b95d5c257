"""The tables of the crawl, and the ledger in which all processes record how much of the API quota they have spent."""

from sqlalchemy import Boolean, Column, Date, ForeignKey, Index, Integer, String, Table, Text, text

from thumblab_core.database.metadata import MOMENT, metadata

quota_ledger = Table(
    "quota_ledger",
    metadata,
    Column("day", Date, primary_key=True, comment="the day in California, where the quota is reset at midnight"),
    Column("bucket", String, primary_key=True, comment="the bucket of the quota: units, searches or stats"),
    Column(
        "spent",
        Integer,
        nullable=False,
        server_default="0",
        comment="the quota that runs have reserved, each call before it is made",
    ),
    Column(
        "exhausted_at",
        MOMENT,
        comment="when YouTube refused a call because the quota was spent, even if the lab had counted fewer calls",
    ),
)

charts = Table(
    "charts",
    metadata,
    Column("category_id", Integer, primary_key=True),
    Column("region", String, primary_key=True),
    Column("available", Boolean, nullable=False),
    Column("probed_at", MOMENT, nullable=False),
)

crawl_searches = Table(
    "crawl_searches",
    metadata,
    Column("niche", String, primary_key=True),
    Column(
        "query",
        Text,
        primary_key=True,
        server_default="",
        comment="the texts or the category that the search looks for",
    ),
    Column("published_after", MOMENT, primary_key=True),
    Column("published_before", MOMENT, primary_key=True),
    Column("order", String, primary_key=True, comment="the order of the results: viewCount or date"),
    Column("pages", Integer, nullable=False, server_default="0"),
    Column("cursor", Text, comment="the token with which YouTube gives the next page of results"),
    Column("finished_at", MOMENT),
)

crawl_channels = Table(
    "crawl_channels",
    metadata,
    Column("channel_id", String, ForeignKey("channels.channel_id", ondelete="CASCADE"), primary_key=True),
    Column("niche", String, nullable=False),
    Column("found_at", MOMENT, nullable=False),
    Column("checked_at", MOMENT, comment="when the lab called channels.list for this channel"),
    Column("excluded", String, comment="why the lab keeps none of the channel's videos"),
    Column("pages", Integer, nullable=False, server_default="0", comment="pages of uploads that this walk has read"),
    Column("cursor", Text, comment="the token with which YouTube gives the next page of uploads"),
    Column(
        "restarts",
        Integer,
        nullable=False,
        server_default="0",
        comment="how often this walk began again because a token was refused",
    ),
    Column("walked_at", MOMENT, comment="when a walk last read all uploads of the channel"),
    Index("ix_crawl_channels_niche", "niche"),
)

crawl_videos = Table(
    "crawl_videos",
    metadata,
    Column("video_id", String, primary_key=True),
    Column("channel_id", String, ForeignKey("crawl_channels.channel_id", ondelete="CASCADE"), nullable=False),
    Column("niche", String, nullable=False),
    Column("published_at", MOMENT, nullable=False),
    Column("outcome", String, comment="kept, or why the video was not kept; NULL if the crawl has not examined it yet"),
    Index("ix_crawl_videos_channel_id", "channel_id"),
    Index("ix_crawl_videos_waiting", "niche", "video_id", postgresql_where=text("outcome IS NULL")),
)
