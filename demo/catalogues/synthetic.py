"""A synthetic catalogue with drawn thumbnails. A known formula computes views from the picture and the title.

**The planted relation.** Each video has a hidden quality q, which is standard normal within its channel:

    q = sqrt(0.7) * picture + sqrt(0.3) * title

`picture` is a weighted sum of six standard normal attributes, with the weights `PICTURE_WEIGHTS`. `drawing.draw` turns
the attributes into areas, colours and edges. `title` is a weighted sum of three standardised facts about the wording,
with the weights `TITLE_WEIGHTS`. The views of the video follow from its quality:

    ln views = channel level + ln(age / (age + 3 days)) + SIGMA_Q * q + SIGMA_N * noise,    noise ~ N(0, 1)

So in every channel views grow fast at first, and hardly at all after some weeks.

**The ceiling.** Take two videos of a channel, and correct their views for age. The difference of their ln views and the
difference of their q are jointly Gaussian, with the correlation rho = SIGMA_Q / sqrt(SIGMA_Q^2 + SIGMA_N^2). Two such
variables have the same sign with the probability 1/2 + arcsin(rho) / pi (Sheppard 1899). arcsin(rho) equals
atan(SIGMA_Q / SIGMA_N), so a ranker that knows q reaches

    AUC = 1/2 + atan(SIGMA_Q / SIGMA_N) / pi = 0.80

No ranker can do better from the picture and the title. q is only nearly Gaussian, because the facts about the title are
discrete. The effect on the AUC is far below the sampling error of a catalogue of this size. By the same formula, the
picture alone reaches 1/2 + arcsin(sqrt(0.7) * rho) / pi = 0.74, and the title alone 0.65.
"""

import base64
import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from demo.catalogues.catalogue import Catalogue, channel_id_of
from demo.catalogues.drawing import ATTRIBUTES, INKS, Style, draw
from demo.catalogues.growth import growth, views_at
from demo.catalogues.motifs import HEIGHT, WIDTH
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.titles import VOCABULARY, compose, title_facts
from thumblab_core.niches import NICHES

CLOCK = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
"""The time at which all videos of the synthetic and of the vast catalogue are observed."""

SIGMA_Q = 0.62
SIGMA_N = SIGMA_Q / math.tan(0.30 * math.pi)
"""`SIGMA_Q` and `SIGMA_N` are the standard deviations of ln views within a channel that quality and noise cause.

With these two values, the best possible AUC is 0.80.
"""

PICTURE_SHARE = 0.7
"""The share of the variance of q that comes from the picture; the rest comes from the title."""


def _unit(*weights: float) -> npt.NDArray[np.float64]:
    vector = np.array(weights, dtype=np.float64)
    return vector / np.linalg.norm(vector)


PICTURE_WEIGHTS = _unit(0.50, 0.50, 0.30, 0.45, 0.25, 0.40)
"""The weights of `drawing.ATTRIBUTES` in the picture's part of the quality, float64 (6,). They are a unit vector."""

TITLE_WEIGHTS = _unit(0.60, 0.50, 0.60)
"""The weights of `titles.FACTS` in the title's part of the quality, float64 (3,). They are a unit vector."""

_CHANNELS_PER_NICHE = 6
_FEWEST_VIDEOS = 20
"""The smallest number of videos in a channel, if the catalogue has enough videos.

Fewer videos make too few pairs to learn from. A small catalogue therefore has fewer channels.
"""


@dataclass(frozen=True)
class PlantedThumbnail:
    """A thumbnail that is not in the catalogue, for a request to rank. `image` holds the bytes of a JPEG file.

    `quality` is the planted q, in standard deviations.
    """

    name: str
    image: bytes
    title: str
    quality: float


@dataclass(frozen=True)
class _Drawing:
    """The input of `drawing.draw` for one video. `key` determines the random generator."""

    key: str
    attributes: npt.NDArray[np.float64]
    style: Style
    words: tuple[str, str]


