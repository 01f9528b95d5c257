"""Test the approximate search of a large library.

The tests check the recall, which is the share of the true neighbours that a search finds. The tests also check which
FAISS index the search uses, and when the search is exact.
"""

import re
import threading
from pathlib import Path

import numpy as np
import pytest
from index_helpers import build, item_of, out, released, vector_of

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import IndexKind, LibraryError, NicheIndex, base, kinds
from thumblab_core.index.factories import check_factory
from thumblab_core.releases.release_store import ReleaseStore


@pytest.mark.parametrize(
    ("factory", "keeps_distances"),
    [("IVF632,SQfp16", True), ("IDMap,IVF30,Flat", True), ("HNSW32,Flat", True), ("IVF30_HNSW32,SQfp16", True),
     ("PCA16,Flat", False), ("OPQ8_16,IVF16,Flat", False), ("PCA16,IVF16,SQfp16", False), ("IVF30,SQ8", False)],
)  # fmt: skip
def test_an_index_keeps_distances_if_it_neither_transforms_nor_quantizes_the_vectors(
    factory: str, keeps_distances: bool
) -> None:
    assert IndexKind(factory).keeps_distances is keeps_distances


@pytest.fixture(scope="module")
def clustered() -> Vectors:
    """12,300 unit vectors with 48 dimensions. The vectors form clusters, as the vectors of an encoder do.

    The clusters differ in only 12 dimensions. Noise is added in all 48 dimensions.
    """
    random = np.random.default_rng(0)
    centres = random.standard_normal((60, 12))
    latent = centres[random.integers(60, size=12_300)] + 0.6 * random.standard_normal((12_300, 12))
    return unit(latent @ random.standard_normal((12, 48)) / 12**0.5 + 0.3 * random.standard_normal((12_300, 48)))


def test_a_large_library_is_searched_approximately_with_the_recall_of_its_manifest(
    clustered: Vectors, tmp_path: Path
) -> None:
    vectors, queries = clustered[:12_000], clustered[12_000:]
    index = NicheIndex.build(vectors, [item_of(n) for n in range(len(vectors))], "encoder-1")
    assert index.kind.factory.startswith("IVF")
    assert index.kind.recall >= index.kind.target == 0.99
    loaded = NicheIndex.load(released(ReleaseStore(tmp_path), index))
    assert loaded.kind == index.kind
    recalls, changed = [], loaded.changed([out(5, 1)])
    for query in queries:
        truth = {f"v{row}" for row in np.argsort(-(vectors @ query))[:200]}
        near = loaded.search(query, 200)
        assert len(near) == 200
        recalls.append(len({n.item.video_id for n in near} & truth) / 200)
        for neighbour in near[:3]:
            row = int(neighbour.item.video_id[1:])
            assert neighbour.similarity == pytest.approx(float(vectors[row] @ query), abs=1e-4)
        assert "v5" not in {n.item.video_id for n in changed.search(query, 200)}
    assert np.mean(recalls) >= 0.98, "the recall of held-out queries may be a little lower, but not this low"
    print(
        f"\n  {index.kind.factory}, {index.kind.parameter}={index.kind.value}: "
        f"recall {index.kind.recall:.4f} for its own vectors, {np.mean(recalls):.4f} for {len(queries)} other vectors"
    )


