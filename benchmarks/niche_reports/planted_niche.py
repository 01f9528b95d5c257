"""Make planted niches: random videos whose views contain known effects of their features.

Every channel has its own level of views and its own usual values of the features. The effect of a planted feature also
differs between channels. The outlier multiple of a video is its views divided by the channel's median.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from thumblab_pipelines.niche_report.features import FEATURES

PLANTED = {"text_area": -0.4, "has_face": 0.5, "title_length": -0.25, "colour_contrast": 0.3}
"""The effect of each planted feature on the logarithm of the views. If the feature is a number, this is the effect of
raising the number by one standard deviation. If the feature is true or false, the views of a video get this effect if
the feature is true.
"""

_SPREAD = 0.1
"""How much the effect of a feature varies between the channels, as a standard deviation."""

_NOW = pd.Timestamp("2026-11-01", tz="UTC")


@dataclass(frozen=True)
class PlantedNiche:
    """The videos of a niche, and a table of their features with one row for each video.

    The function `thumblab_pipelines.niche_report.findings.find` takes the videos and the table.
    """

    videos: pd.DataFrame
    values: pd.DataFrame


def plant(
    channels: int = 15,
    videos: int = 100,
    seed: int = 0,
    effects: dict[str, float] | None = None,
    recent: dict[str, float] | None = None,
) -> PlantedNiche:
    """Return a planted niche.

    `effects` has the effect of each planted feature on the log views. `recent` has the effects on videos of the last 28
    days. If `recent` is None, these videos have the same effects as older videos.
    """
    random = np.random.default_rng(seed)
    effects = PLANTED if effects is None else effects
    count = channels * videos
    channel = np.repeat(np.arange(channels), videos)
    common = random.standard_normal(count)
    columns: dict[str, np.ndarray] = {}
    published = _NOW - pd.to_timedelta(random.uniform(1, 400, count), unit="D")
    newest = (_NOW - published).days.to_numpy() < 28
    log_views = random.standard_normal(channels)[channel] * 2 + random.standard_normal(count)
    for feature in FEATURES:
        usual = random.standard_normal(channels)[channel]
        # The features share the term `common`, because the features of a real picture also depend on each other.
        value = 0.5 * common + np.sqrt(0.75) * random.standard_normal(count) + usual
        if feature.flag:
            value = (value > 0.3).astype(float)
        elif feature.logarithmic:
            value = np.exp(value)
        columns[feature.name] = value
        for among, size in (
            (~newest, effects.get(feature.name, 0.0)),
            (newest, (recent or effects).get(feature.name, 0)),
        ):
            if size:
                own = size + _SPREAD * random.standard_normal(channels)[channel]
                log_views += among * own * (value if feature.flag else value - usual)
    values = pd.DataFrame(columns)
    for name in ("text_words", "text_area", "text_height", "text_contrast", "legibility", "text_x", "text_y"):
        values.loc[(values.has_text == 0) & (name not in effects), name] = np.nan
    for name in ("face_area", "face_x"):
        values.loc[values.has_face == 0, name] = np.nan
    table = pd.DataFrame(
        {
            "video_id": [f"v{number}" for number in range(count)],
            "sha256": [f"{number:064d}" for number in range(count)],
            "channel_id": np.char.add("c", channel.astype(str)),
            "published_at": published,
            "observed_at": _NOW,
            "views_per_hour": 1_000.0,
            "log_views": log_views,
        }
    )
    age = (_NOW - published).days.to_numpy()
    table["age_band"] = np.select([age < 2, age < 7, age < 30, age < 90], ["0-2", "2-7", "7-30", "30-90"], "over 90")
    return PlantedNiche(with_multiples(table), values)


def with_multiples(table: pd.DataFrame) -> pd.DataFrame:
    """Return the videos with their outlier multiples. The multiples are computed from the column `log_views`."""
    median = table.log_views.groupby([table.channel_id, table.age_band]).transform("median")
    return table.assign(outlier_multiple=np.exp(table.log_views - median))


def shuffled(niche: PlantedNiche, seed: int) -> PlantedNiche:
    """Return a copy of the niche in which the views are shuffled among the videos of each channel."""
    random = np.random.default_rng(seed)
    views = niche.videos.log_views.groupby(niche.videos.channel_id).transform(lambda some: random.permutation(some))
    return PlantedNiche(with_multiples(niche.videos.assign(log_views=views)), niche.values)
