"""Make drafts: the videos of a synthetic channel, with view counts that depend on the channel only. Each draft comes
with a description of the video's picture.

The module `synthetic` then adds the effects of quality, age and noise to the view counts.
"""

import base64
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from demo.catalogues.catalogue import channel_id_of
from demo.catalogues.drawing import ATTRIBUTES, INKS, Style, draw
from demo.catalogues.effects import draw_words, tilt
from demo.catalogues.formula import Formula
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.titles import VOCABULARY, compose

CLOCK = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
"""The time at which all videos of the synthetic and of the vast catalogue are observed."""


@dataclass(frozen=True)
class Drawing:
    """The description from which `drawing.draw` draws one picture.

    `key`, together with the seed of the catalogue, determines the random variation of the picture.
    """

    key: str
    attributes: npt.NDArray[np.float64]
    style: Style
    words: tuple[str, str]

    def jpeg(self, seed: int) -> bytes:
        """Return the picture as a JPEG. `seed` is the seed of the catalogue."""
        return draw(self.attributes, self.style, self.words, random_generator(seed, self.key))


class Drafts:
    """A maker of drafts of videos, and of the descriptions of their pictures.

    Args:
        seed: the seed of all random numbers.
        formula: the formula of the quality. `formula.effects` says which effects are planted.
    """

    def __init__(self, seed: int, formula: Formula) -> None:
        self._seed = seed
        self._formula = formula

    def channel(self, niche: str, name: str, count: int) -> Iterator[tuple[CatalogueVideo, Drawing]]:
        """Yield each video of a channel with the description of its picture.

        All videos have the same `views`, the final number that videos of this channel usually reach. The caller must
        add the effects of quality, age and noise.
        """
        rng = random_generator(self._seed, f"channel:{name}")
        style = random_style(niche, rng)
        level = float(np.exp(rng.normal(11.0, 1.0)))
        ages = 2.0 + 85.0 * (np.arange(count) + rng.random(count)) / max(count, 1)
        titles: set[str] = set()
        for number, age in enumerate(ages):
            title = compose(niche, rng)
            while title in titles:
                title = compose(niche, rng)
            titles.add(title)
            key = f"video:{name}:{number}"
            banners = VOCABULARY[niche].banners
            banner = banners[int(rng.integers(len(banners)))]
            attributes = rng.standard_normal(len(ATTRIBUTES))
            video = CatalogueVideo(
                video_id=_video_id(f"{self._seed}:{key}"),
                niche=niche,
                channel_id=channel_id_of(name),
                channel_title=name,
                title=title,
                views=round(level),
                published_at=(CLOCK - timedelta(days=float(age))).replace(microsecond=0),
                duration_s=int(rng.integers(120, 1501)),
                tags=tuple(word.lower() for word in title.replace(":", "").split() if len(word) > 4)[:5],
            )
            yield video, self._drawing(video, Drawing(key, attributes, style, banner))

    def redraw(self, video: CatalogueVideo, drawing: Drawing, key: str) -> Drawing:
        """Return the description of a new picture for `video`, in the style of its first picture `drawing`.

        Each `key` gives a different result.
        """
        key = f"{drawing.key}:{key}"
        rng = random_generator(self._seed, f"attributes:{key}")
        banners = VOCABULARY[video.niche].banners
        banner = banners[int(rng.integers(len(banners)))]
        return self._drawing(video, Drawing(key, rng.standard_normal(len(ATTRIBUTES)), drawing.style, banner))

    def _drawing(self, video: CatalogueVideo, drawing: Drawing) -> Drawing:
        """Return a copy of `drawing` in which the planted effects have changed the attributes and the words."""
        effects, attributes, words = self._formula.effects, drawing.attributes, drawing.words
        if effects.topic_correlation:
            attributes = tilt(attributes, self._formula.popularity(video.title), effects.topic_correlation)
        if effects.interaction:
            words = draw_words(video.niche, video.title, random_generator(self._seed, f"words:{drawing.key}"))
        return Drawing(drawing.key, attributes, drawing.style, words)


def random_style(niche: str, rng: np.random.Generator) -> Style:
    """Return the random style of a channel."""
    return Style(
        hue=float(rng.uniform(0, 2 * math.pi)),
        motif=VOCABULARY[niche].motif,
        subject_right=rng.random() < 0.7,
        rays=rng.random() < 0.5,
        ink=INKS[int(rng.integers(len(INKS)))],
    )


def random_generator(seed: int, key: str) -> np.random.Generator:
    """Return the random generator for a key. The generator yields the same numbers in every process."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8]))


def _video_id(key: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()).decode()[:11]
