"""Label each cluster with the words that are typical of its titles and of the text in its pictures, by class-based
TF-IDF [1]_.

The weight of a word in a cluster is its share of the cluster's words, times ln(1 + A / f). A is the mean number of
words of a cluster. f is the number of all videos of the map that have the word.

A word is counted once for each video. In a cluster, a word of the label must occur in at least three videos and in two
channels. So a label has no word that only one channel or one video uses. English words without a meaning of their own,
such as "and", are left out (scikit-learn's list). There is no such list for other languages, but frequent words have
low weights. Languages that write no spaces between words, such as Japanese and Thai, seldom get a label.

.. [1] M. Grootendorst, "BERTopic: neural topic modeling with a class-based TF-IDF procedure", arXiv:2203.05794, 2022.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache

from thumblab_core.arrays import Rows

WORDS = 4
"""Maximum number of words of a label."""
LEAST_VIDEOS, LEAST_CHANNELS = 3, 2
_MORE_OFTEN = 1.5
"""A word may be in a label only if its share of the cluster's videos is at least this many times its share of all
videos.
"""
_LONGEST = 24
_LAST_MARK = 0x1F000
"""From this Unicode code point on, no character is a mark on a letter, such as an accent."""


def label_clusters(texts: Sequence[str], channels: Sequence[str], clusters: Rows) -> dict[int, tuple[str, ...]]:
    """Return the words of the label of each cluster, in falling order of their weights.

    `texts` [n]: the title and the words in the picture of each video. `clusters` [n]: the number of each video's
    cluster, or -1. If no word fits a cluster, its label is empty.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    of_video = [sorted(words_of(text) - ENGLISH_STOP_WORDS) for text in texts]
    total = Counter(word for words in of_video for word in words)
    by_cluster: dict[int, Counter[str]] = defaultdict(Counter)
    channels_of: dict[tuple[int, str], set[str]] = defaultdict(set)
    size: Counter[int] = Counter()
    for words, channel, number in zip(of_video, channels, clusters.tolist(), strict=True):
        if number < 0:
            continue
        size[number] += 1
        by_cluster[number].update(words)
        for word in words:
            channels_of[number, word].add(channel)
    mean = sum(counts.total() for counts in by_cluster.values()) / max(1, len(by_cluster))
    labels = {}
    for number in size:
        counts = by_cluster[number]
        weights = {
            word: count / counts.total() * math.log(1 + mean / total[word])
            for word, count in counts.items()
            if count >= LEAST_VIDEOS
            and len(channels_of[number, word]) >= LEAST_CHANNELS
            and count / size[number] >= _MORE_OFTEN * total[word] / len(texts)
        }
        labels[number] = tuple(sorted(weights, key=lambda word: (-weights[word], word))[:WORDS])
    return labels


def words_of(text: str) -> set[str]:
    """Return the different words of a text in lower case. Numbers, single letters and very long words are left out.

    Styled letters, such as the bold letters in some titles, count as plain letters.
    """
    words = _pattern().findall(unicodedata.normalize("NFKC", text))
    return {word.casefold() for word in words if len(word) <= _LONGEST}


@cache
def _pattern() -> re.Pattern[str]:
    """Return the pattern of words of two letters or more that begin with a letter, in any script.

    Many scripts write vowels as marks on letters. Python's `\\w` does not match these marks, so the pattern lists them.
    """
    marks = "".join(chr(code) for code in range(_LAST_MARK) if unicodedata.category(chr(code)).startswith("M"))
    joiners = "\u200c\u200d"
    return re.compile(rf"[^\W\d_][\w'’{marks}{joiners}]*(?:[^\W_]|[{marks}])")
