"""Test that a search with a filter finds the same videos as a comparison with every vector that passes the filter."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_helpers import START, D, vector_of

from thumblab_core.encoders.protocol import unit
from thumblab_core.index import Change, ChannelName, Filter, Item, LibraryError, NicheIndex, PublishedBetween

FIRST = date(2026, 1, 1)
some_day = st.one_of(st.none(), st.integers(0, 9).map(lambda n: FIRST + timedelta(days=n)))
a_name = st.one_of(st.none(), st.sampled_from(["UCa", "UCb"]))
a_title = st.sampled_from(["A", "B", "C"])


@st.composite
def items(draw: st.DrawFn, prefix: str = "v") -> list[Item]:
    multiples = st.one_of(st.none(), st.sampled_from([0.5, 2.0, 3.0]))
    facts = st.tuples(a_title, multiples, some_day, a_name)
    return [
        Item(f"{prefix}{n}", f"Title {n}", title, None, 1.0, multiple, day, 10 * n, channel_id)
        for n, (title, multiple, day, channel_id) in enumerate(draw(st.lists(facts, max_size=25)))
    ]


filters = st.builds(
    Filter,
    st.builds(PublishedBetween, some_day, some_day),
    st.one_of(st.none(), st.sampled_from([0.0, 2.0, 2.5])),
    st.one_of(st.none(), st.builds(ChannelName, a_name, st.one_of(st.none(), a_title))),
    st.one_of(st.none(), st.sampled_from(["v0", "v3", "w1", "unknown"])),
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(items(), items("w"), st.sets(st.integers(0, 24), max_size=5), filters, st.integers(1, 60), st.integers(0, 50))
def test_a_filtered_search_finds_what_a_comparison_with_every_admitted_item_finds(
    old: list[Item], new: list[Item], gone: set[int], only: Filter, k: int, seed: int
) -> None:
    vectors = {item.video_id: vector_of(n) for n, item in enumerate([*old, *new])}
    stacked = np.stack([vectors[item.video_id] for item in old]) if old else np.zeros((0, D), np.float32)
    index = NicheIndex.build(stacked, old, "encoder-1")
    added = [(Change(item.video_id, START, item), vectors[item.video_id]) for item in new]
    index = index.changed([*added, *((Change(f"v{n}", START, None), None) for n in gone)])
    present = [item for item in (*old, *new) if item.video_id not in {f"v{n}" for n in gone}]
    admitted = [item for item in present if only.admits(item)]
    query = vector_of(seed)
    found = index.find(query, k, only)
    cosines = sorted((float(vectors[item.video_id] @ query) for item in admitted), reverse=True)[:k]
    assert [similarity for _, similarity in found.neighbours] == pytest.approx(cosines, abs=1e-5)
    assert found.total == len(admitted)
    assert len({neighbour.item.video_id for neighbour in found.neighbours}) == len(found.neighbours)
    for neighbour, vector in zip(found.neighbours, found.vectors, strict=True):
        assert neighbour.item in admitted
        assert np.array_equal(vector, vectors[neighbour.item.video_id])


def test_the_channel_is_compared_by_id_where_both_ids_are_known() -> None:
    namesake = Item("v", "t", "A", None, 1.0, None, channel_id="UCother")
    unknown = Item("w", "t", "A", None, 1.0, None)
    assert not ChannelName("UCa", "A").is_of(namesake)
    assert ChannelName("UCa", "A").is_of(unknown)
    assert not ChannelName("UCa", None).is_of(unknown)


def test_a_query_that_is_not_finite_is_refused() -> None:
    index = NicheIndex.build(np.stack([vector_of(0)]), [Item("v", "t", "A", None, 1.0, None)], "encoder-1")
    with pytest.raises(LibraryError, match="NaN"):
        index.find(np.full(D, np.nan, np.float32), 1, Filter(least_multiple=1.0))


@pytest.mark.parametrize("factory", ["auto", "IVF16,SQfp16", pytest.param("HNSW16,Flat", marks=pytest.mark.slow)])
@pytest.mark.parametrize("least", [1.0, 7.0])
def test_a_filtered_search_of_a_large_library_is_exact_in_any_index(factory: str, least: float) -> None:
    random = np.random.default_rng(0)
    vectors = unit(random.standard_normal((3_000, D)))
    vectors[500:600] = vectors[500]  # All of these videos have the same picture.
    items = [Item(f"v{n}", "t", "A", None, 1.0, float(n % 10)) for n in range(len(vectors))]
    index = NicheIndex.build(vectors, items, "encoder-1", factory=factory)
    only = Filter(least_multiple=least)
    rows = np.array([n for n, item in enumerate(items) if only.admits(item)])
    for query in (vectors[500], vectors[1], unit(random.standard_normal((1, D)))[0]):
        for k in (20, 60, 900):
            similarities, ids = zip(
                *((s, item.video_id) for item, s in index.find(query, k, only).neighbours), strict=True
            )
            cosines = vectors[rows] @ query
            nearest = rows[np.argsort(-cosines, kind="stable")][:k]
            assert list(similarities) == pytest.approx(np.sort(cosines)[::-1][:k].tolist(), abs=1e-6)
            # If several videos have the same picture, the search returns the videos with the lowest numbers first. This
            # order does not depend on how many videos are requested.
            assert [v for v in ids if 500 <= int(v[1:]) < 600] == [f"v{n}" for n in nearest if 500 <= n < 600]
            assert len(set(ids)) == len(ids)
