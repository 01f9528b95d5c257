"""A synthetic catalogue with drawn thumbnails. A known formula computes views from the picture and the title.

**The planted relation.** Each video has a hidden quality q, which is standard normal within its channel:

    q = sqrt(0.7) * picture + sqrt(0.3) * title

`picture` is a weighted sum of six standard normal attributes, with the weights `PICTURE_WEIGHTS`. `drawing.draw` turns
the attributes into areas, colours and edges. `title` is a weighted sum of three standardised facts about the wording,
with the weights `TITLE_WEIGHTS`. The views of the video follow from its quality:

    ln views = channel level + ln(age / (age + 3 days)) + SIGMA_Q * q + SIGMA_N * noise,    noise ~ N(0, 1)

Here the channel level is ln of the final views that videos of the channel usually reach. In every channel, views grow
fast at first, and hardly at all after some weeks.

**The ceiling.** The ceiling is the best AUC that a ranker can reach from the picture and the title. Take two videos of
a channel, and correct their views for age. The difference of their ln views and the difference of their q are jointly
Gaussian, with the correlation rho = SIGMA_Q / sqrt(SIGMA_Q^2 + SIGMA_N^2). Two such variables have the same sign with
the probability 1/2 + arcsin(rho) / pi (Sheppard 1899). arcsin(rho) equals atan(SIGMA_Q / SIGMA_N), so a ranker that
knows q reaches

    AUC = 1/2 + atan(SIGMA_Q / SIGMA_N) / pi = 0.80

The facts about the title are discrete, so q is only nearly Gaussian. The error that this causes in the AUC is far below
the sampling error of the demo's catalogue. By the same formula, a ranker that knows only the picture reaches 1/2 +
arcsin(sqrt(0.7) * rho) / pi = 0.74. A ranker that knows only the title reaches 0.65.

**More effects** can be planted with `effects.PlantedEffects`. The quality then is

    q = sqrt(0.7) * picture + interaction + sqrt(0.3) * title + topic_effect * popularity of the topic

The sum of the first two terms is what the picture adds under a title, `one_title_quality`. The sum of the last two is
what the title adds, `title_quality`. The module `formula` computes both sums, and `ceilings` has the theory of the
ceilings.
"""

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from demo.catalogues.catalogue import Catalogue, channel_id_of
from demo.catalogues.drafts import CLOCK, Drafts, Drawing, random_generator, random_style
from demo.catalogues.drawing import ATTRIBUTES, draw
from demo.catalogues.effects import (
    NO_EFFECTS,
    PlantedEffects,
    draw_popularity,
    draw_weights,
    interaction_part,
    topic_of,
)
from demo.catalogues.formula import PICTURE_SHARE, PICTURE_WEIGHTS, SIGMA_N, SIGMA_Q, Formula
from demo.catalogues.growth import growth, views_at
from demo.catalogues.motifs import HEIGHT, WIDTH
from demo.catalogues.source import CatalogueVideo, PictureChange
from demo.catalogues.titles import VOCABULARY, compose
from thumblab_core.niches import DEFAULT_NAMES

_CHANNELS_PER_NICHE = 6
_FEWEST_VIDEOS = 20
"""The smallest number of videos in a channel, if the catalogue has enough videos.

Fewer videos make too few pairs to learn from. A small catalogue therefore has fewer channels.
"""
_SWAP = "swap"
"""The key of the new picture in a swap. In a swap, the owner of a video changes its thumbnail."""
_SWAP_DAYS = (1.0, 14.0)
"""The swaps of thumbnails happen between these two numbers of days after `CLOCK`."""


@dataclass(frozen=True)
class PlantedThumbnail:
    """A picture with a title and a planted quality. `image` contains the bytes of a JPEG file.

    `quality` is the planted quality q of the picture under the title, in standard deviations.
    """

    name: str
    image: bytes
    title: str
    quality: float


@dataclass(frozen=True)
class PlantedSwap:
    """A change of a video's thumbnail by its owner.

    From `at` on, the video gets exp(`effect`) times the views per hour that it would get with its first picture.
    """

    video_id: str
    at: datetime
    effect: float


