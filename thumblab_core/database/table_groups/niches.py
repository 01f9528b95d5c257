"""The table of the lab's niches. `thumblab_core.niches` reads and changes it."""

from sqlalchemy import CheckConstraint, Column, Identity, Integer, String, Table, text
from sqlalchemy.dialects.postgresql import ARRAY

from thumblab_core.database.metadata import MOMENT, metadata

_NONE = text("'{}'")

niches = Table(
    "niches",
    metadata,
    Column("name", String, primary_key=True, comment="also the partition key in Dagster"),
    Column("number", Integer, Identity(always=True), nullable=False, comment="the order of the niches"),
    Column("category_id", Integer, comment="videoCategoryId of YouTube; NULL where only searches and channels count"),
    Column("region", String, comment="ISO 3166-1; NULL for the setting THUMBLAB_REGION"),
    Column("language", String, comment="BCP 47; NULL for the setting THUMBLAB_LANGUAGE"),
    Column("searches", ARRAY(String), nullable=False, server_default=_NONE, comment="texts to search YouTube for"),
    Column("channels", ARRAY(String), nullable=False, server_default=_NONE, comment="ids and @handles"),
    Column("exclude", ARRAY(String), nullable=False, server_default=_NONE, comment="words that a title must not have"),
    Column("added_at", MOMENT, nullable=False, server_default=text("now()")),
    Column("retired_at", MOMENT, comment="NULL while the niche is collected and served"),
    Column("version", Integer, nullable=False, server_default="1", comment="grows with each change of the niche"),
    Column("restored_at", MOMENT, comment="when it was last taken up again"),
    CheckConstraint("name ~ '^[a-z0-9][a-z0-9-]{0,39}$'", name="name"),
    comment="the niches of the lab, and where the videos of each come from",
)
