"""Measure whether the new pictures of all channels differ from their pictures of earlier weeks."""

import warnings
from collections.abc import Sequence

import numpy as np

from thumblab_core.arrays import Floats

LEAST, LEAST_CHANNELS = 40, 5
"""Minimum number of new pictures, and of their channels, for measuring drift. The old pictures must come from at least
`LEAST_CHANNELS` channels too."""

_MOST = 500
"""Maximum number of new pictures, and of old pictures, in a comparison."""
_FOLDS = 5


def separability(old: Floats, new: Floats, old_channels: Sequence[str], new_channels: Sequence[str]) -> float:
    """Return the AUC of a classifier that separates new vectors [n, d] from old vectors [m, d].

    The function tests for drift with a domain classifier. A logistic regression learns to separate new vectors from old
    vectors. The regression is tested on vectors of channels that it was not trained on. So the test finds a change in
    all channels at once, such as another encoder or damaged pictures. At an AUC of 0.5, the classifier cannot separate
    new and old vectors. At an AUC of 1, the classifier separates all vectors. At most 500 new vectors and 500 old
    vectors are compared.
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
            # The penalty grows with the number of dimensions, because 500 vectors are too few to find the relevant
            # dimensions.
            model = LogisticRegression(C=1.0 / vectors.shape[1], max_iter=200)
            scores[ask] = model.fit(vectors[learn], is_new[learn]).decision_function(vectors[ask])
    return float(roc_auc_score(is_new, scores))


def kolmogorov_smirnov(old: Sequence[float], new: Sequence[float]) -> float:
    """Return the Kolmogorov-Smirnov statistic: the largest difference of the two cumulative distributions."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(old, new).statistic)
