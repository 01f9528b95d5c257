"""The words and groups of characters of titles as sparse vectors, and how rare the words were at the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from thumblab_core.arrays import Float64s, Rows

SparseRows: TypeAlias = Any
"""A `scipy.sparse.csr_array` of float32 [n, BUCKETS]."""

BUCKETS = 2**18
"""Number of hash buckets: few of the words of 50,000 titles share one."""

RARITY = 4
"""Number of values that `word_rarity` returns for a title."""

_WORD = r"(?u)\w+|[^\w\s]"
"""A word of any length in any script, or a single punctuation mark or emoji."""
_PRIOR_TITLES, _PRIOR_USES = 50.0, 0.5
"""Added to the counts, so that the first titles are not extreme."""
_RAREST = 3


@dataclass(frozen=True)
class HashedTitles:
    """n titles in hash buckets (feature hashing [1]_), weighted by inverse document frequency.

    `words`: words and pairs of words; `groups`: groups of three to five characters within words. Each row has length 1,
    or 0 for an empty title. `present`: 1 for each single word of a title.

    Groups of characters make up for scripts without spaces, and for languages with many endings.

    .. [1] K. Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
    """

    words: SparseRows
    groups: SparseRows
    present: SparseRows

    @classmethod
    def of(cls, titles: Sequence[str], known: Rows) -> HashedTitles:
        """Return the hashed titles, one or more. The weights are fitted to the rows `known`."""
        present = hashed(titles, "word", (1, 1))
        present.data[:] = 1.0
        words, groups = hashed(titles, "word", (1, 2)), hashed(titles, "char_wb", (3, 5))
        return cls(_weighted(words, known), _weighted(groups, known), present)


def hashed(titles: Sequence[str], analyzer: str, lengths: tuple[int, int]) -> SparseRows:
    """Return how often each bucket occurs in each title. `lengths`: of the shortest and the longest n-gram."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import HashingVectorizer

    hasher = HashingVectorizer(
        n_features=BUCKETS,
        analyzer=analyzer,
        ngram_range=lengths,
        token_pattern=_WORD if analyzer == "word" else None,
        strip_accents="unicode" if analyzer == "word" else None,
        alternate_sign=False,
        norm=None,
        dtype=np.float32,
    )
    return csr_array(hasher.transform(titles))


def word_rarity(hashed_titles: HashedTitles, published: Float64s) -> Float64s:
    """Return how rare the words of each title were when it was published, float64 [n, RARITY].

    The rarity of a word is ln((m + 50) / (uses + 0.5)), where m is the number of titles that were published before on
    any channel, and `uses` is the number of them that have the word. The columns are the mean over the words, the mean
    over the three rarest, the largest, and the share of words without uses. An empty title gets zeros.

    Later titles are not read. A success is followed by titles with the same words, so that their count would tell the
    result.
    """
    present = hashed_titles.present
    uses = np.zeros(present.shape[1])
    rarity = np.zeros((len(published), RARITY))
    for before, row in enumerate(np.argsort(published, kind="stable")):
        words = present.indices[present.indptr[row] : present.indptr[row + 1]]
        if len(words):
            of_words = np.sort(np.log((before + _PRIOR_TITLES) / (uses[words] + _PRIOR_USES)))
            new = float((uses[words] == 0).mean())
            rarity[row] = of_words.mean(), of_words[-_RAREST:].mean(), of_words[-1], new
            uses[words] += 1
    return rarity


def _weighted(counted: SparseRows, known: Rows) -> SparseRows:
    """Return the counts [n, BUCKETS] times ln((m + 1) / (df + 1)) + 1 of the m known rows, each row of length 1."""
    from scipy.sparse import csr_array, diags_array
    from sklearn.preprocessing import normalize

    frequency = np.bincount(counted[known].indices, minlength=counted.shape[1])
    weight = np.log((len(known) + 1) / (frequency + 1)) + 1
    return csr_array(normalize(counted @ diags_array(weight.astype(np.float32)))).astype(np.float32)
