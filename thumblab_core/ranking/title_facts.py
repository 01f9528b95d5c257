"""What a title shows without being understood: its length, its marks, its words.

A sentence encoder knows what a title is about; that one channel's viewers come for "vs" and "unboxing", and that another's
all-capitals stopped working, is told by the words themselves.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from thumblab_core.arrays import Float32s

BUCKETS = 1_024
"""Hash buckets for words and pairs of words, and as many for groups of three or four characters."""

WORDS = 2 * BUCKETS

_MARKS = ("?", "!", "|", ":", "#", "$", "&")
_QUOTES, _BRACKETS, _DOTS = ('"', "“", "”", "‘"), ("(", "["), ("...", "…")
_PATTERNS = (
    re.compile(r"\b(how|why|what|when|who)\b", re.IGNORECASE),
    re.compile(r"\b(i|my|me|we|our)\b", re.IGNORECASE),
    re.compile(r"\b(you|your)\b", re.IGNORECASE),
    re.compile(r"\bvs\b", re.IGNORECASE),
)
VERSION = 2
"""Of the facts. Models name the one that they were trained with, and are asked with it."""

_PICTOGRAPHS = {
    1: re.compile("[\u2501-\U0010ffff]"),  # also every letter of Chinese, Japanese and Korean
    2: re.compile("[\u20e3\u2300-\u23ff\u2500-\u2bff\ufe0f\U0001f000-\U0001fbff]"),
}
"""The blocks of symbols and emoji of the Unicode standard, its keycap and its mark of emoji presentation; by version."""

FACTS = 5 + len(_MARKS) + 3 + len(_PATTERNS) + 1
"""How many numbers `title_facts` gives a title."""


def title_facts(titles: Sequence[str], version: int = VERSION) -> Float32s:
    """[n, FACTS]: lengths and shares near 0 to 1, and 0 or 1 for what is there or not."""
    return np.array([_facts(title, _PICTOGRAPHS[version]) for title in titles], np.float32).reshape(len(titles), FACTS)


def title_words(titles: Sequence[str]) -> Float32s:
    """[n, WORDS]: the words, pairs of words and groups of characters of each title, hashed; each half has length 1 or 0.

    Signed feature hashing (Weinberger et al., ICML 2009): it needs no vocabulary, so a title of tomorrow has its place too.
    """
    if not titles:
        return np.zeros((0, WORDS), np.float32)
    words = np.empty((len(titles), WORDS), np.float32)
    for half, hasher in zip(np.split(words, 2, axis=1), _hashers(), strict=True):
        half[:] = hasher.transform(titles).toarray()
    return words


@lru_cache(maxsize=1)
def _hashers() -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import HashingVectorizer

    return (
        HashingVectorizer(n_features=BUCKETS, ngram_range=(1, 2), strip_accents="unicode", dtype=np.float32),
        HashingVectorizer(n_features=BUCKETS, ngram_range=(3, 4), analyzer="char_wb", dtype=np.float32),
    )


def _facts(title: str, pictograph: re.Pattern[str]) -> list[float]:
    words = title.split()
    letters = [character for character in title if character.isalpha()]
    digits = sum(character.isdigit() for character in title)
    return [
        len(title) / 50,
        len(words) / 10,
        sum(letter.isupper() for letter in letters) / max(len(letters), 1),
        sum(len(word) > 1 and word.isupper() for word in words) / max(len(words), 1),
        digits / max(len(title), 1),
        *(float(mark in title) for mark in _MARKS),
        *(float(any(mark in title for mark in marks)) for marks in (_QUOTES, _BRACKETS, _DOTS)),
        *(float(pattern.search(title) is not None) for pattern in _PATTERNS),
        float(pictograph.search(title) is not None),
    ]
