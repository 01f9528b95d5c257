"""Test the index of one niche.

The tests check which videos a search finds, and which index files are refused. The tests also check the percentile,
which measures how typical of the library a picture is.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError
from thumblab_core.index import MAX_NEIGHBOURS, Item, LibraryError, Neighbour, NicheIndex, examples_of
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore

D = 16


def vectors_of(count: int, seed: int = 0, dimension: int = D) -> Vectors:
    return unit(np.random.default_rng(seed).standard_normal((count, dimension)))


def items_of(count: int) -> list[Item]:
    return [Item(f"v{n}", f"Title {n} “é”", f"Channel {n % 3}", None, float(n), n / 10) for n in range(count)]


def index_of(vectors: Vectors) -> NicheIndex:
    return NicheIndex.build(vectors, items_of(len(vectors)), "encoder-1")


def published(tmp_path: Path, index: NicheIndex, **info: object) -> Release:
    manifest_info = {"encoder": index.encoder, "dimension": index.dimension, "count": len(index)} | info
    return ReleaseStore(tmp_path).publish("index", "tech", index.save, manifest_info)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.integers(1, 120), st.integers(0, 10_000))
def test_a_search_finds_the_same_as_brute_force(count: int, k: int, seed: int) -> None:
    vectors = vectors_of(count, seed)
    query = vectors_of(1, seed + 1)[0]
    neighbours = index_of(vectors).search(query, k)
    cosines = vectors @ query
    expected = np.argsort(-cosines)[:k]
    assert [n.item.video_id for n in neighbours] == [f"v{row}" for row in expected]
    np.testing.assert_allclose([n.similarity for n in neighbours], cosines[expected], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 10_000))
def test_each_neighbour_has_the_item_of_its_vector_even_among_duplicates(count: int, copies: int, seed: int) -> None:
    vectors = np.repeat(vectors_of(count, seed), copies, axis=0)
    for neighbour in index_of(vectors).search(vectors[0], len(vectors)):
        row = int(neighbour.item.video_id[1:])
        assert neighbour.similarity == pytest.approx(float(vectors[row] @ vectors[0]), abs=1e-6)


def test_asking_for_more_neighbours_than_the_library_has_returns_all_of_them() -> None:
    vectors = vectors_of(5)
    neighbours = index_of(vectors).search(vectors[2], 1_000)
    assert sorted(n.item.video_id for n in neighbours) == ["v0", "v1", "v2", "v3", "v4"]


def test_a_library_of_one_video_finds_its_item_and_has_no_percentile() -> None:
    vectors = vectors_of(1)
    index = index_of(vectors)
    assert [n.item.video_id for n in index.search(vectors[0], 3)] == ["v0"]
    with pytest.raises(LibraryError, match="fewer than two"):
        index.percentile(vectors[0])
    with pytest.raises(LibraryError, match="fewer than two"):
        index.place(vectors[0], 5)


@pytest.mark.parametrize("count", [2, 30, 500, 3_000])
def test_one_search_finds_the_same_percentile_and_examples_as_two(count: int) -> None:
    index, queries = index_of(vectors_of(count)), vectors_of(3, seed=7)
    for query in queries:
        assert index.place(query, 5) == (pytest.approx(index.percentile(query)), index.examples(query, 5))


def test_no_neighbour_after_the_last_example_is_read() -> None:
    items, read = items_of(30), list[str]()

    def near() -> Iterator[Neighbour]:
        for item in items:
            read.append(item.video_id)
            yield Neighbour(item, 0.5)

    assert [example.item.video_id for example in examples_of(near(), 2)] == ["v20", "v21"]
    assert read[-1] == "v21"
    assert [example.item.video_id for example in examples_of(near(), 40)] == [f"v{n}" for n in range(20, 30)]


def test_without_a_winner_the_examples_are_the_nearest() -> None:
    near = (Neighbour(item, 0.5) for item in items_of(9))
    assert [example.item.video_id for example in examples_of(near, 2)] == ["v0", "v1"]


def test_an_empty_library_finds_nothing() -> None:
    assert index_of(vectors_of(0)).search(vectors_of(1)[0], 3) == []


def test_a_zero_vector_has_similarity_zero_to_everything() -> None:
    vectors = vectors_of(5)
    vectors[2] = 0
    index = index_of(vectors)
    assert [n.similarity for n in index.search(np.zeros(D, np.float32), 5)] == [0.0] * 5
    assert next(n for n in index.search(vectors[0], 5) if n.item.video_id == "v2").similarity == 0.0
    assert 0 <= index.percentile(np.zeros(D, np.float32)) <= 100


def brute_force_leave_one_out(vectors: Vectors, k: int) -> np.ndarray:
    means = []
    for row in range(len(vectors)):
        others = np.delete(vectors, row, axis=0) @ vectors[row]
        means.append(np.sort(others)[-k:].mean())
    return np.array(means)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 90), st.integers(0, 10_000))
def test_the_percentile_is_the_share_of_items_that_are_no_closer_to_their_own_neighbours(count: int, seed: int) -> None:
    vectors = vectors_of(count, seed)
    k = max(1, count // 10)
    query = unit(vectors[0] + 0.7 * vectors_of(1, seed + 1)[0])
    statistic = np.sort(vectors @ query)[-k:].mean()
    library = brute_force_leave_one_out(vectors, k)
    # If `statistic` is nearly equal to a value in `library`, a rounding error may make either of the two numbers the
    # larger one. In this case, the test does not check the percentile.
    if np.abs(library - statistic).min() > 1e-5:
        expected = 100 * (library <= statistic).mean()
        assert index_of(vectors).percentile(query) == pytest.approx(expected)


def test_the_percentile_is_right_in_a_library_larger_than_one_block_with_k_at_its_maximum() -> None:
    vectors = vectors_of(2_500, dimension=8)
    library = brute_force_leave_one_out(vectors, MAX_NEIGHBOURS)
    query = vectors_of(1, 9, 8)[0]
    statistic = np.sort(vectors @ query)[-MAX_NEIGHBOURS:].mean()
    expected = 100 * (library <= statistic).mean()
    assert index_of(vectors).percentile(query) == pytest.approx(expected, abs=0.1)


def test_a_typical_vector_has_a_higher_percentile_than_an_untypical_one() -> None:
    centre = vectors_of(1)[0]
    vectors = unit(centre + 0.3 * vectors_of(200, 1))
    index = index_of(vectors)
    assert index.percentile(centre) == 100
    assert index.percentile(-centre) == 0


def test_examples_are_the_nearest_winners() -> None:
    vectors = vectors_of(40)
    winners = index_of(vectors).examples(vectors[0], 5)
    assert len(winners) == 5
    assert all(n.item.outlier_multiple >= 2 for n in winners)
    cosines = (vectors @ vectors[0])[20:]
    assert [n.item.video_id for n in winners] == [f"v{20 + row}" for row in np.argsort(-cosines)[:5]]


def test_without_a_winner_the_examples_are_the_nearest_items_of_any_kind() -> None:
    vectors = vectors_of(15)
    index = index_of(vectors)
    assert not any(item.winner for item in index.items)
    assert index.examples(vectors[3], 4) == index.search(vectors[3], 4)


@pytest.mark.parametrize(
    ("views_per_hour", "multiple", "winner"),
    [
        (6.0, 1.2, False),
        (6.0, 8.0, False),
        (10.0, 2.0, True),
        (9.9, 2.0, False),
        (5_000.0, 1.9, False),
        (5_000.0, 30.0, True),
        (1_000.0, None, True),
        (999.0, None, False),
    ],
)
def test_a_winner_has_twice_the_usual_views_of_its_channel_and_at_least_ten_an_hour(
    views_per_hour: float, multiple: float | None, winner: bool
) -> None:
    assert Item("v", "t", "c", None, views_per_hour, multiple).winner is winner


def test_saving_and_loading_changes_nothing(tmp_path: Path) -> None:
    vectors = vectors_of(60)
    built = index_of(vectors)
    loaded = NicheIndex.load(published(tmp_path, built))
    assert loaded.items == built.items
    assert (loaded.encoder, loaded.dimension, len(loaded)) == ("encoder-1", D, 60)
    np.testing.assert_array_equal(loaded.vectors(), vectors)
    query = vectors_of(1, 5)[0]
    assert loaded.search(query, 10) == built.search(query, 10)
    assert loaded.percentile(query) == built.percentile(query)


@pytest.mark.parametrize("wrong", [{"dimension": D + 1}, {"count": 59}, {"count": 61}])
def test_an_index_that_disagrees_with_its_manifest_is_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(LibraryError, match="but its manifest says"):
        NicheIndex.load(published(tmp_path, index_of(vectors_of(60)), **wrong))


@pytest.mark.parametrize(("vectors", "items"), [(59, 60), (60, 59), (61, 60)])
def test_vectors_and_items_of_different_counts_are_refused(tmp_path: Path, vectors: int, items: int) -> None:
    def write(folder: Path) -> None:
        index_of(vectors_of(items)).save(folder)
        named = (folder / "items.json").read_text()
        index_of(vectors_of(vectors)).save(folder)
        (folder / "items.json").write_text(named)

    release = ReleaseStore(tmp_path).publish("index", "tech", write, {"encoder": "e", "dimension": D, "count": 60})
    with pytest.raises(LibraryError, match="but its manifest says 60x16"):
        NicheIndex.load(release)


@pytest.mark.parametrize("name", ["index.faiss", "items.json", "calibration.npy"])
def test_a_damaged_file_is_refused_before_it_is_parsed(tmp_path: Path, name: str) -> None:
    release = published(tmp_path, index_of(vectors_of(60)))
    data = bytearray((release.path / name).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (release.path / name).write_bytes(data)
    with pytest.raises(LabError, match="checksum"):
        NicheIndex.load(release)


def test_building_refuses_mismatched_counts_and_repeated_videos() -> None:
    with pytest.raises(LibraryError, match="4 vectors but 3 items"):
        NicheIndex.build(vectors_of(4), items_of(3), "e")
    with pytest.raises(LibraryError, match="twice"):
        NicheIndex.build(vectors_of(4), items_of(2) * 2, "e")


def test_a_vector_of_another_dimension_is_refused() -> None:
    with pytest.raises(LibraryError, match="of dimension 16"):
        index_of(vectors_of(4)).search(vectors_of(1, dimension=8)[0], 1)
