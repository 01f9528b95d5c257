"""The library searched by pgvector: the same videos and cosines as by FAISS, with and without an HNSW index."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from stored_library import fill

from thumblab_core.database import nearest, nearest_index
from thumblab_core.database.nearest import Library
from thumblab_core.database.tables import embeddings, library_exclusions
from thumblab_core.database.vectors import save_vectors
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import LibraryError, Neighbour, NicheIndex, Only
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.rows import read_library

CLIP = "clip-1"
HOSTILE = """x') ; DROP TABLE embeddings; -- "'%s %(a)s :a {dimension} \\ é"""
DAYS = 90
SPRING = Only(date(2026, 1, 6), date(2026, 1, 20))


def clustered(count: int, dimension: int, seed: int = 0) -> Vectors:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(count // 50, 2), dimension))
    noise = random.standard_normal((count, dimension))
    return unit(centres[random.integers(0, len(centres), count)] + 0.6 * noise)


@pytest.fixture(scope="module")
def small(open_lab: Callable[..., Lab]) -> Lab:
    """400 videos of two niches, three of them taken out of the library."""
    lab = open_lab(library_days=DAYS)
    fill(lab.engine, clustered(400, 48), CLIP)
    with lab.engine.begin() as connection:
        connection.execute(insert(library_exclusions), [{"video_id": f"v{n:06d}"} for n in (0, 1, 7)])
    return lab


@pytest.fixture(scope="module")
def large(open_lab: Callable[..., Lab]) -> Lab:
    """12,000 videos of two niches, with an index of their vectors."""
    lab = open_lab(library_days=DAYS)
    fill(lab.engine, clustered(12_000, 64), CLIP)
    assert nearest_index.ensure_index(lab.engine, CLIP)
    return lab


def ask(lab: Lab, vectors: Vectors, k: int = 20, only: Only | None = None, **how: Any) -> list[list[Neighbour]]:
    library = how.pop("library", Library(CLIP, ("tech",), DAYS))
    with lab.engine.connect() as connection:
        return nearest.search(connection, library, vectors, k, only, **how)


def alike(stored: list[Neighbour], faiss: list[Neighbour]) -> bool:
    """The same items, every field of them, in the same order, with the same cosines."""
    assert [n.similarity for n in stored] == pytest.approx([n.similarity for n in faiss], abs=1e-5)
    return [n.item for n in stored] == [n.item for n in faiss]


def ids(near: list[Neighbour]) -> set[str]:
    return {neighbour.item.video_id for neighbour in near}


def recall(found: list[list[Neighbour]], truth: list[list[Neighbour]]) -> float:
    return float(np.mean([len(ids(one) & ids(other)) / len(other) for one, other in zip(found, truth, strict=True)]))


@pytest.mark.parametrize("only", [None, Only(), SPRING, Only(since=SPRING.since), Only(until=SPRING.until)])
@pytest.mark.parametrize("niche", ["tech", "beauty"])
def test_postgresql_and_faiss_find_the_same_twenty(small: Lab, niche: str, only: Only | None) -> None:
    rows = read_library(small, niche, CLIP)
    index = NicheIndex.build(rows.vectors, rows.items, CLIP, factory="Flat")
    queries = np.concatenate([clustered(8, 48, seed=5), rows.vectors[:4]])
    found = ask(small, queries, 20, only, library=Library(CLIP, (niche,), DAYS), exact=True)
    assert all(alike(near, index.search(query, 20, only)) for near, query in zip(found, queries, strict=True))


def test_what_was_taken_out_or_not_observed_for_long_is_not_found(small: Lab) -> None:
    found = ids(ask(small, clustered(1, 48), 200)[0])
    everything = {f"v{n:06d}" for n in range(0, 400, 2)}  # of tech
    assert everything - found == {"v000000", "v000396", "v000398"}


def test_several_niches_are_searched_and_each_by_its_own_newest_observation(small: Lab) -> None:
    query = clustered(1, 48, seed=5)
    apart = [
        near for niche in ("tech", "beauty") for near in ask(small, query, library=Library(CLIP, (niche,), DAYS))[0]
    ]
    best = sorted(apart, key=lambda near: -near.similarity)[:20]
    for niches in (("tech", "beauty"), None):
        assert alike(ask(small, query, library=Library(CLIP, niches, DAYS))[0], best)


def test_fewer_are_found_where_there_are_fewer(small: Lab) -> None:
    assert len(ask(small, clustered(1, 48), 200, Only(until=date(2026, 1, 5)))[0]) < 100
    assert ask(small, clustered(2, 48), library=Library("another", None, DAYS)) == [[], []]
    assert ask(small, clustered(1, 48), library=Library(CLIP, ("news",), DAYS)) == [[]]
    assert ask(small, np.zeros((0, 48), np.float32)) == []


def test_what_cannot_be_asked_is_refused_in_words(small: Lab) -> None:
    with pytest.raises(LibraryError, match="different vector dimensions 48 and 47"):
        ask(small, clustered(1, 47))
    with pytest.raises(LibraryError, match="finite"):
        ask(small, np.full((1, 48), np.nan, np.float32))
    for k in (0, 201):
        with pytest.raises(LibraryError, match="1 to 200"):
            ask(small, clustered(1, 48), k)


def test_a_sample_tells_how_many_there_are_and_is_always_the_same(small: Lab) -> None:
    library = Library(CLIP, ("tech",), DAYS)
    with small.engine.connect() as connection:
        count, some = nearest.sample(connection, library, 50)
        again = nearest.sample(connection, library, 50)[1]
        every = nearest.sample(connection, library, 10_000)[1]
        assert nearest.sample(connection, Library("another", None, DAYS), 50)[0] == 0
    rows = read_library(small, "tech", CLIP)
    assert count == len(rows.items)
    assert np.array_equal(some, again)
    assert sorted(every.tolist()) == sorted(rows.vectors.tolist())


@pytest.mark.parametrize("only", [None, SPRING])
@pytest.mark.parametrize("niches", [None, ("tech",)])
@pytest.mark.parametrize("k", [20, 200])
def test_the_index_finds_nearly_all_that_comparing_finds_and_as_many(
    large: Lab, niches: tuple[str, ...] | None, only: Only | None, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(CLIP, niches, DAYS)
    queries = np.concatenate([clustered(4, 64, seed=9), clustered(12_000, 64)[:6]])
    truth = ask(large, queries, k, only, library=library, exact=True)
    monkeypatch.delattr(nearest, "_compared")  # not by giving up
    found = ask(large, queries, k, only, library=library)
    assert [len(near) for near in found] == [len(near) for near in truth] == [k] * len(queries)
    assert recall(found, truth) >= 0.97
    # Of what both find, every field is the same.
    known = {near.item.video_id: near for nears in truth for near in nears}
    for near in (near for nears in found for near in nears if near.item.video_id in known):
        assert near.item == known[near.item.video_id].item
    assert all(near == sorted(near, key=lambda n: -n.similarity) for near in found)


@pytest.mark.parametrize("only", [None, SPRING])
@pytest.mark.parametrize("niches", [None, ("tech",)])
def test_the_planner_uses_the_index_whatever_the_conditions(
    large: Lab, niches: tuple[str, ...] | None, only: Only | None
) -> None:
    library = Library(CLIP, niches, DAYS)
    statement, parameters = nearest.lookup(library, 64, 20, only)
    with large.engine.connect() as connection:
        parameters |= nearest.newest(connection, library) | {"vector": nearest._written(clustered(1, 64)[0])}
        nearest.prepare(connection)
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {statement}"), parameters))
        # Prepared by the driver after a few times, and then perhaps planned once for all encoders.
        nearest.search(connection, library, clustered(20, 64), 20, only)
        planned = (
            "SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements WHERE statement LIKE '%<#>%'"
        )
        custom, generic = connection.execute(text(planned)).one()
    assert f"Index Scan using {nearest_index.index_name(CLIP, 64)}" in plan
    assert (custom > 10, generic) == (True, 0)


def test_a_condition_that_the_index_gives_up_on_is_met_by_comparing(large: Lab) -> None:
    few = Only(date(2026, 1, 5), date(2026, 1, 5))
    queries = clustered(3, 64, seed=3)
    truth = ask(large, queries, 200, few, exact=True)
    assert 0 < len(truth[0]) < 200
    assert ask(large, queries, 200, few) == truth


def test_few_vectors_get_no_index_and_are_compared(small: Lab) -> None:
    assert not nearest_index.ensure_index(small.engine, CLIP)
    assert not nearest_index.ensure_index(small.engine, "another")
    query = clustered(1, 48, seed=5)
    assert ask(small, query) == ask(small, query, exact=True)


def indices(lab: Lab) -> list[str]:
    names = "SELECT indexname FROM pg_indexes WHERE tablename = 'embeddings' AND indexname LIKE 'ix_embeddings_hnsw%'"
    with lab.engine.connect() as connection:
        return sorted(connection.scalars(text(names)))


@pytest.fixture
def fresh(open_lab: Callable[..., Lab]) -> Lab:
    """60 videos of an encoder that nobody would call so."""
    lab = open_lab(library_days=DAYS)
    fill(lab.engine, clustered(60, 8), HOSTILE)
    return lab


def test_an_encoder_may_be_called_anything(fresh: Lab) -> None:
    other = HOSTILE + "2"
    with fresh.engine.begin() as connection:
        names = connection.scalars(text("SELECT video_id FROM videos ORDER BY 1")).all()
        save_vectors(connection, other, [(name, f"{name:0>64}") for name in names], clustered(60, 5))
    for encoder, dimension in ((HOSTILE, 8), (other, 5)):
        assert nearest_index.ensure_index(fresh.engine, encoder, worthwhile=10)
        library = Library(encoder, ("tech'; --",), DAYS)
        assert ask(fresh, clustered(1, dimension), library=library) == [[]]
        library = Library(encoder, ("tech",), DAYS)
        found = ask(fresh, clustered(1, dimension), library=library)
        assert found == ask(fresh, clustered(1, dimension), library=library, exact=True)
        assert len(found[0]) == 20
    assert len(indices(fresh)) == 2
    nearest_index.drop_index(fresh.engine, HOSTILE)
    assert indices(fresh) == [nearest_index.index_name(other, 5)]


def test_an_index_is_made_once_and_what_an_interrupted_attempt_left_is_made_anew(fresh: Lab) -> None:
    assert nearest_index.ensure_index(fresh.engine, HOSTILE, worthwhile=10)
    identity = text("SELECT oid FROM pg_class WHERE relname LIKE 'ix_embeddings_hnsw%'")
    with fresh.engine.begin() as connection:
        first = connection.execute(identity).scalar_one()
    assert nearest_index.ensure_index(fresh.engine, HOSTILE, worthwhile=10)
    with fresh.engine.begin() as connection:
        assert connection.execute(identity).scalar_one() == first
        connection.execute(text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = :oid"), {"oid": first})
        assert not nearest_index.has_index(connection, HOSTILE, 8)
    query = clustered(1, 8)
    assert len(ask(fresh, query, library=Library(HOSTILE, None, DAYS))[0]) == 20  # while there is none to be used
    assert nearest_index.ensure_index(fresh.engine, HOSTILE, worthwhile=10)
    with fresh.engine.connect() as connection:
        assert nearest_index.has_index(connection, HOSTILE, 8)
        assert connection.execute(identity).scalar_one() != first


def test_an_index_that_cannot_be_made_leaves_no_setting_on_a_connection_that_others_use(
    fresh: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settings_of_all() -> set[str]:
        with ExitStack() as stack:
            several = [stack.enter_context(fresh.engine.connect()) for _ in range(4)]
            return {one.execute(text("SHOW maintenance_work_mem")).scalar_one() for one in several}

    usual = settings_of_all()
    monkeypatch.setattr(nearest_index, "_MOST_MEMORY_MB", 33)
    monkeypatch.setattr(nearest_index, "_SCHEMA", "SELECT 'no such schema'")
    with pytest.raises(psycopg.errors.InvalidSchemaName):
        nearest_index.ensure_index(fresh.engine, HOSTILE, worthwhile=10)
    assert settings_of_all() == usual
    assert len(usual) == 1


def test_an_index_that_another_process_is_making_is_left_to_it(fresh: Lab) -> None:
    with fresh.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:all, :one)"), nearest_index.lock_of(HOSTILE))
        assert not nearest_index.ensure_index(fresh.engine, HOSTILE, worthwhile=10)
        other.rollback()
        other.execute(text("SELECT pg_advisory_unlock_all()"))
    assert nearest_index.ensure_index(fresh.engine, HOSTILE, worthwhile=10)


def test_a_vector_that_is_saved_is_found_by_the_index_at_once_and_its_old_one_no_longer(fresh: Lab) -> None:
    assert nearest_index.ensure_index(fresh.engine, HOSTILE, worthwhile=10)
    away = unit(-clustered(60, 8)[10:11] * 7 + 0.1)
    library = Library(HOSTILE, None, DAYS)
    with fresh.engine.begin() as connection:
        save_vectors(connection, HOSTILE, [("v000010", f"{'v000010':0>64}")], away)
    assert ask(fresh, away, 1, library=library)[0][0].item.video_id == "v000010"
    assert ask(fresh, away, 1, library=library)[0][0].similarity == pytest.approx(1, abs=1e-6)
    with fresh.engine.begin() as connection:
        save_vectors(connection, HOSTILE, [("v000010", "of another picture")], away)
    assert "v000010" not in ids(ask(fresh, away, library=library)[0])


def test_vectors_are_saved_as_they_are_and_all_or_none(fresh: Lab) -> None:
    vectors = clustered(30, 8, seed=4)
    sources = [(f"v{n:06d}", f"digest {n}") for n in range(30)]
    stored = select(embeddings.c.video_id, embeddings.c.source_digest, embeddings.c.vector).where(
        embeddings.c.encoder == "e"
    )
    with pytest.raises(IntegrityError), fresh.engine.begin() as connection:
        save_vectors(connection, "e", [*sources[:-1], ("nobody", "d")], vectors)
    with fresh.engine.begin() as connection:
        assert connection.execute(stored).all() == []
        save_vectors(connection, "e", sources, vectors)
        save_vectors(connection, "e", sources[:1], vectors[1:2])
        save_vectors(connection, "e", [], vectors[:0])
    with fresh.engine.connect() as connection:
        rows = connection.execute(stored.order_by(embeddings.c.video_id)).all()
    assert [(row.video_id, row.source_digest) for row in rows] == sources
    read = np.array([row.vector for row in rows], np.float32)
    assert np.array_equal(read, np.concatenate([vectors[1:2], vectors[1:]]))


@pytest.mark.parametrize("niches", [None, ("tech",)])
@pytest.mark.parametrize("only", [None, SPRING, Only(since=date(2026, 1, 7)), Only(until=date(2026, 1, 6))])
def test_the_index_is_asked_for_the_same_videos_as_are_compared(
    fresh: Lab, niches: tuple[str, ...] | None, only: Only | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh.engine.begin() as connection:
        connection.execute(insert(library_exclusions), [{"video_id": "v000004"}, {"video_id": "v000035"}])
        connection.execute(text("UPDATE thumbnails SET sha256 = 'another' WHERE video_id IN ('v000008', 'v000036')"))
        connection.execute(text("UPDATE videos SET format = 'short' WHERE video_id IN ('v000010', 'v000040')"))
        connection.execute(text("UPDATE video_stats SET view_count = NULL WHERE video_id IN ('v000012', 'v000042')"))
    assert nearest_index.ensure_index(fresh.engine, HOSTILE, worthwhile=10)
    library = Library(HOSTILE, niches, DAYS)
    query = clustered(1, 8, seed=2)
    truth = ask(fresh, query, 200, only, library=library, exact=True)
    assert truth[0]
    monkeypatch.delattr(nearest, "_compared")
    assert ask(fresh, query, len(truth[0]), only, library=library) == truth