def test_a_search_for_more_neighbours_than_the_recall_was_measured_for_is_exact(clustered: Vectors) -> None:
    vectors = clustered[:12_000]
    index = NicheIndex.build(vectors, [item_of(n) for n in range(len(vectors))], "encoder-1")
    near = index.search(clustered[-1], 12_001)
    assert [n.item.video_id for n in near] == [
        f"v{row}" for row in np.argsort(-(vectors @ clustered[-1]), kind="stable")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("factory", ["HNSW16", "IVF30,PQ6x4", "IDMap,IVF30,Flat", "PCA16,IVF30,SQ8", "PCA16,Flat"])
def test_any_faiss_factory_string_returns_exact_similarities(clustered: Vectors, tmp_path: Path, factory: str) -> None:
    vectors = clustered[:3_000]
    index = NicheIndex.build(vectors, [item_of(n) for n in range(3_000)], "encoder-1", factory=factory, recall=0.9)
    assert index.kind.factory == factory
    assert 0.5 < index.kind.recall <= 1
    loaded = NicheIndex.load(released(ReleaseStore(tmp_path), index))
    query = clustered[-1]
    assert loaded.search(query, 50) == index.search(query, 50)
    for neighbour in loaded.search(query, 50):
        row = int(neighbour.item.video_id[1:])
        assert neighbour.similarity == pytest.approx(float(vectors[row] @ query), abs=1e-6)
    ids = [n.item.video_id for n in loaded.search(query, 1_000)]
    assert len(ids) == len(set(ids)) == 1_000
    assert 0 <= loaded.percentile(query) <= 100


def test_a_library_too_small_to_train_on_is_searched_exactly_with_a_note() -> None:
    index = build(list(range(20)), "IDMap,IVF100,Flat")
    assert (index.kind.factory, index.kind.recall) == ("Flat", 1.0)
    assert "cannot make the index IDMap,IVF100,Flat of 20 vectors" in str(index.kind.note)


def test_a_chosen_factory_string_that_misses_the_recall_is_used_with_a_note(clustered: Vectors) -> None:
    index = NicheIndex.build(clustered[:3_000], [item_of(n) for n in range(3_000)], "e", factory="PQ2x2", recall=0.99)
    assert index.kind.factory == "PQ2x2"
    assert "of the nearest, not 99.0%" in str(index.kind.note)


def test_a_search_uses_only_its_own_thread() -> None:
    import faiss

    index, threads = build(list(range(20))), []

    def search() -> None:
        index.search(vector_of(1), 3)
        threads.append(faiss.omp_get_max_threads())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert threads == [1]


def test_an_unknown_factory_string_is_refused() -> None:
    with pytest.raises(LibraryError, match=r"FAISS knows no index 'Abacus'.*THUMBLAB_INDEX_FACTORY"):
        build(list(range(20)), "Abacus")


@pytest.mark.parametrize(
    "factory",
    [
        "RR100000000,Flat",
        "RR4096,Flat",
        "HNSW999999999",
        "HNSW0",
        "HNSW1",
        "IVF0,Flat",
        "IVF65537,Flat",
        "IVF10(HNSW0),Flat",
        "IVF10_HNSW0,Flat",
        "PQ8x0",
        "PQ8x13",
        "OPQ8_4096,PQ8",
        "RQ0x8",
        "NSG0",
        "LSQ32x4",
        "Pad9999,Flat",
        "Flat; rm",
        "",
    ],
)
def test_a_factory_string_that_would_fill_the_memory_or_abort_is_refused(factory: str) -> None:
    # Some of these texts end the process inside FAISS, so the check itself is tested.
    with pytest.raises(LibraryError, match=re.escape(repr(factory))):
        check_factory(factory)


@pytest.mark.parametrize(
    "factory",
    ["auto", "Flat", "IDMap,IVF100,Flat", "IDMap2,HNSW32", "IVF65536_HNSW32,SQfp16", "OPQ16_64,IVF100,PQ16x4fs", "SQ8"],
)
def test_a_usual_factory_string_is_allowed(factory: str) -> None:
    check_factory(factory)


def test_a_build_checks_the_numbers_of_its_factory_string() -> None:
    with pytest.raises(LibraryError, match="IVF65537"):
        build(list(range(20)), "IVF65537,Flat")


@pytest.mark.parametrize("step", ["index_factory", "train"])
def test_an_index_that_needs_too_much_memory_is_an_error_that_names_it(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import faiss

    def too_much(*_: object) -> None:
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr(*((faiss, step) if step == "index_factory" else (faiss.IndexHNSW, step)), too_much)
    with pytest.raises(LibraryError, match=r"too little memory for the .*HNSW16,Flat"):
        kinds.trained(np.eye(8, dtype=np.float32), "HNSW16,Flat")


def test_without_a_parameter_that_reaches_the_recall_the_library_is_searched_exactly(
    clustered: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "factory_for", lambda count: "IVF30,PQ2x2")
    monkeypatch.setattr(base.Base, "_candidates", lambda self, k: k)
    vectors = clustered[:3_000]
    index = NicheIndex.build(vectors, [item_of(n) for n in range(3_000)], "encoder-1")
    assert index.kind.exact
    assert "of the nearest, not 99.0%" in str(index.kind.note)
