"""Read all videos as columns with one query, and exclude videos by rules. The remaining videos are the corpus.

A model may be trained on the videos of the corpus, except videos of more than an hour. Videos of more than an hour are
used only for channel adapters and for evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.inclusion import LEAST_SUBSCRIBERS, LEAST_VIEWS, LONGEST_S, SHORTEST_S
from thumblab_pipelines.collection.crawl_rules import GONE, OUTLIER
from thumblab_pipelines.columns import read_columns
from thumblab_pipelines.dataset.ageing import views_at
from thumblab_pipelines.features.fixed_age import FIXED_AGES
from thumblab_pipelines.features.picture_words import PICTURE_WORDS
from thumblab_pipelines.features.stored_vectors import stored_vectors_query
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import LONGEST_SHORT_S, SHORT, VIDEO
from thumblab_pipelines.videos.versions import CHANGED_FIRST, LACKS_COUNT, NEVER_COUNTED, NOT_KEPT, first_versions_query

if TYPE_CHECKING:
    import pandas as pd

LATER_RULES = ("crawl_outlier",)
"""Columns that `exclude` keeps, for rules that are applied after the corpus was split into parts."""

_RULE_COLUMNS = (
    "encoded",
    "format",
    "aspect_ratio",
    "may_train",
    "subscriber_count",
    "outcome",
    "lacks_count",
    "is_short",
)
"""Columns that `exclude` needs for its rules, and then drops."""

# An era is a time in which YouTube used one definition of a view. Views at a fixed age are used only if they are from
# the same era as the latest count (`a.era = s.era`). These views are interpolated between two counts. So if a video
# changed its thumbnail or title, they are used only if both counts are from before the change. Impressions and
# click-through rates come from the channel's owner, and are not used for Shorts. If a video changed its thumbnail or
# title, its impressions and rates are used only if their last day is before the day of the first change.
_AT_AGES = ", ".join(f"max(views) FILTER (WHERE age_hours = {age}) AS {views_at(age)}" for age in FIXED_AGES)
_OWNERS = """c.is_short IS NOT TRUE AND (
    p.until IS NULL OR p.until = 'infinity' OR c.last_day < (p.until AT TIME ZONE 'UTC')::date)"""


def _microseconds(moment: str) -> str:
    """Return an SQL expression for the microseconds since 1970, whatever time zone the server uses."""
    return f"(EXTRACT(EPOCH FROM {moment}) * 1000000)::bigint"


_CORPUS = f"""
WITH learnt AS ({first_versions_query()}),
vectors AS (SELECT DISTINCT video_id, encoder, source_digest FROM ({stored_vectors_query()}) encoded_videos)
SELECT v.video_id, v.niche, v.channel_id, p.title, {_microseconds("v.published_at")} AS published_at,
       v.duration_s, s.view_count AS views, {_microseconds("s.observed_at")} AS observed_at, s.era,
       GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours,
       {", ".join(f"a.{views_at(age)}" for age in FIXED_AGES)},
       CASE WHEN {_OWNERS} THEN c.impressions END::float AS impressions,
       CASE WHEN {_OWNERS} THEN c.click_through_rate END AS click_through_rate,
       p.sha256, p.phash, i.video_id IS NOT NULL AND n.video_id IS NOT NULL AS encoded,
       v.format, v.aspect_ratio, v.may_train IS TRUE OR v.source = 'catalogue' AS may_train, h.subscriber_count,
       k.outcome, {LACKS_COUNT} AS lacks_count, {PICTURE_WORDS} AS picture_words, c.is_short
FROM videos v
JOIN channels h USING (channel_id)
LEFT JOIN learnt p ON p.video_id = v.video_id
LEFT JOIN (SELECT DISTINCT ON (o.video_id) o.video_id, observed_at, view_count, era
      FROM video_stats o LEFT JOIN learnt p ON p.video_id = o.video_id
      WHERE view_count IS NOT NULL AND (p.until IS NULL OR observed_at <= p.until)
      ORDER BY o.video_id, observed_at DESC) s ON s.video_id = v.video_id
LEFT JOIN (SELECT b.video_id, b.era, {_AT_AGES}
           FROM views_at_age b JOIN videos w ON w.video_id = b.video_id LEFT JOIN learnt p ON p.video_id = b.video_id
           WHERE p.until IS NULL OR w.published_at + make_interval(secs => b.after_hours * 3600) <= p.until
           GROUP BY b.video_id, b.era) a
       ON a.video_id = v.video_id AND a.era = s.era
