"""Test the sentences of an answer about data that the library lacks.

Each sentence names the command that adds the missing data.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from thumblab_serving.loading.cache import Cache
from thumblab_serving.scoring.similarity import IndexSimilarity


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        (None, "holds no sub-scores"),
        (SimpleNamespace(version="old"), "was measured by another version of the sub-scores"),
    ],
)
def test_a_library_without_comparable_sub_scores_is_named_with_the_command_that_measures_it(
    scores: Any, why: str
) -> None:
    loaded: Any = SimpleNamespace(value=SimpleNamespace(encoder="e", scores=scores))
    placements = IndexSimilarity(loaded, "tech", "new", Cache(1)).place({})
    assert placements.sub_scores is None
    (sentence,) = placements.degraded
    assert sentence.startswith(f"the library of tech {why}: sub-scores have no percentiles until ")
    assert "`thumblab refresh tech --no-train`" in sentence