class SyntheticCatalogue(Catalogue):
    """A catalogue in which the quality of each video is known. Use `synthetic_catalogue` to create one.

    Args:
        videos: the number of videos over all niches.
        seed: the seed of all random numbers. The same seed gives the same catalogue in every process.

    Raises:
        ValueError: there are fewer videos than niches.
    """

    def __init__(self, videos: int, seed: int) -> None:
        if videos < len(NICHES):
            raise ValueError(
                f"a synthetic catalogue needs at least {len(NICHES)} videos, one for each niche; got {videos}"
            )
        self.seed = seed
        per_niche = min(_CHANNELS_PER_NICHE, max(1, videos // (len(NICHES) * _FEWEST_VIDEOS)))
        channels = [(niche, VOCABULARY[niche].channels[index]) for index in range(per_niche) for niche in NICHES]
        self._drawings: dict[str, _Drawing] = {}
        self._quality: dict[str, float] = {}
        drafts = [
            draft
            for index, (niche, name) in enumerate(channels)
            for draft in self._drafts(niche, name, videos // len(channels) + (index < videos % len(channels)))
        ]
        facts = np.stack([title_facts(draft.title) for draft in drafts])
        self._fact_mean, self._fact_std = facts.mean(axis=0), np.maximum(facts.std(axis=0), 1e-9)
        super().__init__((self._with_views(draft) for draft in drafts), CLOCK)

    def image(self, video_id: str) -> bytes:
        drawing = self._drawings[video_id]
        return draw(drawing.attributes, drawing.style, drawing.words, _rng(self.seed, drawing.key))

    def image_size(self, video_id: str) -> tuple[int, int]:
        del video_id
        return WIDTH, HEIGHT

    def views(self, video: CatalogueVideo, now: datetime) -> int:
        return views_at(video, self.observed_at, now)

    def planted_quality(self, video_id: str) -> float:
        """Return q of a video, in standard deviations within its channel. Raise KeyError for an unknown id."""
        return self._quality[video_id]

    def attributes(self, video_id: str) -> npt.NDArray[np.float64]:
        """Return the attributes of a picture, float64 (6,), in the order of `ATTRIBUTES`.

        Raise KeyError for an unknown id.
        """
        return self._drawings[video_id].attributes

    def planted_picture(self, video_id: str) -> float:
        """Return the standard normal term `picture` of q for a video. Raise KeyError for an unknown id."""
        return float(self._drawings[video_id].attributes @ PICTURE_WEIGHTS)

    def ceiling(self) -> float:
        """Return the best possible AUC on pairs of a channel whose views are corrected for age.

        It is 1/2 + atan(SIGMA_Q / SIGMA_N) / pi.
        """
        return 0.5 + math.atan(SIGMA_Q / SIGMA_N) / math.pi

    def candidates(self, niche: str, seed: int) -> list[PlantedThumbnail]:
        """Return three new thumbnails for one title in random order. Their planted qualities are 1.5, 0 and -1.5.

        Raises:
            ValueError: the niche is unknown.
        """
        if niche not in NICHES:
            raise ValueError(f"{niche!r} is not a niche; use one of {', '.join(NICHES)}")
        rng = _rng(self.seed, f"candidates:{niche}:{seed}")
        title = min((compose(niche, rng) for _ in range(20)), key=lambda text: abs(self._title_part(text)))
        style = _style(niche, rng)
        words = VOCABULARY[niche].banners[int(rng.integers(len(VOCABULARY[niche].banners)))]
        candidates = []
        for letter, quality in zip("abc", rng.permutation([1.5, 0.0, -1.5]), strict=True):
            picture = (float(quality) - math.sqrt(1 - PICTURE_SHARE) * self._title_part(title)) / math.sqrt(
                PICTURE_SHARE
            )
            # The attributes get only half of the usual spread. So they stay in the range that can be drawn, even after
            # they are shifted to reach the quality.
            unshifted = 0.5 * rng.standard_normal(len(ATTRIBUTES))
            attributes = unshifted + (picture - unshifted @ PICTURE_WEIGHTS) * PICTURE_WEIGHTS
            image = draw(attributes, style, words, rng)
            candidates.append(PlantedThumbnail(f"candidate-{letter}.jpg", image, title, float(quality)))
        return candidates

    def _drafts(self, niche: str, name: str, count: int) -> list[CatalogueVideo]:
        """Return the videos of a channel. Store the input of their drawings.

        The `views` of each returned video are the usual views of the channel, before quality, age and noise change
        them.
        """
        rng = _rng(self.seed, f"channel:{name}")
        style = _style(niche, rng)
        level = float(np.exp(rng.normal(11.0, 1.0)))
        ages = 2.0 + 85.0 * (np.arange(count) + rng.random(count)) / max(count, 1)
        drafts: list[CatalogueVideo] = []
        titles: set[str] = set()
        for age in ages:
            title = compose(niche, rng)
            while title in titles:
                title = compose(niche, rng)
            titles.add(title)
            key = f"video:{name}:{len(drafts)}"
            video_id = _video_id(f"{self.seed}:{key}")
            banners = VOCABULARY[niche].banners
            words = banners[int(rng.integers(len(banners)))]
            self._drawings[video_id] = _Drawing(key, rng.standard_normal(len(ATTRIBUTES)), style, words)
            drafts.append(
                CatalogueVideo(
                    video_id=video_id,
                    niche=niche,
                    channel_id=channel_id_of(name),
                    channel_title=name,
                    title=title,
                    views=round(level),
                    published_at=(CLOCK - timedelta(days=float(age))).replace(microsecond=0),
                    duration_s=int(rng.integers(120, 1501)),
                    tags=tuple(word.lower() for word in title.replace(":", "").split() if len(word) > 4)[:5],
                )
            )
        return drafts

    def _with_views(self, draft: CatalogueVideo) -> CatalogueVideo:
        """Return the draft with the views that follow from its quality, its age and noise. Store its quality."""
        quality = math.sqrt(PICTURE_SHARE) * self.planted_picture(draft.video_id)
        quality += math.sqrt(1 - PICTURE_SHARE) * self._title_part(draft.title)
        self._quality[draft.video_id] = quality
        noise = float(_rng(self.seed, f"noise:{draft.video_id}").standard_normal())
        age_days = (CLOCK - draft.published_at).total_seconds() / 86_400
        views = draft.views * growth(age_days) * math.exp(SIGMA_Q * quality + SIGMA_N * noise)
        fields = {name: getattr(draft, name) for name in CatalogueVideo.__slots__}
        return CatalogueVideo(**{**fields, "views": round(views)})

    def _title_part(self, title: str) -> float:
        return float(((title_facts(title) - self._fact_mean) / self._fact_std) @ TITLE_WEIGHTS)


def synthetic_catalogue(videos: int = 1800, seed: int = 7) -> SyntheticCatalogue:
    """Return a catalogue of `videos` videos over all niches.

    Each niche has six channels. It has fewer channels if six channels would have less than 20 videos each.
    """
    return SyntheticCatalogue(videos, seed)


def _style(niche: str, rng: np.random.Generator) -> Style:
    return Style(
        hue=float(rng.uniform(0, 2 * math.pi)),
        motif=VOCABULARY[niche].motif,
        subject_right=rng.random() < 0.7,
        rays=rng.random() < 0.5,
        ink=INKS[int(rng.integers(len(INKS)))],
    )


def _video_id(key: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()).decode()[:11]


def _rng(seed: int, key: str) -> np.random.Generator:
    """Return the random generator for a key. It yields the same numbers in every process."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8]))
