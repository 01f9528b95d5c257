"""Test how pgvector finds the vectors of a library that are nearest to a query.

In some tests, pgvector compares the query with all vectors. pgvector must find the same videos and cosines as FAISS. In
other tests, pgvector uses an HNSW index, which compares the query with only some of the vectors.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sqlalchemy import insert, text
from stored_library import CLIP, DAYS, clustered, fill, search_library, video_ids_of

from thumblab_core.database import nearest, nearest_index
from thumblab_core.database.library_rows import SINCE
from thumblab_core.database.nearest import Library
from thumblab_core.database.tables import library_exclusions
from thumblab_core.index import LibraryError, Neighbour, NicheIndex
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import rows
from thumblab_pipelines.library.rows import read_library

TECH = Library(CLIP, "tech", DAYS)

search = partial(search_library, library=TECH)


@pytest.fixture(scope="module")
def small(open_lab: Callable[..., Lab]) -> Lab:
    """A lab with 400 videos of two niches. Three of the videos were taken out of the library."""
    lab = open_lab(library_days=DAYS)
    fill(lab.engine, clustered(400, 48), CLIP)
    with lab.engine.begin() as connection:
        connection.execute(insert(library_exclusions), [{"video_id": f"v{n:06d}"} for n in (0, 1, 7)])
    return lab


@pytest.fixture(scope="module")
def large(open_lab: Callable[..., Lab]) -> Lab:
    """A lab with 12,000 videos of two niches, and an HNSW index of their vectors."""
    lab = open_lab(library_days=DAYS)
    fill(lab.engine, clustered(12_000, 64), CLIP)
    assert nearest_index.ensure_index(lab.engine, CLIP)
    return lab


def recall(results: list[list[Neighbour]], truth: list[list[Neighbour]]) -> float:
    pairs = zip(results, truth, strict=True)
    shares = [len(video_ids_of(near) & video_ids_of(true)) / len(true) for near, true in pairs]
    return float(np.mean(shares))


def test_a_library_that_is_read_in_parts_has_the_same_vectors(small: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_library(small, "tech", CLIP)
    for size in (1, 7, len(whole.items)):
        monkeypatch.setattr(rows, "_CONVERTED", size)
        parts = read_library(small, "tech", CLIP)
        assert parts.items == whole.items
        assert np.array_equal(parts.vectors, whole.vectors)
    assert read_library(small, "no niche", CLIP).vectors.shape == (0, 0)


@pytest.mark.parametrize("niche", ["tech", "beauty"])
def test_postgresql_and_faiss_find_the_same_twenty_items_with_the_same_cosines(small: Lab, niche: str) -> None:
    read = read_library(small, niche, CLIP)
    index = NicheIndex.build(read.vectors, read.items, CLIP, factory="Flat")
    queries = np.concatenate([clustered(8, 48, seed=5), read.vectors[:4]])
    results = search(small, queries, library=Library(CLIP, niche, DAYS), exact=True)
    for stored, query in zip(results, queries, strict=True):
        faiss = index.search(query, 20)
        assert [near.item for near in stored] == [near.item for near in faiss]
        assert [near.similarity for near in stored] == pytest.approx([near.similarity for near in faiss], abs=1e-5)


def test_videos_taken_out_or_not_observed_for_long_are_not_found(small: Lab) -> None:
    video_ids = video_ids_of(search(small, clustered(1, 48), 200)[0])
    tech = {f"v{n:06d}" for n in range(0, 400, 2)}
    assert tech - video_ids == {"v000000", "v000396", "v000398"}


def test_a_library_of_fewer_than_k_videos_gives_fewer_neighbours(small: Lab) -> None:
    assert len(search(small, clustered(1, 48), 200)[0]) == 197
    assert search(small, clustered(2, 48), library=Library("another", "tech", DAYS)) == [[], []]
    assert search(small, clustered(1, 48), library=Library(CLIP, "news", DAYS)) == [[]]
    assert search(small, np.zeros((0, 48), np.float32)) == []


def test_a_bad_query_is_refused_with_the_reason(small: Lab) -> None:
    with pytest.raises(LibraryError, match="different vector dimensions 48 and 47"):
        search(small, clustered(1, 47))
    with pytest.raises(LibraryError, match="finite"):
        search(small, np.full((1, 48), np.nan, np.float32))
    for k in (0, 201):
        with pytest.raises(LibraryError, match="1 to 200"):
            search(small, clustered(1, 48), k)


def test_a_sample_comes_with_the_size_of_the_library_and_is_always_the_same(small: Lab) -> None:
    with small.engine.connect() as connection:
        count, some = nearest.sample(connection, TECH, 50)
        again = nearest.sample(connection, TECH, 50)[1]
        every = nearest.sample(connection, TECH, 10_000)[1]
        assert nearest.sample(connection, Library("another", "tech", DAYS), 50)[0] == 0
    read = read_library(small, "tech", CLIP)
    assert count == len(read.items)
    assert np.array_equal(some, again)
    assert sorted(every.tolist()) == sorted(read.vectors.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("k", [20, 200])
def test_the_index_finds_k_neighbours_and_nearly_all_true_ones(
    large: Lab, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = np.concatenate([clustered(4, 64, seed=9), clustered(12_000, 64)[:6]])
    truth = search(large, queries, k, exact=True)
    monkeypatch.delattr(nearest, "_compare")  # Without `_compare`, only the index can find neighbours.
    results = search(large, queries, k)
    assert [len(near) for near in results] == [len(near) for near in truth] == [k] * len(queries)
    assert recall(results, truth) >= 0.97
    known = {near.item.video_id: near.item for nears in truth for near in nears}
    for near in (near for nears in results for near in nears if near.item.video_id in known):
        assert near.item == known[near.item.video_id]
    assert all(near == sorted(near, key=lambda n: -n.similarity) for near in results)


def test_the_planner_uses_the_index(large: Lab) -> None:
    with large.engine.connect() as connection:
        statement, parameters = nearest.index_statement(connection, TECH, 64, 20)
        parameters |= {"vector": nearest._as_text(clustered(1, 64)[0])}
        nearest.prepare_index_search(connection)
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {statement}"), parameters))
        # The driver prepares a statement after the same statement has run a few times. `search` therefore runs for each
        # of 20 queries. For a prepared statement, PostgreSQL may make a generic plan, which is one plan for all values
        # of the parameters. The encoder is a parameter, and the index contains the vectors of only one encoder. A
        # generic plan cannot use this index, so PostgreSQL must make a custom plan for each run.
        nearest.search(connection, TECH, clustered(20, 64), 20)
        planned = (
            "SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements WHERE statement LIKE '%<#>%'"
        )
        custom, generic = connection.execute(text(planned)).one()
    assert f"Index Scan using {nearest_index.index_name(CLIP, 64)}" in plan
    assert (custom > 10, generic) == (True, 0)


def test_if_the_index_finds_too_few_neighbours_all_vectors_are_compared(large: Lab) -> None:
    left = [f"v{n:06d}" for n in range(0, 300, 2)]
    queries = clustered(3, 64, seed=3)
    with large.engine.connect() as connection:  # The update is not committed, so the lab stays as it is.
        connection.execute(text("UPDATE videos SET niche = 'news' WHERE video_id = ANY(:ids)"), {"ids": left})
        news = Library(CLIP, "news", DAYS)
        truth = nearest.search(connection, news, queries, 200, exact=True)
        assert len(truth[0]) == 150
        assert nearest.search(connection, news, queries, 200) == truth


def test_few_vectors_get_no_index_and_are_compared(small: Lab) -> None:
    assert not nearest_index.ensure_index(small.engine, CLIP)
    assert not nearest_index.ensure_index(small.engine, "another")
    query = clustered(1, 48, seed=5)
    assert search(small, query) == search(small, query, exact=True)


def test_the_index_selects_the_same_videos_as_a_comparison_with_all_vectors(
    open_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = open_lab(library_days=DAYS)
    fill(lab.engine, clustered(60, 8), CLIP)
    with lab.engine.begin() as connection:
        connection.execute(insert(library_exclusions), [{"video_id": "v000004"}, {"video_id": "v000035"}])
        for change in (
            "UPDATE thumbnails SET sha256 = 'another' WHERE video_id IN ('v000008', 'v000036')",
            "UPDATE videos SET format = 'short' WHERE video_id IN ('v000010', 'v000040')",
            "UPDATE video_stats SET view_count = NULL WHERE video_id IN ('v000012', 'v000042')",
            "UPDATE videos SET collected_at = '2026-06-01' WHERE video_id IN ('v000014', 'v000016')",
            "UPDATE videos SET source = 'catalogue' WHERE video_id = 'v000016'",
        ):
            connection.execute(text(change))
    assert nearest_index.ensure_index(lab.engine, CLIP, worthwhile=10)
    query = clustered(1, 8, seed=2)
    truth = search(lab, query, 200, exact=True)
    left_out = {4, 8, 10, 12, 14, 36, 40, 42, 56, 58}
    assert video_ids_of(truth[0]) == {f"v{n:06d}" for n in range(0, 60, 2) if n not in left_out}
    assert {item.video_id for item in read_library(lab, "tech", CLIP).items} == video_ids_of(truth[0])
    monkeypatch.delattr(nearest, "_compare")
    assert search(lab, query, len(truth[0])) == truth


def test_a_niche_without_observations_has_no_moment_since_which_videos_count(small: Lab) -> None:
    with small.engine.connect() as connection:
        statement = text(f"WITH {SINCE} SELECT moment FROM since")
        assert connection.execute(statement, {"niche": "news", "days": DAYS}).scalar_one() is None
