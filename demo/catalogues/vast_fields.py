"""Compute the fields of a video of the vast catalogue from eight random numbers."""

import math
from datetime import datetime
from statistics import NormalDist

from demo.catalogues.drafts import CLOCK
from demo.catalogues.growth import growth
from demo.catalogues.source import Broadcast, CatalogueChannel, CatalogueVideo
from demo.catalogues.titles import STRONG_WORDS, VOCABULARY

SPAN_DAYS = 89.0
"""The largest age of a video in days."""

PLAIN = "plain"
KINDS = ("few_views", "under_a_minute", "over_an_hour", "short", "live", "upcoming", "other_language")
"""The special kinds of videos. Each kind makes up the share `SHARE` of all videos.

A video of `few_views` has less than 1,000 views. A video `under_a_minute` is shorter than 60 s, and a video
`over_an_hour` is longer than 3,600 s. A `short` is in portrait format and lasts 60 to 180 s. A `live` or `upcoming`
video is a broadcast. A video of `other_language` is not in English.

A `PLAIN` video is in English and in landscape format, lasts 181 to 1,980 s, and has at least 1,000 views.
"""

SHARE = 0.03
"""Each special kind of video, such as `live`, makes up this share of all videos."""

Dice = tuple[int, ...]
"""Eight random numbers below 2^64. The numbers give the age, kind, views, duration, wording and language. Two of the
numbers are unused.
"""

_RANGE = float(1 << 64)
"""The number of possible values of a random number in `Dice`. A value divided by this number is uniform in [0, 1)."""
_SPREAD = 0.7
"""The standard deviation of ln views within a channel, without the effect of age."""
_NORMAL = NormalDist()

_FOREIGN_TITLES = {
    "es": ("Cómo aprender esto en una semana", "Diez errores que todos cometemos", "Lo que nadie te cuenta"),
    "de": ("Warum das niemand richtig macht", "Zehn Dinge, die du wissen musst", "Mein ehrliches Fazit"),
    "fr": ("Ce que personne ne vous dit", "Dix erreurs à ne pas faire", "Mon avis après un mois"),
    "pt": ("O que ninguém te conta", "Dez erros que todo mundo comete", "Minha opinião sincera"),
    "hi": ("यह कोई नहीं बताता", "दस बड़ी गलतियाँ", "मेरी सच्ची राय"),
}


def kind_of(dice: Dice) -> str:
    """Return the kind of a video, which is one of `KINDS` or `PLAIN`."""
    number = int(dice[1] / _RANGE / SHARE)
    return KINDS[number] if number < len(KINDS) else PLAIN


def age_seconds(position: int, size: int, dice: Dice) -> int:
    """Return the age in seconds of a video at `position` in a channel of `size` videos. Position 0 is the newest."""
    return int(SPAN_DAYS * 86_400 * (position + dice[0] / _RANGE) / size)


def make_video(
    video_id: str, channel: CatalogueChannel, level: float, published_at: datetime, dice: Dice
) -> CatalogueVideo:
    """Return a video. `level` is the final number of views that videos of its channel usually reach."""
    kind = kind_of(dice)
    language, title = _wording(channel.niche, kind, dice)
    return CatalogueVideo(
        video_id,
        channel.niche,
        channel.channel_id,
        channel.title,
        title,
        _views(kind, level, published_at, dice),
        published_at,
        _duration_s(kind, dice[3]),
        tags=tuple(title.lower().split()[:4]),
        aspect_ratio=9 / 16 if kind == "short" else 16 / 9,
        broadcast=_broadcast(kind),
        language=language,
    )


def _broadcast(kind: str) -> Broadcast:
    return "live" if kind == "live" else "upcoming" if kind == "upcoming" else "none"


def _views(kind: str, level: float, published_at: datetime, dice: Dice) -> int:
    if kind == "upcoming":
        return 0
    if kind == "few_views":
        return 10 + dice[2] % 990
    luck = _NORMAL.inv_cdf(min(max(dice[2] / _RANGE, 1e-6), 1 - 1e-6))
    share = growth((CLOCK - published_at).total_seconds() / 86_400)
    return max(1_000 + dice[2] % 500, round(level * share * math.exp(_SPREAD * luck)))


def _duration_s(kind: str, number: int) -> int:
    """Return the duration in seconds of a video of this kind. The random number `number` determines the duration."""
    if kind in ("live", "upcoming"):
        return 0
    if kind == "under_a_minute":
        return 10 + number % 50
    if kind == "over_an_hour":
        return 3_601 + number % 10_800
    return 60 + number % 121 if kind == "short" else 181 + number % 1_800


def _wording(niche: str, kind: str, dice: Dice) -> tuple[str | None, str]:
    """Return the language and the title of a video. A third of the English videos state no language."""
    first, second, third, fourth = (dice[4] >> shift & 0xFFFF for shift in (0, 16, 32, 48))
    if kind == "other_language":
        language = tuple(_FOREIGN_TITLES)[first % len(_FOREIGN_TITLES)]
        titles = _FOREIGN_TITLES[language]
        return language, f"{titles[second % len(titles)]} {third % 100}"
    words = VOCABULARY[niche]
    stated_language = None if dice[5] % 3 == 0 else "en"
    topic, plural = words.topics[first % len(words.topics)], words.plurals[second % len(words.plurals)]
    strong = STRONG_WORDS[third % len(STRONG_WORDS)]
    if fourth % 2:
        return stated_language, f"{3 + fourth % 28} {strong} {plural} About {topic}"
    return stated_language, f"{words.deeds[fourth // 2 % len(words.deeds)]} {topic}: {strong} {plural}"
