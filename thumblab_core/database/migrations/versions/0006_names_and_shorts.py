"""Clean names from catalogues, recognise Shorts by length, and list the pictures and titles that cannot be encoded.

Titles and channel names lose their HTML entities. Two channels from catalogues become one channel if their names differ
only in HTML entities, Unicode compatibility forms, invisible characters and spaces.

A known format or a known aspect ratio decides whether a video is a Short. Otherwise the length of the video decides, if
the catalogue gives lengths.
"""

import base64
import hashlib
import html
import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")

_OF_CATALOGUES = "video_id IN (SELECT video_id FROM videos WHERE source = 'catalogue')"

_MERGE = (
    "INSERT INTO channels (channel_id, title) VALUES (:new, :title) ON CONFLICT DO NOTHING",
    "UPDATE videos SET channel_id = :new WHERE channel_id = :old",
    "DELETE FROM channel_baselines WHERE channel_id = :old AND (niche, age_band) IN "
    "(SELECT niche, age_band FROM channel_baselines WHERE channel_id = :new)",
    "UPDATE channel_baselines SET channel_id = :new WHERE channel_id = :old",
    "INSERT INTO crawl_channels (channel_id, niche, found_at, checked_at, excluded, pages, cursor, restarts, walked_at) "
    "SELECT :new, niche, found_at, checked_at, excluded, pages, cursor, restarts, walked_at FROM crawl_channels "
    "WHERE channel_id = :old ON CONFLICT DO NOTHING",
    "UPDATE crawl_videos SET channel_id = :new WHERE channel_id = :old",
    "UPDATE model_evaluations m SET slice = 'channel:' || :new WHERE slice = 'channel:' || :old AND NOT EXISTS "
    "(SELECT 1 FROM model_evaluations o WHERE o.slice = 'channel:' || :new AND o.release_id = m.release_id "
    "AND o.split = m.split AND o.scorer = m.scorer AND o.metric = m.metric)",
    "DELETE FROM channels WHERE channel_id = :old",
)


_SHORT = "whether the feed of Shorts showed it; NULL where the source does not tell"
_MAYBE_SHORT = "whether the feed of Shorts showed it, or else whether it is short; NULL where the source does not tell"


def _true_ctr(is_short: str) -> str:
    """Return the statement that creates the view `true_ctr`.

    The SQL expression `is_short` fills the view's column `is_short`.

    The view has one click-through rate per video. If several sources report the video, the rate comes from the source
    that reports the most impressions.
    """
    return f"""
    CREATE VIEW true_ctr AS
    SELECT DISTINCT ON (video_id) video_id, source, impressions, click_through_rate, {is_short} AS is_short, last_day
    FROM (
      SELECT video_id, source, sum(impressions) AS impressions, bool_or(is_short) AS is_short, max(day) AS last_day,
             sum(impressions * click_through_rate) / NULLIF(sum(impressions), 0) AS click_through_rate
      FROM video_reach GROUP BY video_id, source
    ) of_source
    LEFT JOIN (SELECT video_id, format, aspect_ratio FROM videos) v USING (video_id)
    WHERE click_through_rate IS NOT NULL
    ORDER BY video_id, impressions DESC, source
    """  # noqa: S608


def upgrade() -> None:
    op.create_table(
        "encoding_failures",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False, comment="fingerprint of the encoder"),
        sa.Column(
            "source_digest",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the picture or title that it makes no vector of",
        ),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.video_id"], name=op.f("fk_encoding_failures_video_id_videos"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "encoder", "source_digest", name=op.f("pk_encoding_failures")),
        comment="what is not encoded again in vain: another encoder, picture or title is tried",
    )
    op.alter_column("video_reach", "is_short", comment=_MAYBE_SHORT)
    op.execute("DROP VIEW true_ctr")
    op.execute(_true_ctr("CASE WHEN v.format = 'short' THEN true WHEN v.aspect_ratio > 1 THEN false ELSE is_short END"))
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT channel_id, title FROM channels ORDER BY channel_id")).all():
        # If a catalogue has no channel ids, the lab makes the id of a channel from its title. Every other id comes from
        # YouTube. A channel with an id from YouTube is not changed.
        if row.channel_id != _made_of(row.title):
            continue
        title = " ".join(_written(row.title).split())
        new = _made_of(_key(row.title))
        if title != row.title or new != row.channel_id:
            _rename(connection, row.channel_id, new, title)
    for table, which in (("videos", "source = 'catalogue'"), ("thumbnail_versions", _OF_CATALOGUES)):
        column = sa.text(f"SELECT DISTINCT title FROM {table} WHERE {which} AND title LIKE '%&%;%'")  # noqa: S608
        titles = {title: _written(title) for title in connection.execute(column).scalars()}
        changed = {title: new for title, new in titles.items() if new and new != title}
        statement = sa.text(
            f"UPDATE {table} t SET title = n.new "  # noqa: S608
            "FROM unnest(CAST(:old AS text[]), CAST(:new AS text[])) AS n(old, new) "
            f"WHERE t.title = n.old AND {which}"
        )
        connection.execute(statement, {"old": list(changed), "new": list(changed.values())})


def downgrade() -> None:
    op.drop_table("encoding_failures")
    # The old names are not stored anywhere, so they cannot be restored. The version of the lab for migration 0005 works
    # with the cleaned names too.
    op.execute("DROP VIEW true_ctr")
    op.execute(_true_ctr("is_short"))
    op.alter_column("video_reach", "is_short", comment=_SHORT)


def _rename(connection: sa.Connection, old: str, new: str, title: str) -> None:
    names = {"old": old, "new": new, "title": title}
    if old == new:
        connection.execute(sa.text("UPDATE channels SET title = :title WHERE channel_id = :old"), names)
        return
    for statement in _MERGE:
        connection.execute(sa.text(statement), names)


# The functions below are a copy of `thumblab_pipelines.videos.names` at the time of this migration.


def _made_of(name: str) -> str:
    return "UC" + base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()[:22]


def _key(name: str) -> str:
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", _written(name))).split())


def _written(text: str) -> str:
    for _ in range(5):
        before, text = text, _ENTITY.sub(_decoded, text)
        if text == before:
            break
    return text.strip()


def _decoded(entity: re.Match[str]) -> str:
    text = html.unescape(entity[0])
    odd = not text or any(letter == "\ufffd" or unicodedata.category(letter) in ("Cc", "Cs") for letter in text)
    return entity[0] if odd else text
