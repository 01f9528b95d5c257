"""Effects that can be added to the synthetic catalogue.

Without these effects, the attributes of the picture and the wording of the title affect a video's views independently
of each other.

A test of the question "which of several pictures is best under one title" needs three kinds of effects:
- *interaction*: the effect of a picture depends on the title;
- *confounding*: the topic of a video affects both its views and its picture;
- *change*: a video gets another picture, and then gains views faster or more slowly.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.catalogues.drawing import ATTRIBUTES
from demo.catalogues.titles import VOCABULARY

REPEATED_SHARE = 0.5
"""The probability that a picture repeats words of its video's title, if there is an interaction."""

CHANCE_OVERLAP = ((0.0, 11 / 12 * 5 / 6), (0.5, 1 / 12 * 5 / 6 + 11 / 12 * 1 / 6), (1.0, 1 / 12 * 1 / 6))
"""How often a picture happens to repeat the title of another video of its niche. Each item is a pair of a redundancy
and its probability. The redundancy is the share of the picture's words that are also in the title.

The picture has two words: a keyword of one of 12 topics, and one of 6 plural nouns. By chance, the title contains the
keyword with a probability of about 1/12, and the noun with a probability of about 1/6.
"""

TOPIC_SIGNS = np.array([0.0, 0.0, 0.0, -1.0, -1.0, 0.0])
"""The sign of the correlation between a topic's popularity and each of `drawing.ATTRIBUTES`, float64 (6,).

Pictures of popular topics have less contrast and more clutter. Less contrast and more clutter lower the planted
quality. A model that ignores the topic therefore underrates contrast and overrates clutter.
"""

_SHORTEST_KEYWORD = 4
"""The smallest number of letters of a topic's keyword. Shorter words, such as `the`, do not say what the topic is."""


@dataclass(frozen=True)
class PlantedEffects:
    """The sizes of the planted effects. An effect of size 0 is not planted.

    Args:
        interaction: the effect of a picture's large text on the quality, in standard deviations. The effect is added if
            the text says something that the title does not say, and subtracted if the text repeats the title.
        topic_effect: the standard deviation of the part of the quality that comes from the topic of a video.
        topic_correlation: the correlation of the topic's popularity with the attributes that `TOPIC_SIGNS` names. The
            correlation is at least 0 and below 1.
        taste: how far the picture weights of a channel are from `PICTURE_WEIGHTS`. The weights of a channel are
            `PICTURE_WEIGHTS` plus a random vector of about this length, scaled to length 1.
        changes: whether a new thumbnail changes how fast a video gains views. If `swaps` is above 0, a new thumbnail
            always has this effect.
        swaps: the share of videos whose thumbnail the owner changes in the two weeks after the catalogue was observed.

    Raises:
        ValueError: a number is outside its range.
    """

    interaction: float = 0.0
    topic_effect: float = 0.0
    topic_correlation: float = 0.0
    taste: float = 0.0
    changes: bool = False
    swaps: float = 0.0

    def __post_init__(self) -> None:
        for name in ("interaction", "topic_effect", "taste"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}; use a number of 0 or more")
        if not 0 <= self.topic_correlation < 1:
            raise ValueError(f"topic_correlation is {self.topic_correlation}; use a number from 0 to below 1")
        if not 0 <= self.swaps <= 1:
            raise ValueError(f"swaps is {self.swaps}; use a share from 0 to 1")

    @property
    def views_follow_changes(self) -> bool:
        """Whether a new thumbnail changes how fast a video gains views."""
        return self.changes or self.swaps > 0


NO_EFFECTS = PlantedEffects()
"""No planted effects, as in the demo's catalogue."""

CONFOUNDED = PlantedEffects(topic_effect=0.8, topic_correlation=0.6)
"""Confounding of picture and topic.

A regression that ignores the topic judges pictures under one title badly: its AUC minus 0.5 is only about 70 % of the
best possible AUC minus 0.5. `tests/demo/test_planted_effects.py` measures this share.
"""

ONE_TITLE = PlantedEffects(interaction=0.5, topic_effect=0.8, topic_correlation=0.6, taste=0.5, swaps=0.1)
"""All effects together. In 26 % of the pairs, the better picture depends on the title (see `changed_winners`)."""


def topic_of(title: str) -> str | None:
    """Return the topic in a title, one of the `topics` in `VOCABULARY`, or None if the title has no topic."""
    found = [topic for words in VOCABULARY.values() for topic in words.topics if topic in title]
    return max(found, key=len, default=None)


