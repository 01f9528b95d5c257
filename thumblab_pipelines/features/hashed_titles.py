"""Turn the words and groups of characters in titles into sparse vectors, and measure how rare the words are.

The rarity of a title's words is measured only among titles that were published before this title.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from thumblab_core.arrays import Float64s, Rows

SparseRows: TypeAlias = Any
"""A `scipy.sparse.csr_array` of float32 [n, BUCKETS]."""

BUCKETS = 2**18
"""Number of hash buckets. This number is so large that in 50,000 titles, few words share a bucket with another word."""

RARITY = 4
"""Number of values that `word_rarity` returns for a title."""

_WORD = r"(?u)\w+|[^\w\s]"
"""Regular expression for a word of any length in any script, or for a single punctuation mark or emoji."""
_PRIOR_TITLES, _PRIOR_USES = 50.0, 0.5
"""`word_rarity` adds the first number to the number of earlier titles, and the second to the number of a word's uses.

Without these numbers, the words in the first titles would have an extreme rarity.
"""
_RAREST = 3


@dataclass(frozen=True)
class HashedTitles:
    """n titles as sparse vectors. Each column of a vector is a hash bucket (feature hashing [1]_).

    `words`: the words and the pairs of words of each title. `groups`: the groups of three to five characters within
    words. `words` and `groups` are weighted by inverse document frequency. Each of their rows is a vector of length 1,
    or a zero vector for an empty title. `present`: has a 1 in the bucket of each single word of a title.

    `groups` helps with scripts without spaces and with languages whose words have many endings. In such languages, few
    titles share whole words, but titles still share groups of characters.

    .. [1] K. Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
    """

    words: SparseRows
    groups: SparseRows
    present: SparseRows

    @classmethod
    def of(cls, titles: Sequence[str], known: Rows) -> HashedTitles:
        """Hash one or more titles. The weights are computed only from the titles in the rows `known`."""
        present = hashed(titles, "word", (1, 1))
        present.data[:] = 1.0
        words, groups = hashed(titles, "word", (1, 2)), hashed(titles, "char_wb", (3, 5))
        return cls(_weighted(words, known), _weighted(groups, known), present)


def hashed(titles: Sequence[str], analyzer: str, lengths: tuple[int, int]) -> SparseRows:
    """Return how often each bucket occurs in each title.

    An n-gram is a sequence of n words or n characters of the title. Each n-gram falls into one bucket. `analyzer`:
    whether words or characters are used. `lengths`: the smallest and the largest n.
    """
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
    """Return how rare the words of each title were when the title was published, float64 [n, RARITY].

    The rarity of a word is ln((m + 50) / (uses + 0.5)). m is the number of titles that any channel has published
    before, and `uses` is the number of these titles that have the word. The columns are:

    1. the mean rarity of the title's words
    2. the mean rarity of its three rarest words
    3. the rarity of its rarest word
    4. the share of its words that no earlier title has

    An empty title gets zeros.

    Later titles are not counted. Creators repeat the words of a successful title in later titles, so counting later
    titles would reveal the success.
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
    """Weight `counted` [n, BUCKETS] by inverse document frequency, and scale each row to length 1.

    The weight of a bucket is ln((m + 1) / (df + 1)) + 1. In this formula, m is the number of known rows, and df is the
    number of known rows in which the bucket occurs.
    """
    from scipy.sparse import csr_array, diags_array
    from sklearn.preprocessing import normalize

    frequency = np.bincount(counted[known].indices, minlength=counted.shape[1])
    weight = np.log((len(known) + 1) / (frequency + 1)) + 1
    return csr_array(normalize(counted @ diags_array(weight.astype(np.float32)))).astype(np.float32)
