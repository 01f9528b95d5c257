"""Simulate experiments with the pictures or the titles of a synthetic channel, like Test & Compare in YouTube Studio.

An experiment shows two or three variants of a video, each to the same number of viewers. A viewer clicks on a variant
with the probability

    min(0.5, BASE_RATE * exp(SIGMA_Q * q))

where q is the planted quality of the variant. The number of clicks is therefore binomial. Each click leads to the same
watch time, so a variant's share of the watch time is its share of the clicks.

**The outcome.** A 95 % interval is computed for the difference of every two click-through rates. The interval uses the
normal approximation and the standard errors of binomial shares.

- `winner`: the best rate is significantly higher than each of the others.
- `performed the same`: there is no winner, and all differences are small. The interval of each difference lies between
  -10 % and +10 % of the mean rate.
- `inconclusive`: all other cases.

YouTube does not publish the rule by which it decides. The rule above is the lab's own rule, with the same three
outcomes.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from demo.catalogues.drafts import random_generator
from demo.catalogues.formula import SIGMA_Q
from demo.catalogues.synthetic import PlantedThumbnail, SyntheticCatalogue

Outcome = Literal["winner", "performed the same", "inconclusive"]
Subject = Literal["pictures", "titles"]

BASE_RATE = 0.05
"""The click-through rate of a variant of quality 0."""

_HIGHEST_RATE = 0.5
_IMPRESSIONS = (1_000, 100_000)
"""The smallest and the largest number of impressions of an experiment, over all its variants.

The logarithm of the number is drawn from the uniform distribution between the logarithms of these two numbers.
"""
_Z = 1.96
_SAME = 0.10
"""For `performed the same`, the interval of each difference lies within plus or minus this share of the mean rate."""


@dataclass(frozen=True)
class PlantedVariant:
    """A variant in an experiment: a picture with a title, its impressions, and its share of the watch time.

    The share is from 0 to 1. `thumbnail.quality` is the true quality of the variant, which YouTube would not show.
    """

    thumbnail: PlantedThumbnail
    impressions: int
    watch_time_share: float


@dataclass(frozen=True)
class PlantedExperiment:
    """A finished experiment. `winner` is the index of the winner in `variants`, or None if there is no winner.

    The first variant has the video's own picture and title. The variants differ in their pictures if `subject` is
    "pictures", and in their titles if `subject` is "titles".
    """

    video_id: str
    subject: Subject
    variants: tuple[PlantedVariant, ...]
    outcome: Outcome
    winner: int | None

    @property
    def impressions(self) -> int:
        """The sum of the impressions of all variants."""
        return sum(variant.impressions for variant in self.variants)


def planted_experiments(
    catalogue: SyntheticCatalogue,
    channel_id: str,
    number: int,
    seed: int,
    *,
    subject: Subject = "pictures",
    impressions: int | None = None,
) -> list[PlantedExperiment]:
    """Return experiments with the videos of a channel. The same arguments give the same experiments.

    An experiment has two or three variants, with equal probability. Every video of the channel is tested once before
    any video is tested again.

    Args:
        catalogue: the catalogue with the channel.
        channel_id: the id of the channel.
        number: the number of experiments.
        seed: the seed of the choice of videos, of new pictures and titles, and of clicks.
        subject: whether the variants of an experiment differ in their pictures or in their titles.
        impressions: the impressions of each variant. If `impressions` is None, a number from 1,000 to 100,000 is drawn
            for each experiment. Each variant gets an equal share of this number.

    Raises:
        KeyError: the channel is unknown.
        ValueError: `number` is below 0 or `impressions` is below 1.
    """
    if number < 0:
        raise ValueError(f"number is {number}; use 0 or more experiments")
    if impressions is not None and impressions < 1:
        raise ValueError(f"impressions is {impressions}; use 1 or more for each variant")
    rng = random_generator(catalogue.seed, f"experiments:{channel_id}:{subject}:{seed}")
    videos = [video.video_id for video in catalogue.channels[channel_id].videos]
    experiments: list[PlantedExperiment] = []
    order: list[str] = []
    for index in range(number):
        order = order or rng.permutation(videos).tolist()
        video_id = order.pop()
        make = catalogue.new_picture if subject == "pictures" else catalogue.new_title
        count = int(rng.integers(2, 4))
        keys = [f"experiment:{seed}:{index}:{place}" for place in range(1, count)]
        thumbnails = [catalogue.thumbnail(video_id), *(make(video_id, key) for key in keys)]
        shown = impressions or round(math.exp(rng.uniform(*np.log(_IMPRESSIONS))) / count)
        experiments.append(_run(video_id, subject, thumbnails, shown, rng))
    return experiments


def outcome_of(clicks: list[int], impressions: int) -> tuple[Outcome, int | None]:
    """Return the outcome of an experiment, and the index of the winning variant. Without a winner, the index is None.

    Args:
        clicks: the clicks on each variant. There are two variants or more.
        impressions: the impressions of each variant.
    """
    rates = np.array(clicks) / impressions
    variances = rates * (1 - rates) / impressions
    best = int(np.argmax(rates))
    differences = {
        (first, second): (rates[first] - rates[second], _Z * math.sqrt(variances[first] + variances[second]))
        for first, second in itertools.permutations(range(len(rates)), 2)
    }
    if all(gap > margin for (first, _), (gap, margin) in differences.items() if first == best):
        return "winner", best
    largest = _SAME * float(rates.mean())
    same = all(gap + margin < largest for gap, margin in differences.values())
    return ("performed the same" if same else "inconclusive"), None


def _run(
    video_id: str, subject: Subject, thumbnails: list[PlantedThumbnail], impressions: int, rng: np.random.Generator
) -> PlantedExperiment:
    rates = [min(_HIGHEST_RATE, BASE_RATE * math.exp(SIGMA_Q * thumbnail.quality)) for thumbnail in thumbnails]
    clicks = rng.binomial(impressions, rates).tolist()
    shares = [count / max(1, sum(clicks)) for count in clicks]
    variants = tuple(
        PlantedVariant(thumbnail, impressions, share) for thumbnail, share in zip(thumbnails, shares, strict=True)
    )
    return PlantedExperiment(video_id, subject, variants, *outcome_of(clicks, impressions))
