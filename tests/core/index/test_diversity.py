"""Test the function `diversified`, which orders candidates by maximal marginal relevance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import diversified


@st.composite
def candidates(draw: st.DrawFn) -> tuple[Vectors, Vectors]:
    """Return the cosines of candidates to a query, and the vectors of the candidates. Some candidates may be equal."""
    count = draw(st.integers(0, 14))
    random = np.random.default_rng(draw(st.integers(0, 1_000)))
    groups = draw(st.lists(st.integers(0, 8), min_size=count, max_size=count))
    vectors = unit(random.standard_normal((9, 6)))[groups] if count else np.zeros((0, 6), np.float32)
    return vectors @ unit(random.standard_normal((1, 6)))[0], vectors


def scaled(value: float, values: list[float]) -> float:
    low, high = min(values, default=0.0), max(values, default=0.0)
    return (value - low) / (high - low) if high - low > 1e-9 else 0.0


@settings(max_examples=300, deadline=None)
@given(candidates(), st.floats(0, 1), st.integers(1, 14))
def test_each_candidate_maximises_relevance_less_redundancy(
    given_: tuple[Vectors, Vectors], diversity: float, count: int
) -> None:
    similarities, vectors = given_
    order = diversified(similarities, vectors, diversity).tolist()
    number = len(similarities)
    assert sorted(order) == list(range(number))
    assert diversified(similarities, vectors, diversity, count).tolist() == order[:count]
    if not number:
        return
    assert similarities[order[0]] == similarities.max()
    gram = (vectors @ vectors.T).astype(float)
    pairs = [gram[a, b] for a in range(number) for b in range(number) if a != b]
    alike = [[scaled(gram[a, b], pairs) for b in range(number)] for a in range(number)]
    relevance = [scaled(float(s), similarities.astype(float).tolist()) for s in similarities]

    def value(candidate: int, before: list[int]) -> float:
        redundancy = max(alike[candidate][other] for other in before)
        return (1 - diversity) * relevance[candidate] - diversity * redundancy

    for at in range(1, number):
        best = max(value(candidate, order[:at]) for candidate in order[at:])
        # `scaled` divides by the range of the values. If this range is very small, the division enlarges the rounding
        # errors of float32.
        assert value(order[at], order[:at]) == pytest.approx(best, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(candidates())
def test_without_diversity_the_order_is_that_of_similarity(given_: tuple[Vectors, Vectors]) -> None:
    similarities, vectors = given_
    order = diversified(similarities, vectors, 0.0)
    assert similarities[order].tolist() == sorted(similarities.tolist(), reverse=True)


def test_a_near_duplicate_waits_until_other_pictures_were_shown() -> None:
    query, near, far = np.eye(3, dtype=np.float32)
    twins = unit([0.9 * query + 0.1 * near, 0.9 * query + 0.101 * near])
    others = unit([0.85 * query + 0.3 * far, 0.8 * query - 0.4 * near, 0.2 * query + far])
    vectors = np.concatenate([twins, others])
    plain = diversified(vectors @ query, vectors, 0.0).tolist()
    diverse = diversified(vectors @ query, vectors, 0.5).tolist()
    assert plain[:2] == [0, 1]
    assert diverse[0] == 0
    assert diverse.index(1) > diverse.index(3)