def draw_popularity(rng: np.random.Generator) -> dict[str, float]:
    """Return a random popularity for each topic of each niche.

    The popularities of a niche are evenly spaced, with mean 0 and standard deviation 1.
    """
    popularity: dict[str, float] = {}
    for niche in sorted(VOCABULARY):
        topics = VOCABULARY[niche].topics
        values = rng.permutation(len(topics)) - (len(topics) - 1) / 2
        popularity.update(zip(topics, (values / values.std()).tolist(), strict=True))
    return popularity


def tilt(attributes: npt.NDArray[np.float64], popularity: float, correlation: float) -> npt.NDArray[np.float64]:
    """Return attributes, float64 (6,), that are correlated with the popularity of a topic.

    Args:
        attributes: independent standard normal attributes, float64 (6,).
        popularity: the standardised popularity of the topic.
        correlation: the size of the correlation. `TOPIC_SIGNS` gives the sign for each attribute.
    """
    correlations = correlation * TOPIC_SIGNS
    tilted: npt.NDArray[np.float64] = np.sqrt(1 - correlations**2) * attributes + correlations * popularity
    return tilted


def draw_words(niche: str, title: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the random text of a picture: the keyword of a topic of the niche, and a plural noun of the niche.

    With the probability `REPEATED_SHARE`, both words are words of the title. Otherwise neither word is in the title.
    """
    words = VOCABULARY[niche]
    in_title = rng.random() < REPEATED_SHARE
    topic = topic_of(title)
    if in_title and topic is not None:
        plural = next(plural for plural in words.plurals if plural in title)
        return _keyword(topic).upper(), plural.upper()
    keywords = sorted({_keyword(topic) for topic in words.topics})
    lines = []
    for options in (keywords, words.plurals):
        new = [word for word in options if not redundancy((word, word), title)]
        lines.append(new[int(rng.integers(len(new)))].upper())
    return lines[0], lines[1]


def redundancy(words: tuple[str, str], title: str) -> float:
    """Return the share of the words of a picture's text that occur in a title, from 0 to 1. Case is ignored."""
    in_title = set(_tokens(title))
    tokens = _tokens(" ".join(words))
    return sum(token in in_title for token in tokens) / len(tokens) if tokens else 0.0


def interaction_part(words: tuple[str, str], title: str, size: float) -> float:
    """Return the effect of a picture's text on the quality, if the video has this title.

    The effect is `size` * (1 - 2 * redundancy), see `redundancy`.
    """
    return size * (1 - 2 * redundancy(words, title)) if size else 0.0


def picture_variance(weights: npt.NDArray[np.float64], correlation: float) -> tuple[float, float]:
    """Return two variances of the weighted sum of a picture's attributes.

    The first is the variance over all pictures, and the second is the variance over the pictures of one topic.

    Args:
        weights: the weights w of the attributes, float64 (6,), of length 1.
        correlation: the size of the correlation between the topic's popularity and the attributes in `TOPIC_SIGNS`.

    Attribute i and the popularity have the correlation r_i = `correlation` * `TOPIC_SIGNS[i]`. Two attributes i and j
    have the covariance r_i * r_j. Therefore the first variance is 1 - sum(w_i^2 r_i^2) + (w . r)^2, and the second is
    1 - sum(w_i^2 r_i^2).
    """
    correlations = correlation * TOPIC_SIGNS
    within = 1 - float(((weights * correlations) ** 2).sum())
    return within + float(weights @ correlations) ** 2, within


def topic_covariance(weights: npt.NDArray[np.float64], correlation: float) -> float:
    """Return the covariance between the popularity of a topic and the weighted sum of a picture's attributes."""
    return float(weights @ TOPIC_SIGNS) * correlation


def draw_weights(shared: npt.NDArray[np.float64], taste: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the picture weights of a channel, a unit vector, float64 (6,)."""
    if not taste:
        return shared
    weights: npt.NDArray[np.float64] = shared + taste * rng.standard_normal(len(ATTRIBUTES)) / np.sqrt(len(ATTRIBUTES))
    return weights / np.linalg.norm(weights)


def _keyword(topic: str) -> str:
    """Return the shortest word of a topic that has at least `_SHORTEST_KEYWORD` letters.

    The shortest word is chosen because short words stay readable in a picture.
    """
    return min((word for word in topic.split() if len(word) >= _SHORTEST_KEYWORD), key=len)


def _tokens(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.casefold())
