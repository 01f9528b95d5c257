"""Compute features of the wording of a title: its length, its punctuation and its words.

The vector of a sentence encoder says what a title is about, but little about its wording. The wording may matter: the
words "vs" or "unboxing" may bring views on one channel, and titles in capital letters may cost views on another.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from thumblab_core.arrays import Float32s

BUCKETS = 1_024
"""Number of hash buckets for words and pairs of words.

The same number of further buckets is for groups of three or four characters.
"""

WORDS = 2 * BUCKETS
"""Number of values that `title_words` returns for a title."""

_MARKS = ("?", "!", "|", ":", "#", "$", "&")
_QUOTES, _BRACKETS, _DOTS = ('"', "“", "”", "‘"), ("(", "["), ("...", "…")
_PATTERNS = (
    re.compile(r"\b(how|why|what|when|who)\b", re.IGNORECASE),
    re.compile(r"\b(i|my|me|we|our)\b", re.IGNORECASE),
    re.compile(r"\b(you|your)\b", re.IGNORECASE),
    re.compile(r"\bvs\b", re.IGNORECASE),
)
VERSION = 2
"""Version of the title facts. A model stores the version that it was trained with, and gets facts of that version."""

_PICTOGRAPHS = {
    1: re.compile("[\u2501-\U0010ffff]"),  # Version 1 also matches every Chinese, Japanese and Korean letter.
    2: re.compile("[\u20e3\u2300-\u23ff\u2500-\u2bff\ufe0f\U0001f000-\U0001fbff]"),
}
"""Patterns that match a pictograph, such as an emoji, by the version of the title facts.

Version 2 matches the Unicode blocks of symbols and emoji, the combining keycap and the emoji variation selector.
"""

_CACHED = 256
"""Number of titles whose facts and words are kept, because a service scores many pictures under the same title.

A request has far fewer titles. If a call has more different titles, as in training, their words are not kept.
"""

_words: OrderedDict[str, Float32s] = OrderedDict()
"""A cache of the rows that `title_words` computed for the latest titles, by title. Use it only with `_words_lock`."""
_words_lock = threading.Lock()

FACTS = 5 + len(_MARKS) + 3 + len(_PATTERNS) + 1
"""Number of values that `title_facts` returns for a title."""


def title_facts(titles: Sequence[str], version: int = VERSION) -> Float32s:
    """Return facts about each title, float32 [n, FACTS].

    A fact is a length or a share (mostly from 0 to 1), or a flag (0 or 1).
    """
    return np.array([_facts(title, version) for title in titles], np.float32).reshape(len(titles), FACTS)


def title_words(titles: Sequence[str]) -> Float32s:
    """Return the hashed words, pairs of words and groups of characters of each title, float32 [n, WORDS].

    The first half of a row is for words and pairs of words, the second half for groups of characters. Each half is a
    vector of length 1, or all zeros if the title has no word or no group of characters. The method is signed feature
    hashing (Weinberger et al., ICML 2009). It needs no vocabulary, so words that were not in the training data are
    hashed too.
    """
    distinct = list(dict.fromkeys(titles))
    if not 1 <= len(distinct) <= _CACHED:
        words: Float32s = sparse_title_words(titles).toarray()
        return words
    with _words_lock:
        rows = {title: _words[title] for title in distinct if title in _words}
    new = [title for title in distinct if title not in rows]
    if new:  # Hashing all new titles at once is faster than one after the other.
        rows |= {title: row.copy() for title, row in zip(new, sparse_title_words(new).toarray(), strict=True)}
    with _words_lock:
        _words.update(rows)
        for title in distinct:
            _words.move_to_end(title)
        while len(_words) > _CACHED:
            _words.popitem(last=False)
    return np.stack([rows[title] for title in titles])


def sparse_title_words(titles: Sequence[str]) -> Any:
    """Return the values of `title_words` as a sparse matrix (CSR). It needs 10 % of the memory of a dense array."""
    from scipy.sparse import csr_matrix, hstack

    if not titles:
        return csr_matrix((0, WORDS), dtype=np.float32)
    return hstack([hasher.transform(titles) for hasher in _hashers()], format="csr", dtype=np.float32)


@lru_cache(maxsize=1)
def _hashers() -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import HashingVectorizer

    return (
        HashingVectorizer(n_features=BUCKETS, ngram_range=(1, 2), strip_accents="unicode", dtype=np.float32),
        HashingVectorizer(n_features=BUCKETS, ngram_range=(3, 4), analyzer="char_wb", dtype=np.float32),
    )


@lru_cache(maxsize=_CACHED)
def _facts(title: str, version: int) -> tuple[float, ...]:
    words = title.split()
    letters = [character for character in title if character.isalpha()]
    digits = sum(character.isdigit() for character in title)
    return (
        len(title) / 50,
        len(words) / 10,
        sum(letter.isupper() for letter in letters) / max(len(letters), 1),
        sum(len(word) > 1 and word.isupper() for word in words) / max(len(words), 1),
        digits / max(len(title), 1),
        *(float(mark in title) for mark in _MARKS),
        *(float(any(mark in title for mark in marks)) for marks in (_QUOTES, _BRACKETS, _DOTS)),
        *(float(pattern.search(title) is not None) for pattern in _PATTERNS),
        float(_PICTOGRAPHS[version].search(title) is not None),
    )
