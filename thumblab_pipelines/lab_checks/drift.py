"""Measure whether new pictures differ from those of the weeks before in a way that no single channel explains."""

import warnings
from collections.abc import Sequence

import numpy as np

from thumblab_core.arrays import Floats

LEAST, LEAST_CHANNELS = 40, 5
"""The least new pictures, and the least channels of new and of old pictures, with which drift is measured."""

_MOST = 500
"""Maximum number of new pictures, and of old pictures, that are compared."""
_FOLDS = 5


def separability(old: Floats, new: Floats, old_channels: Sequence[str], new_channels: Sequence[str]) -> float:
    """Return how well a classifier tells new vectors [n, d] from old ones [m, d], as an AUC.

    This is the domain classifier, a test for drift: a logistic regression learns to tell new from old, and is asked about
    vectors of channels that it has not learnt from. It therefore finds what changed in all channels at once, such as
    another encoder or damaged pictures. 0.5 means that nothing tells them apart, and 1 that everything does. At most 500
    vectors of each side are compared.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    random = np.random.default_rng(0)
    chosen = [random.permutation(len(side))[:_MOST] for side in (old, new)]
    vectors = np.concatenate([np.asarray(old)[chosen[0]], np.asarray(new)[chosen[1]]]).astype(np.float64)
    is_new = np.concatenate([np.zeros(len(chosen[0]), bool), np.ones(len(chosen[1]), bool)])
    names = [old_channels[row] for row in chosen[0]] + [new_channels[row] for row in chosen[1]]
    vectors = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-12)
    scores = np.zeros(len(vectors))
    folds = StratifiedGroupKFold(min(_FOLDS, len(set(names))), shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for learn, ask in folds.split(vectors, is_new, names):
            if len(set(is_new[learn])) < 2:
                continue
            # The more dimensions a vector has, the stronger the penalty: 500 vectors cannot tell which of them matter.
            model = LogisticRegression(C=1.0 / vectors.shape[1], max_iter=200)
            scores[ask] = model.fit(vectors[learn], is_new[learn]).decision_function(vectors[ask])
    return float(roc_auc_score(is_new, scores))


def kolmogorov_smirnov(old: Sequence[float], new: Sequence[float]) -> float:
    """Return the statistic of Kolmogorov and Smirnov: the largest difference of the two cumulative distributions."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(old, new).statistic)
