"""Test the HNSW indexes of pgvector, through which the lab searches a library without comparing all vectors.

The lab makes one index for each encoder. If an index is incomplete, the lab makes it again. If a vector is saved after
the index was made, a search through the index finds this vector immediately.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import numpy as np
import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from stored_library import DAYS, clustered, fill, search_library, video_ids_of

from thumblab_core.database import nearest_index
from thumblab_core.database.nearest import Library
from thumblab_core.database.tables import embeddings
from thumblab_core.database.vectors import save_vectors
from thumblab_core.encoders.protocol import unit
from thumblab_pipelines.lab import Lab

HOSTILE = """x') ; DROP TABLE embeddings; -- "'%s %(a)s :a {dimension} \\ é"""
TECH = Library(HOSTILE, "tech", DAYS)

search = partial(search_library, library=TECH)


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    """A lab with the vectors of 60 videos. The name of their encoder contains SQL and special characters."""
    lab = open_lab(library_days=DAYS)
    fill(lab.engine, clustered(60, 8), HOSTILE)
    return lab


def index_names(lab: Lab) -> list[str]:
    names = "SELECT indexname FROM pg_indexes WHERE tablename = 'embeddings' AND indexname LIKE 'ix_embeddings_hnsw%'"
    with lab.engine.connect() as connection:
        return sorted(connection.scalars(text(names)))


def test_an_encoder_may_have_any_name(lab: Lab) -> None:
    other = HOSTILE + "2"
    with lab.engine.begin() as connection:
        names = connection.scalars(text("SELECT video_id FROM videos ORDER BY 1")).all()
        save_vectors(connection, other, [(name, f"{name:0>64}") for name in names], clustered(60, 5))
    for encoder, dimension in ((HOSTILE, 8), (other, 5)):
        assert nearest_index.ensure_index(lab.engine, encoder, worthwhile=10)
        query = clustered(1, dimension)
        assert search(lab, query, library=Library(encoder, "tech'; --", DAYS)) == [[]]
        library = Library(encoder, "tech", DAYS)
        neighbours = search(lab, query, library=library)
        assert neighbours == search(lab, query, library=library, exact=True)
        assert len(neighbours[0]) == 20
    expected = [nearest_index.index_name(HOSTILE, 8), nearest_index.index_name(other, 5)]
    assert index_names(lab) == sorted(expected)


def test_an_index_is_made_once_and_made_again_after_an_interrupted_attempt(lab: Lab) -> None:
    assert nearest_index.ensure_index(lab.engine, HOSTILE, worthwhile=10)
    identity = text("SELECT oid FROM pg_class WHERE relname LIKE 'ix_embeddings_hnsw%'")
    with lab.engine.begin() as connection:
        first = connection.execute(identity).scalar_one()
    assert nearest_index.ensure_index(lab.engine, HOSTILE, worthwhile=10)
    with lab.engine.begin() as connection:
        assert connection.execute(identity).scalar_one() == first
        connection.execute(text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = :oid"), {"oid": first})
        assert not nearest_index.has_index(connection, HOSTILE, 8)
    assert len(search(lab, clustered(1, 8))[0]) == 20  # The search works without a usable index.
    assert nearest_index.ensure_index(lab.engine, HOSTILE, worthwhile=10)
    with lab.engine.connect() as connection:
        assert nearest_index.has_index(connection, HOSTILE, 8)
        assert connection.execute(identity).scalar_one() != first


def test_a_failed_attempt_leaves_no_setting_on_a_shared_connection(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def settings_of_four_connections() -> set[str]:
        with ExitStack() as stack:
            connections = [stack.enter_context(lab.engine.connect()) for _ in range(4)]
            return {c.execute(text("SHOW maintenance_work_mem")).scalar_one() for c in connections}

    usual = settings_of_four_connections()
    monkeypatch.setattr(nearest_index, "_MOST_MEMORY_MB", 33)
    monkeypatch.setattr(nearest_index, "_SCHEMA", "SELECT 'no such schema'")
    with pytest.raises(psycopg.errors.InvalidSchemaName):
        nearest_index.ensure_index(lab.engine, HOSTILE, worthwhile=10)
    assert settings_of_four_connections() == usual
    assert len(usual) == 1


def test_an_index_that_another_process_is_making_is_left_to_that_process(lab: Lab) -> None:
    with lab.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:all, :one)"), nearest_index.lock_of(HOSTILE))
        assert not nearest_index.ensure_index(lab.engine, HOSTILE, worthwhile=10)
        other.rollback()
        other.execute(text("SELECT pg_advisory_unlock_all()"))
    assert nearest_index.ensure_index(lab.engine, HOSTILE, worthwhile=10)


def test_the_index_finds_a_saved_vector_at_once_and_a_replaced_vector_no_longer(lab: Lab) -> None:
    assert nearest_index.ensure_index(lab.engine, HOSTILE, worthwhile=10)
    distant = unit(-clustered(60, 8)[10:11] * 7 + 0.1)
    with lab.engine.begin() as connection:
        save_vectors(connection, HOSTILE, [("v000010", f"{'v000010':0>64}")], distant)
    assert search(lab, distant, 1)[0][0].item.video_id == "v000010"
    assert search(lab, distant, 1)[0][0].similarity == pytest.approx(1, abs=1e-6)
    with lab.engine.begin() as connection:
        save_vectors(connection, HOSTILE, [("v000010", "of another picture")], distant)
    assert "v000010" not in video_ids_of(search(lab, distant)[0])


def test_vectors_are_saved_exactly_and_all_at_once(lab: Lab) -> None:
    vectors = clustered(30, 8, seed=4)
    sources = [(f"v{n:06d}", f"digest {n}") for n in range(30)]
    stored = select(embeddings.c.video_id, embeddings.c.source_digest, embeddings.c.vector).where(
        embeddings.c.encoder == "e"
    )
    with pytest.raises(IntegrityError), lab.engine.begin() as connection:
        save_vectors(connection, "e", [*sources[:-1], ("nobody", "d")], vectors)
    with lab.engine.begin() as connection:
        assert connection.execute(stored).all() == []
        save_vectors(connection, "e", sources, vectors)
        save_vectors(connection, "e", sources[:1], vectors[1:2])
        save_vectors(connection, "e", [], vectors[:0])
    with lab.engine.connect() as connection:
        rows = connection.execute(stored.order_by(embeddings.c.video_id)).all()
    assert [(row.video_id, row.source_digest) for row in rows] == sources
    read = np.array([row.vector for row in rows], np.float32)
    assert np.array_equal(read, np.concatenate([vectors[1:2], vectors[1:]]))
