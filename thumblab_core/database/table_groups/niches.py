"""The table of the lab's niches. `thumblab_core.niches` reads and changes it."""

from sqlalchemy import CheckConstraint, Column, Identity, Integer, String, Table, text
from sqlalchemy.dialects.postgresql import ARRAY

from thumblab_core.database.metadata import MOMENT, metadata

_NONE = text("'{}'")

niches = Table(
    "niches",
    metadata,
    Column("name", String, primary_key=True, comment="name of the niche, and its partition key in Dagster"),
    Column(
        "number",
        Integer,
        Identity(always=True),
        nullable=False,
        comment="the position of the niche in the list of niches",
    ),
    Column(
        "category_id", Integer, comment="videoCategoryId of YouTube; NULL if the niche has only searches and channels"
    ),
    Column("region", String, comment="the country code (ISO 3166-1); NULL if the setting THUMBLAB_REGION is used"),
    Column("language", String, comment="the language tag (BCP 47); NULL if the setting THUMBLAB_LANGUAGE is used"),
    Column(
        "searches",
        ARRAY(String),
        nullable=False,
        server_default=_NONE,
        comment="the texts that the lab searches for on YouTube",
    ),
    Column(
        "channels",
        ARRAY(String),
        nullable=False,
        server_default=_NONE,
        comment="the ids and @handles of channels whose videos belong to the niche",
    ),
    Column(
        "exclude",
        ARRAY(String),
        nullable=False,
        server_default=_NONE,
        comment="words; a video with such a word in its title is left out",
    ),
    Column("added_at", MOMENT, nullable=False, server_default=text("now()")),
    Column("retired_at", MOMENT, comment="when the niche was retired; NULL while the niche is collected and served"),
    Column(
        "version",
        Integer,
        nullable=False,
        server_default="1",
        comment="the number of the niche's version; each change adds 1",
    ),
    Column("restored_at", MOMENT, comment="when a person last restored the niche after it was retired"),
    CheckConstraint("name ~ '^[a-z0-9][a-z0-9-]{0,39}$'", name="name"),
    comment="the niches of the lab, and the sources of their videos",
)