class SyntheticCatalogue(Catalogue):
    """A catalogue in which the quality of each video is known. Use `synthetic_catalogue` to create one.

    Args:
        videos: the number of videos over all niches.
        seed: the seed of all random numbers. The same seed gives the same catalogue in every process.
        effects: the effects that are planted in addition to the effects of the picture and of the title.

    Raises:
        ValueError: there are fewer videos than niches.
    """

    def __init__(self, videos: int, seed: int, effects: PlantedEffects = NO_EFFECTS) -> None:
        if videos < len(DEFAULT_NAMES):
            raise ValueError(
                f"a synthetic catalogue needs at least {len(DEFAULT_NAMES)} videos, one for each niche; got {videos}"
            )
        self.seed = seed
        self.effects = effects
        per_niche = min(_CHANNELS_PER_NICHE, max(1, videos // (len(DEFAULT_NAMES) * _FEWEST_VIDEOS)))
        channels = [(niche, VOCABULARY[niche].channels[index]) for index in range(per_niche) for niche in DEFAULT_NAMES]
        weights = {
            channel_id_of(name): draw_weights(PICTURE_WEIGHTS, effects.taste, random_generator(seed, f"taste:{name}"))
            for _, name in channels
        }
        self._formula = Formula(effects, draw_popularity(random_generator(seed, "popularity")), weights)
        self._drafts = Drafts(seed, self._formula)
        self._drawings: dict[str, Drawing] = {}
        self._drawn: dict[bytes, Drawing] = {}
        """The drawing of each picture that was requested, by the digest of its JPEG file. The dictionary stays empty if
        new pictures do not change the views (see `PlantedEffects.views_follow_changes`).
        """
        self._quality: dict[str, float] = {}
        drafts: list[CatalogueVideo] = []
        for index, (niche, name) in enumerate(channels):
            count = videos // len(channels) + (index < videos % len(channels))
            for draft, drawing in self._drafts.channel(niche, name, count):
                self._drawings[draft.video_id] = drawing
                drafts.append(draft)
        self._formula.standardise_titles(draft.title for draft in drafts)
        super().__init__((self._with_views(draft) for draft in drafts), CLOCK)
        self.swaps = self._plan_swaps()
        """The planned changes of thumbnails, in the order of time."""

    def image(self, video_id: str) -> bytes:
        return self._draw(self._drawings[video_id])

    def image_size(self, video_id: str) -> tuple[int, int]:
        del video_id
        return WIDTH, HEIGHT

    def views(self, video: CatalogueVideo, now: datetime) -> int:
        return views_at(video, self.observed_at, now)

    def planted_quality(self, video_id: str) -> float:
        """Return the planted quality q of a video, in standard deviations within the channel. Raise KeyError for an
        unknown id.
        """
        return self._quality[video_id]

    def attributes(self, video_id: str) -> npt.NDArray[np.float64]:
        """Return the attributes of a picture, float64 (6,), in the order of `ATTRIBUTES`.

        Raise KeyError for an unknown id.
        """
        return self._drawings[video_id].attributes

    def words(self, video_id: str) -> tuple[str, str]:
        """Return the two lines of large text in the picture of a video. Raise KeyError for an unknown id."""
        return self._drawings[video_id].words

    def popularity(self, video_id: str) -> float:
        """Return the standardised popularity of the topic of a video. Raise KeyError for an unknown id."""
        return self._formula.popularity(self.videos[video_id].title)

    def planted_picture(self, video_id: str) -> float:
        """Return the term `picture` of q for a video. Raise KeyError for an unknown id.

        The term is standard normal if there is no confounding.
        """
        return self._formula.picture(self.videos[video_id].channel_id, self._drawings[video_id].attributes)

    def one_title_quality(self, picture_of: str, title_of: str) -> float:
        """Return what the picture of the video `picture_of` would add to q if the video `title_of` had this picture.

        The title and the channel are from `title_of`.

        The result is sqrt(0.7) * picture + interaction. This result ranks several pictures for one title. For two equal
        ids, the result is `planted_quality` minus `title_quality`. Raise KeyError for an unknown id.
        """
        return self._picture_part(self._drawings[picture_of], self.videos[title_of])

    def title_quality(self, video_id: str) -> float:
        """Return what the title of a video adds to q, whatever its picture is. Raise KeyError for an unknown id."""
        return self._formula.title_part(self.videos[video_id].title)

    def ceiling(self) -> float:
        """Return the best possible AUC on pairs of videos of one channel, whose views are corrected for age.

        The result is 1/2 + atan(sd(q) * SIGMA_Q / SIGMA_N) / pi (Sheppard 1899). sd(q) is the standard deviation of q,
        which is 1 if no effect of `PlantedEffects` is planted. With an interaction, q is not Gaussian. The ceiling is
        then simulated: see `ceilings.best_auc`.
        """
        return self._formula.ceiling()

    def one_title_ceiling(self) -> float:
        """Return the best possible AUC for the question "one title, several pictures".

        Each pair has two videos of one channel. For each video, ln views are corrected for age, and SIGMA_Q *
        `title_quality` is subtracted. The label of a pair says for which video the result is larger. The best ranker
        orders the two videos by `one_title_quality(id, id)`. `ceilings.best_auc` computes the AUC of this ranker from
        the variance of `one_title_quality`. Without an interaction, `best_auc` uses Sheppard's formula. With an
        interaction, `best_auc` simulates `DRAWS` pairs.
        """
        return self._formula.one_title_ceiling()

    def fitted_one_title_ceiling(self) -> float:
        """Return the best possible AUC on pairs that are labelled by residuals.

        A perfect regression predicts the ln views of a video from its title. The residual of the video is its ln views
        minus this prediction (Robinson 1988, "Root-N-consistent semiparametric regression", Econometrica 56). The
        winner of a pair is the video with the larger residual. With confounding, the prediction contains the effect of
        the topic's average picture. So the labels contain less of this effect. The result is below `one_title_ceiling`.
        """
        return self._formula.fitted_one_title_ceiling()

    def changed_winners(self) -> float:
        """Return the share of pairs in which one picture is better under the first title, the other under the second.

        A pair is two videos of one channel. `ceilings.changed_winners` has the formula.
        """
        return self._formula.changed_winners()

    def picture_effect(self, video: CatalogueVideo, jpeg: bytes) -> float:
        drawing = self._drawn.get(_digest(jpeg))
        return 0.0 if drawing is None else self._effect(drawing, video)

    def picture_changes(self, after: datetime, until: datetime) -> list[PictureChange]:
        return [
            PictureChange(swap.video_id, swap.at, self.new_picture(swap.video_id, _SWAP).image)
            for swap in self.swaps
            if after < swap.at <= until
        ]

    def thumbnail(self, video_id: str) -> PlantedThumbnail:
        """Return the first picture of a video with the video's title and quality. Raise KeyError for an unknown id."""
        quality = self._quality[video_id]
        return PlantedThumbnail(f"{video_id}.jpg", self.image(video_id), self.videos[video_id].title, quality)

    def new_picture(self, video_id: str, key: str) -> PlantedThumbnail:
        """Return a new picture for a video, in the style of its first picture. Each `key` gives a different picture.

        Raise KeyError for an unknown id.
        """
        video = self.videos[video_id]
        drawing = self._drafts.redraw(video, self._drawings[video_id], key)
        quality = self._picture_part(drawing, video) + self._formula.title_part(video.title)
        return PlantedThumbnail(f"{video_id}-{key}.jpg", self._draw(drawing), video.title, quality)

    def new_title(self, video_id: str, key: str) -> PlantedThumbnail:
        """Return the picture of a video with a new title about the same topic. Each `key` gives a different title.

        Raise KeyError for an unknown id.
        """
        video = self.videos[video_id]
        rng = random_generator(self.seed, f"title:{video_id}:{key}")
        title = compose(video.niche, rng)
        while topic_of(title) != topic_of(video.title) or title == video.title:
            title = compose(video.niche, rng)
        renamed = dataclasses.replace(video, title=title)
        quality = self._picture_part(self._drawings[video_id], renamed) + self._formula.title_part(title)
        return PlantedThumbnail(f"{video_id}.jpg", self.image(video_id), title, quality)

    def candidates(self, niche: str, seed: int) -> list[PlantedThumbnail]:
        """Return three new thumbnails for one title, of planted quality 1.5, 0 and -1.5, in random order.

        The thumbnails belong to no channel of the catalogue. Their quality is computed with `PICTURE_WEIGHTS`, even if
        channels have other weights.

        Raises:
            ValueError: the niche is unknown.
        """
        if niche not in DEFAULT_NAMES:
            raise ValueError(f"{niche!r} is not a niche; use one of {', '.join(DEFAULT_NAMES)}")
        rng = random_generator(self.seed, f"candidates:{niche}:{seed}")
        title = min((compose(niche, rng) for _ in range(20)), key=lambda text: abs(self._formula.title_part(text)))
        style = random_style(niche, rng)
        words = VOCABULARY[niche].banners[int(rng.integers(len(VOCABULARY[niche].banners)))]
        words_part = interaction_part(words, title, self.effects.interaction)
        candidates = []
        for letter, quality in zip("abc", rng.permutation([1.5, 0.0, -1.5]), strict=True):
            picture = (float(quality) - words_part - self._formula.title_part(title)) / math.sqrt(PICTURE_SHARE)
            # The next line shifts these random attributes, so that the picture reaches the wanted quality. With only
            # half of the usual standard deviation, the shifted attributes stay in the range that `draw` can show.
            unshifted = 0.5 * rng.standard_normal(len(ATTRIBUTES))
            attributes = unshifted + (picture - unshifted @ PICTURE_WEIGHTS) * PICTURE_WEIGHTS
            image = draw(attributes, style, words, rng)
            candidates.append(PlantedThumbnail(f"candidate-{letter}.jpg", image, title, float(quality)))
        return candidates

    def _with_views(self, draft: CatalogueVideo) -> CatalogueVideo:
        """Return the draft with the views that follow from its quality, its age and noise. Also store the quality."""
        quality = self._picture_part(self._drawings[draft.video_id], draft) + self._formula.title_part(draft.title)
        self._quality[draft.video_id] = quality
        noise = float(random_generator(self.seed, f"noise:{draft.video_id}").standard_normal())
        age_days = (CLOCK - draft.published_at).total_seconds() / 86_400
        views = draft.views * growth(age_days) * math.exp(SIGMA_Q * quality + SIGMA_N * noise)
        return dataclasses.replace(draft, views=round(views))

    def _plan_swaps(self) -> tuple[PlantedSwap, ...]:
        rng = random_generator(self.seed, "swaps")
        chosen = rng.permutation(list(self.videos))[: round(self.effects.swaps * len(self.videos))].tolist()
        days = np.sort(rng.uniform(*_SWAP_DAYS, len(chosen))).tolist()
        swaps = []
        for video_id, day in zip(chosen, days, strict=True):
            drawing = self._drafts.redraw(self.videos[video_id], self._drawings[video_id], _SWAP)
            at = (CLOCK + timedelta(days=day)).replace(microsecond=0)
            swaps.append(PlantedSwap(video_id, at, self._effect(drawing, self.videos[video_id])))
        return tuple(swaps)

    def _draw(self, drawing: Drawing) -> bytes:
        jpeg = drawing.jpeg(self.seed)
        if self.effects.views_follow_changes:
            self._drawn[_digest(jpeg)] = drawing
        return jpeg

    def _picture_part(self, drawing: Drawing, video: CatalogueVideo) -> float:
        """Return what a picture adds to the quality of a video with the title of `video`."""
        return self._formula.picture_part(video.channel_id, drawing.attributes, drawing.words, video.title)

    def _effect(self, drawing: Drawing, video: CatalogueVideo) -> float:
        """Return by how much a picture raises ln views, compared with the first picture of `video`.

        Both pictures are judged under the title of `video`. The result is negative if the first picture is better.
        """
        first = self._drawings[video.video_id]
        return SIGMA_Q * (self._picture_part(drawing, video) - self._picture_part(first, video))


def synthetic_catalogue(videos: int = 1800, seed: int = 7, effects: PlantedEffects = NO_EFFECTS) -> SyntheticCatalogue:
    """Return a catalogue of `videos` videos over all niches.

    Each niche has six channels, or fewer if six channels would have less than 20 videos each. `effects` are planted in
    addition to the effects of the picture and of the title.
    """
    return SyntheticCatalogue(videos, seed, effects)


def _digest(jpeg: bytes) -> bytes:
    return hashlib.sha256(jpeg).digest()
