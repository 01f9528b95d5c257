"""A niche: its name, and where its videos come from."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from thumblab_core.errors import LabError
from thumblab_core.given_text import CHANNEL_HELP, CHANNEL_ID, channel_name, has_hidden, visible
from thumblab_core.niches.names import check_name

MOST_SEARCHES, MOST_CHANNELS, MOST_EXCLUDED = 10, 50, 50
"""Maximum numbers of searches, channels and excluded words of a niche."""

LONGEST_TEXT = 100
"""Maximum number of characters of a search, a channel or an excluded word."""

REGION_PATTERN, LANGUAGE_PATTERN = "^[A-Z]{2}$", "^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$"
"""Regular expressions that match a whole ISO 3166-1 code, and a whole BCP 47 code."""

_HANDLE = re.compile(r"@\S{1,99}")
_LARGEST_CATEGORY = 999


@dataclass(frozen=True)
class Niche:
    """A niche of the lab.

    `name`: partition key in Dagster, value in the database, and name in every URL. `category_id`: `videoCategoryId` of
    the YouTube Data API v3, or None if only searches and channels give videos. `region` and `language`: ISO 3166-1 code
    and BCP 47 code; None stands for the lab's setting. `searches`: texts for which YouTube is searched. `channels`: ids
    and @handles of channels whose uploads are collected. `exclude`: a video is left out if its title has one of these
    words. `retired_at`: when a person retired the niche, or None. `version`: the number of its changes, from 1.
    """

    name: str
    category_id: int | None = None
    region: str | None = None
    language: str | None = None
    searches: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    added_at: datetime | None = None
    retired_at: datetime | None = None
    version: int = 1

    def excludes(self, title: str) -> bool:
        """Return whether the title has an excluded word. Case does not matter, and a word is not found inside a longer
        word.
        """
        folded = _folded(title)
        return any(re.search(rf"(?<!\w){re.escape(_folded(word))}(?!\w)", folded) for word in self.exclude)


def _folded(text: str) -> str:
    """Return the text in one Unicode form, without the differences between capital and small letters."""
    # The capital İ of Turkish would become an i with a dot above, which is another letter than i.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).replace("İ", "i").casefold())


def checked(niche: Niche) -> Niche:
    """Return the niche with its texts trimmed, its links replaced by ids and @handles, and without repetitions.

    Raises `LabError` if a value is not allowed, or if the niche has neither a category nor a search nor a channel.
    """
    check_name(niche.name)
    if niche.category_id is not None and not 1 <= niche.category_id <= _LARGEST_CATEGORY:
        raise LabError(f"the category {niche.category_id} is not the id of a YouTube category, such as 26")
    if niche.region is not None and re.fullmatch(REGION_PATTERN, niche.region) is None:
        raise LabError(f"the region {niche.region[:20]!r} is not a country code of two capital letters, such as AU")
    if niche.language is not None and re.fullmatch(LANGUAGE_PATTERN, niche.language) is None:
        raise LabError(f"the language {niche.language[:20]!r} is not a language code, such as en or pt-BR")
    searches = _texts("search", niche.searches, MOST_SEARCHES)
    channels = tuple(dict.fromkeys(_channel(text) for text in _texts("channel", niche.channels, MOST_CHANNELS)))
    if niche.category_id is None and not searches and not channels:
        raise LabError(f"{niche.name} would have no videos; give it a category, a search or a channel")
    exclude = _texts("excluded word", niche.exclude, MOST_EXCLUDED)
    return Niche(
        niche.name,
        niche.category_id,
        niche.region,
        niche.language,
        searches,
        channels,
        exclude,
        niche.added_at,
        niche.retired_at,
        niche.version,
    )


def described(niche: Niche) -> str:
    """Return where the videos of the niche come from, such as `category 26; searches: recipe`."""
    facts = [
        f"{name} {value}"
        for name, value in (("category", niche.category_id), ("region", niche.region), ("language", niche.language))
        if value is not None
    ]
    facts += [
        f"{name}: {', '.join(texts)}"
        for name, texts in (("searches", niche.searches), ("channels", niche.channels), ("exclude", niche.exclude))
        if texts
    ]
    return "; ".join(facts)


def _texts(kind: str, given: Sequence[str], most: int) -> tuple[str, ...]:
    texts = tuple(dict.fromkeys(text.strip() for text in given))
    if len(texts) > most:
        raise LabError(f"{len(texts)} texts were given as {kind}, and a niche has at most {most}; leave some out")
    for text in texts:
        if len(text) > LONGEST_TEXT or has_hidden(text) or not visible(text):
            raise LabError(
                f"the {kind} {text[:40]!r} is blank, too long or has invisible characters; use 1 to {LONGEST_TEXT} "
                "visible characters"
            )
    return texts


def _channel(text: str) -> str:
    name = channel_name(text)
    if CHANNEL_ID.fullmatch(name) is None and _HANDLE.fullmatch(name) is None:
        raise LabError(f"the channel {text[:80]!r} of a niche needs its id or @handle; {CHANNEL_HELP}")
    return name if CHANNEL_ID.fullmatch(name) else name.lower()


DEFAULT_NICHES = tuple(
    Niche(name, category)
    for name, category in (
        ("tech", 28),
        ("gaming", 20),
        ("education", 27),
        ("entertainment", 24),
        ("people", 22),
        ("beauty", 26),
        ("news", 25),
    )
)
"""The niches of a new lab."""

DEFAULT_NAMES: tuple[str, ...] = tuple(niche.name for niche in DEFAULT_NICHES)
