"""Compute ceilings: the best AUC that a ranker can reach on pairs of videos of the synthetic catalogue.

In this catalogue, a known formula computes views from the quality of a video and from random noise. The best ranker
knows the quality of each video, but not the noise.

The label of a pair says which of its two videos got more views. The label is the sign of d + e. Here d is the
difference of the qualities of the two videos, and e is the difference of their noise. e is symmetric around 0, so the
best ranker orders a pair by the sign of d.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

DRAWS = 1_000_000
"""The number of pairs in a simulation. The standard error of a simulated ceiling is below 0.0003."""


def sheppard(variance: float, noise_variance: float) -> float:
    """Return the best AUC if the qualities and the noise are Gaussian.

    Let d be the difference of the qualities of two videos, and e the difference of their noise. d and d + e have the
    correlation rho = sqrt(variance / (variance + noise_variance)). Two Gaussian variables with this correlation have
    the same sign with the probability 1/2 + arcsin(rho) / pi. arcsin(rho) equals atan(sqrt(variance / noise_variance)).
    The source is Sheppard 1899, "On the application of the theory of error to cases of normal distribution and normal
    correlation", Phil. Trans. R. Soc. A 192.

    Args:
        variance: the variance of the quality of a video.
        noise_variance: the variance of the noise of a video, in the same units.
    """
    return 0.5 + math.atan(math.sqrt(variance / noise_variance)) / math.pi


def best_auc(variances: Sequence[float], noise_variance: float, interaction: float, repeated_share: float) -> float:
    """Return the best AUC if the effect of a picture depends on the title (interaction). The AUC is the mean over
    channels.

    The quality is the sum of a Gaussian part and the interaction. The interaction is -`interaction` if the picture
    repeats the title, and `interaction` otherwise. This sum is not Gaussian, so Sheppard's formula does not hold.

    The function therefore simulates `DRAWS` differences d of the qualities of two videos, about the same number for
    each channel. The label of a pair has the sign of d with the probability Phi(|d| / sd(e)). Here sd(e) is the
    standard deviation of the difference of the noise. The result is the mean of these probabilities.

    Args:
        variances: the variance of the Gaussian part of the quality within each channel.
        noise_variance: the variance of the noise of a video, in the same units.
        interaction: the size of the interaction. If `interaction` is 0, the result is the mean of `sheppard` over the
            channels.
        repeated_share: the share of the videos whose picture repeats the title.
    """
    if interaction == 0:
        return math.fsum(sheppard(variance, noise_variance) for variance in variances) / len(variances)
    rng = np.random.default_rng(0)
    gaps = np.sqrt(2 * np.resize(variances, DRAWS)) * rng.standard_normal(DRAWS)
    first, second = (rng.random(DRAWS) < repeated_share for _ in range(2))
    gaps += 2 * interaction * (second.astype(np.float64) - first)
    return float(ndtr(np.abs(gaps) / math.sqrt(2 * noise_variance)).mean())


def changed_winners(
    variance: float, interaction: float, repeated_share: float, overlap: tuple[tuple[float, float], ...]
) -> float:
    """Return the share of pairs in which the better picture depends on the title.

    A pair has two videos. Both pictures are judged once under the title of the first video, and once under the title of
    the second. The interactions of the two pictures differ by m under the first title, and by n under the second. The
    other effects of the two pictures differ by g, which is Gaussian with variance 2 * `variance` and independent of m
    and n. The signs of g + m and g + n differ with the probability |Phi(m / sd(g)) - Phi(n / sd(g))|. The result is the
    mean of this probability over all values of m and n.

    Args:
        variance: the variance of the Gaussian part of a picture's quality.
        interaction: the size of the interaction.
        repeated_share: the share of the videos whose picture repeats the title.
        overlap: pairs of a redundancy and its probability. The redundancy of a picture with the title of another video
            is the share of the picture's words that are also in this title.
    """
    own = ((-interaction, repeated_share), (interaction, 1 - repeated_share))
    other = tuple((interaction * (1 - 2 * redundancy), chance) for redundancy, chance in overlap)
    share = 0.0
    for terms in itertools.product(own, own, other, other):
        (first, second, first_elsewhere, second_elsewhere), chances = zip(*terms, strict=True)
        gaps = np.array([first - second_elsewhere, first_elsewhere - second])
        under_first, under_second = ndtr(gaps / math.sqrt(2 * variance))
        share += math.prod(chances) * abs(under_first - under_second)
    return float(share)
