"""Compute the planted quality, which determines the views of a synthetic video, and the best AUC that a ranker can
reach.

The docstring of the module `synthetic` has the formula and explains its terms.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from demo.catalogues.ceilings import best_auc, changed_winners
from demo.catalogues.effects import (
    CHANCE_OVERLAP,
    REPEATED_SHARE,
    PlantedEffects,
    interaction_part,
    picture_variance,
    topic_covariance,
    topic_of,
)
from demo.catalogues.titles import title_facts

SIGMA_Q = 0.62
SIGMA_N = SIGMA_Q / math.tan(0.30 * math.pi)
"""The standard deviation of the noise in ln views within a channel.

`SIGMA_Q` is the standard deviation of the quality's effect on ln views. With these two values, the best possible AUC is
0.80. The docstring of `synthetic` derives this figure.
"""

PICTURE_SHARE = 0.7
"""The share of the quality's variance that comes from the picture. The rest comes from the title."""


def _unit(*weights: float) -> npt.NDArray[np.float64]:
    vector = np.array(weights, dtype=np.float64)
    return vector / np.linalg.norm(vector)


PICTURE_WEIGHTS = _unit(0.50, 0.50, 0.30, 0.45, 0.25, 0.40)
"""The weights of `drawing.ATTRIBUTES` in the picture's effect on the quality, float64 (6,). The weights form a unit
vector.
"""

TITLE_WEIGHTS = _unit(0.60, 0.50, 0.60)
"""The weights of `titles.FACTS` in the title's effect on the quality, float64 (3,). The weights form a unit vector."""

_NOISE_VARIANCE = (SIGMA_N / SIGMA_Q) ** 2
"""The variance of the noise, in units in which the quality has the variance 1."""


class Formula:
    """The quality of a picture under a title, in units of the standard deviation of quality in the demo's catalogue.

    Args:
        effects: the sizes of the planted effects.
        popularity: the popularity of each topic.
        weights: the picture weights of each channel, float64 (6,) by channel id.
    """

    def __init__(
        self, effects: PlantedEffects, popularity: dict[str, float], weights: dict[str, npt.NDArray[np.float64]]
    ) -> None:
        self.effects = effects
        self._popularity = popularity
        self._weights = weights

    def standardise_titles(self, titles: Iterable[str]) -> None:
        """Compute the mean and the standard deviation of each title fact over `titles`.

        `title_part` standardises the facts of a title with this mean and standard deviation, so call this method first.
        """
        facts = np.stack([title_facts(title) for title in titles])
        self._fact_mean, self._fact_std = facts.mean(axis=0), np.maximum(facts.std(axis=0), 1e-9)

    def popularity(self, title: str) -> float:
        """Return the standardised popularity of the topic in a title. The popularity is 0 if the title has no topic."""
        topic = topic_of(title)
        return 0.0 if topic is None else self._popularity[topic]

    def picture(self, channel_id: str, attributes: npt.NDArray[np.float64]) -> float:
        """Return the term `picture` of the formula, for a picture with these attributes in a channel."""
        return float(attributes @ self._weights[channel_id])

    def picture_part(
        self, channel_id: str, attributes: npt.NDArray[np.float64], words: tuple[str, str], title: str
    ) -> float:
        """Return what a picture adds to the quality of a video in this channel with this title.

        `words` is the large text in the picture.
        """
        picture = math.sqrt(PICTURE_SHARE) * self.picture(channel_id, attributes)
        return picture + interaction_part(words, title, self.effects.interaction)

    def title_part(self, title: str) -> float:
        """Return what a title adds to the quality, whatever the picture is."""
        facts = float(((title_facts(title) - self._fact_mean) / self._fact_std) @ TITLE_WEIGHTS)
        topic = self.effects.topic_effect * self.popularity(title) if self.effects.topic_effect else 0.0
        return math.sqrt(1 - PICTURE_SHARE) * facts + topic

    def ceiling(self) -> float:
        """Return the best AUC of a ranker that knows the picture and the title."""
        effect, correlation = self.effects.topic_effect, self.effects.topic_correlation
        title_variance = 1 - PICTURE_SHARE + effect**2
        return self._best_auc(
            [
                PICTURE_SHARE * picture_variance(weights, correlation)[0]
                + title_variance
                + 2 * math.sqrt(PICTURE_SHARE) * effect * topic_covariance(weights, correlation)
                for weights in self._weights.values()
            ]
        )

    def one_title_ceiling(self) -> float:
        """Return the best AUC on pairs whose labels do not contain the effect of the titles alone.

        The labels contain the effect of the pictures, which may depend on the title, and noise.
        """
        return self._best_auc(self._picture_variances(0))

    def fitted_one_title_ceiling(self) -> float:
        """Return the best AUC on pairs whose labels contain nothing that a title can predict.

        If pictures depend on the topic, a title also predicts some attributes of the picture.
        """
        return self._best_auc(self._picture_variances(1))

    def changed_winners(self) -> float:
        """Return the share of pairs in which one picture is better under the first title, the other under the second.

        A pair is two videos of one channel. Both pictures are judged under the titles of both videos.
        """
        shares = [
            changed_winners(variance, self.effects.interaction, REPEATED_SHARE, CHANCE_OVERLAP)
            for variance in self._picture_variances(0)
        ]
        return float(np.mean(shares))

    def _picture_variances(self, which: int) -> list[float]:
        """For each channel, return the variance of the part of the quality that comes from the picture.

        `which` is 0 for the variance among all pictures of a channel, and 1 for the variance among its pictures of one
        topic.
        """
        correlation = self.effects.topic_correlation
        return [PICTURE_SHARE * picture_variance(weights, correlation)[which] for weights in self._weights.values()]

    def _best_auc(self, variances: Sequence[float]) -> float:
        return best_auc(variances, _NOISE_VARIANCE, self.effects.interaction, REPEATED_SHARE)