LEFT JOIN true_ctr c ON c.video_id = v.video_id
LEFT JOIN crawl_videos k ON k.video_id = v.video_id
LEFT JOIN visual_features f ON f.video_id = v.video_id AND f.sha256 = p.sha256
LEFT JOIN vectors i ON i.video_id = v.video_id AND i.encoder = :image AND i.source_digest = p.sha256
LEFT JOIN vectors n ON n.video_id = v.video_id AND n.encoder = :title AND n.source_digest = p.title_digest
WHERE v.niche = ANY(:niches)
ORDER BY v.published_at, v.video_id
"""  # noqa: S608  (built from constants; values are bound)
_TYPES = {
    "video_id": "string",
    "niche": "string",
    "channel_id": "string",
    "title": "string",
    "published_at": "int64",
    "duration_s": "int64",
    "views": "int64",
    "observed_at": "int64",
    "era": "string",
    "age_hours": "float64",
    **{views_at(age): "float64" for age in FIXED_AGES},
    "impressions": "float64",
    "click_through_rate": "float64",
    "sha256": "string",
    "phash": "int64",
    "encoded": "bool",
    "format": "string",
    "aspect_ratio": "float64",
    "may_train": "bool",
    "subscriber_count": "float64",
    "outcome": "string",
    "lacks_count": "string",
    "picture_words": "string",
    "is_short": "bool",
}
"""The columns of the corpus, with the types for `read_columns`."""


def read_corpus(lab: Lab, image_encoder: str, title_encoder: str) -> pd.DataFrame:
    """Return one row for each video, in order of publication. The rows have the columns that `exclude` needs.

    If a video changed its thumbnail or title, the row has the first thumbnail and title. All figures of the row are
    then from before the change.

    - `views`, `observed_at` and `era` belong to the latest count before the change. Without a change, all three belong
      to the latest count. `era` says which definition of a view applied. If there is no count, `lacks_count` says why.
    - `age_hours` is the age of the video at the count `views`, and at least 1.
    - `views_at_24` and so on are the views at fixed ages. These views follow the same definition of a view as `views`,
      and are never larger than `views`.
    - `picture_words` are the words in the picture, or None if the picture was not searched for words yet.
    - `impressions` and `click_through_rate` (0 to 1) come from the owner of the channel.
    - `is_short` is False if the owner's export shows that the video is not a Short.

    Unknown figures are NaN. `image_encoder` and `title_encoder` are fingerprints of encoders.
    """
    import pandas as pd
    import pyarrow as pa

    parameters = {"image": image_encoder, "title": title_encoder, "niches": list(lab.niches)}
    with lab.engine.connect() as connection:
        table = read_columns(connection, _CORPUS, _TYPES, parameters)
    for name in ("published_at", "observed_at"):
        column = table.column_names.index(name)
        table = table.set_column(column, name, table[name].cast(pa.timestamp("us", "UTC")))
    # A hash has 64 bits, and a float keeps only 53 bits exactly.
    hashes = table.select(["phash"]).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    corpus: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True).assign(phash=hashes.phash)
    for age in FIXED_AGES:
        corpus[views_at(age)] = np.minimum(corpus[views_at(age)], corpus.views.astype(float))
    return corpus


def exclude(corpus: pd.DataFrame, only_opted_in: bool) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the corpus without the excluded videos, and how many videos each rule excluded.

    A video that several rules exclude is counted only under the first of these rules.

    Two kinds of videos are only marked, and stay in the corpus. The column `crawl_outlier` says whether the crawl
    marked the video as an outlier. The column `learnt` is False for videos of more than an hour. Channel adapters and
    the evaluation use such long videos, but the model is not trained on them. So the second result counts them as
    excluded.
    """
    excluded: dict[str, int] = {}
    left = np.ones(len(corpus), bool)

    def drop(reason: str, bad: Any) -> None:
        dropped = left & np.asarray(bad, bool)
        excluded[reason] = int(dropped.sum())
        left[dropped] = False

    for reason in (NOT_KEPT, CHANGED_FIRST, NEVER_COUNTED):
        drop(reason, corpus.lacks_count == reason)
    drop("no picture", corpus.sha256.isna())
    drop("not encoded", ~corpus.encoded.astype(bool))
    drop(GONE, corpus.outcome == GONE)
    if only_opted_in:
        drop("not opted in to training", ~corpus.may_train.astype(bool))
    drop("a Short", corpus.format == SHORT)
    drop("live or upcoming", corpus.format != VIDEO)
    # If `is_short` is False, the owner's export shows that the video is not a Short.
    drop("of unknown length (may be a Short)", corpus.duration_s.isna() & ~corpus.is_short.eq(False))
    may_be_short = corpus.aspect_ratio.isna() & (corpus.duration_s <= LONGEST_SHORT_S) & ~corpus.is_short.eq(False)
    drop(f"up to {LONGEST_SHORT_S} s and of unknown shape (may be a Short)", may_be_short)
    drop(f"under {SHORTEST_S} s", corpus.duration_s < SHORTEST_S)
    drop(f"under {LEAST_VIEWS} views", corpus.views < LEAST_VIEWS)
    drop("counted before it was published", corpus.observed_at < corpus.published_at)
    # If a channel hides its number of subscribers, the number is NaN. A channel with a hidden number is not excluded.
    drop(f"of a channel under {LEAST_SUBSCRIBERS} subscribers", corpus.subscriber_count < LEAST_SUBSCRIBERS)
    corpus = corpus.drop(columns=[name for name in _RULE_COLUMNS if name != "outcome"])[left]
    corpus = corpus.astype({"views": np.int64})  # A missing count was NaN, so the views were floats.
    # The model is not trained on very long videos. But channel adapters are fitted on them, because a channel may
    # publish no shorter videos. A video of unknown length counts as short enough.
    learnt = ~(corpus.duration_s > LONGEST_S).astype(bool)
    excluded[f"over {LONGEST_S} s, from all but its channel's own history"] = int((~learnt).sum())
    corpus = corpus.assign(crawl_outlier=corpus.outcome == OUTLIER, learnt=learnt)
    return corpus.drop(columns="outcome").reset_index(drop=True), excluded
