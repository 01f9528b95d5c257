"""Promises of a library that is changed: whatever is put in, taken out, built anew, rolled back and loaded again, a search
finds what comparing with every vector finds."""

import tempfile
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError
from thumblab_core.index import Change, Item, LibraryError, NicheIndex, Only
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore

D = 12
START = datetime(2026, 11, 1, tzinfo=UTC)


def vector_of(seed: int) -> Vectors:
    """Many seeds share a vector: duplicates are nothing special."""
    return unit(np.random.default_rng(seed // 3).standard_normal((1, D)))[0]


def item_of(number: int, version: int = 0) -> Item:
    day = date(2026, 1, 1) + timedelta(days=number)
    return Item(f"v{number}", f"Title {number}.{version}", "Channel", None, float(version), None, day)


def build(numbers: list[int], factory: str = "auto") -> NicheIndex:
    vectors = np.stack([vector_of(n) for n in numbers]) if numbers else np.zeros((0, D), np.float32)
    return NicheIndex.build(vectors, [item_of(n) for n in numbers], "encoder-1", factory=factory)


def put(number: int, seed: int, version: int) -> tuple[Change, Vectors | None]:
    return Change(f"v{number}", START + timedelta(seconds=version), item_of(number, version)), vector_of(seed)


def out(number: int, version: int) -> tuple[Change, Vectors | None]:
    return Change(f"v{number}", START + timedelta(seconds=version), None), None


class Library(RuleBasedStateMachine):
    """Beside the library under test stands a dictionary of vectors, which is searched by numpy."""

    factory = "Flat"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = ReleaseStore(Path(self.folder.name))
        self.version = 0
        self.released: list[tuple[Release, dict[int, tuple[int, int]]]] = []

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(count=st.integers(0, 40))
    def begin(self, count: int) -> None:
        self.truth = {number: (number, 0) for number in range(count)}
        """Number: the seed of its vector, and the version of its item."""
        self.index = build(list(range(count)), self.factory)
        self._publish(None)

    @rule(
        changes=st.lists(
            st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(0, 200))), min_size=1, max_size=8
        )
    )
    def change(self, changes: list[tuple[int, int | None]]) -> None:
        self.version += 1
        wanted = [out(n, self.version) if seed is None else put(n, seed, self.version) for n, seed in changes]
        self.index = self.index.changed(wanted)
        for number, seed in changes:
            if seed is None:
                self.truth.pop(number, None)
            else:
                self.truth[number] = (seed, self.version)

    @rule()
    def build_anew(self) -> None:
        numbers = sorted(self.truth)
        vectors = np.stack([vector_of(self.truth[n][0]) for n in numbers]) if numbers else np.zeros((0, D), np.float32)
        items = [item_of(n, self.truth[n][1]) for n in numbers]
        self.index = NicheIndex.build(vectors, items, "encoder-1", factory=self.factory)
        self._publish(None)

    @rule(beside=st.booleans())
    def publish_and_load(self, beside: bool) -> None:
        release = self._publish(self.released[-1][0] if self.index._digests else None)
        self.index = NicheIndex.load(release, self.index if beside else None)

    @rule(back=st.integers(0, 5))
    def roll_back(self, back: int) -> None:
        release, truth = self.released[max(0, len(self.released) - 1 - back)]
        self.index, self.truth = NicheIndex.load(release, self.index), dict(truth)
        self.released.append((release, dict(truth)))

    @invariant()
    def a_search_finds_what_comparing_with_every_vector_finds(self) -> None:
        assert len(self.index) == len(self.truth)
        assert {item.video_id for item in self.index.items} == {f"v{n}" for n in self.truth}
        query = vector_of(7) + 0.5 * vector_of(100)
        for k in (1, 5, 1_000):
            found = self.index.search(query, k)
            cosines = sorted((float(vector_of(seed) @ query) for seed, _ in self.truth.values()), reverse=True)
            np.testing.assert_allclose([n.similarity for n in found], cosines[:k], atol=1e-5)
            for neighbour in found:
                number = int(neighbour.item.video_id[1:])
                seed, version = self.truth[number]
                assert neighbour.item == item_of(number, version)
                assert neighbour.similarity == pytest.approx(float(vector_of(seed) @ query), abs=1e-5)

    @invariant()
    def a_search_of_some_days_finds_those_of_these_days(self) -> None:
        only = Only(since=date(2026, 1, 11), until=date(2026, 1, 20))
        found = {n.item.video_id for n in self.index.search(vector_of(3), 1_000, only)}
        assert found == {f"v{number}" for number in self.truth if 10 <= number <= 19}

    def _publish(self, of: Release | None) -> Release:
        info = self.index.describe() | {"version": self.version, "place": len(self.released)}
        write = self.index.save if of is None else self.index.save_changes
        release = self.store.publish("index", "tech", write, info, sharing=of)
        if of is None:
            self.index = NicheIndex.load(release)
        self.released.append((release, dict(self.truth)))
        return release


class Approximate(Library):
    """All lists are probed, so an approximate index has to find everything too."""

    factory = "IDMap,IVF2,Flat"


TestLibrary = Library.TestCase
TestLibrary.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)
TestApproximate = Approximate.TestCase
TestApproximate.settings = settings(max_examples=20, stateful_step_count=10, deadline=None)


def released(store: ReleaseStore, index: NicheIndex, of: Release | None = None, **info: object) -> Release:
    write = index.save if of is None else index.save_changes
    return store.publish("index", "tech", write, index.describe() | info, sharing=of)


def test_a_change_writes_two_small_files_and_shares_the_others(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    first = released(store, build(list(range(50))))
    changed = NicheIndex.load(first).changed([put(3, 77, 1), out(4, 1), put(90, 90, 1)])
    second = released(store, changed, first)
    own = {path.name for path in second.path.iterdir() if path.stat().st_nlink == 1}
    assert own == {"manifest.json", "changes.json", "changes.npy"}
    assert second.info["count"] == 50
    assert second.info["changed_since"] == 3
    store.remove(first)  # what is shared stays with who has it
    loaded = NicheIndex.load(second)
    assert "v4" not in loaded
    assert {"v3", "v90"} <= {item.video_id for item in loaded.items}


def test_a_reader_that_has_the_base_reads_only_the_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_core.index import niche_index
    from thumblab_core.releases import release as release_module

    store = ReleaseStore(tmp_path)
    first = released(store, build(list(range(50))))
    old = NicheIndex.load(first)
    second = released(store, old.changed([put(90, 90, 1)]), first)
    read: list[str] = []
    checksum = release_module.file_checksum
    monkeypatch.setattr(release_module, "file_checksum", lambda path: read.append(path.name) or checksum(path))
    monkeypatch.setattr(niche_index, "read_base", lambda release: pytest.fail("the base was read again"))
    assert "v90" in NicheIndex.load(second, old)
    assert set(read) == {"changes.json", "changes.npy"}


def test_a_reader_of_another_base_reads_this_one(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    other, mine = released(store, build([1, 2, 3])), released(store, build([4, 5, 6]))
    loaded = NicheIndex.load(mine, NicheIndex.load(other))
    assert {item.video_id for item in loaded.items} == {"v4", "v5", "v6"}


@pytest.mark.parametrize("name", ["changes.json", "changes.npy"])
def test_a_damaged_change_is_refused(tmp_path: Path, name: str) -> None:
    store = ReleaseStore(tmp_path)
    first = released(store, build(list(range(50))))
    old = NicheIndex.load(first)
    second = released(store, old.changed([put(90, 90, 1)]), first)
    data = bytearray((second.path / name).read_bytes())
    data[-2] ^= 0x01
    (second.path / name).write_bytes(data)
    with pytest.raises(LabError, match=f"{name} does not match its checksum"):
        NicheIndex.load(second, old)


def test_changes_that_make_no_sense_are_refused_by_name(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    first = released(store, build(list(range(50))))
    changed = NicheIndex.load(first).changed([put(90, 90, 1), put(91, 91, 1)])

    def short(folder: Path) -> None:
        changed.save_changes(folder)
        np.save(folder / "changes.npy", changed.changes.vectors[:1])

    def twice(folder: Path) -> None:
        changed.save_changes(folder)
        text = (folder / "changes.json").read_text()
        (folder / "changes.json").write_text(text.replace("v91", "v90"))

    def wide(folder: Path) -> None:
        changed.save_changes(folder)
        np.save(folder / "changes.npy", np.zeros((2, D + 1), np.float32))

    for write, fault in ((short, "not float32 2x12"), (twice, "twice"), (wide, "not float32 2x12")):
        release = store.publish("index", "tech", write, changed.describe(), sharing=first)
        with pytest.raises(LibraryError, match=fault):
            NicheIndex.load(release)


def test_a_count_that_is_not_that_of_the_manifest_is_refused(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    first = released(store, build(list(range(50))))
    changed = NicheIndex.load(first).changed([put(90, 90, 1)])
    with pytest.raises(LibraryError, match="holds 51x12, not 50x12"):
        NicheIndex.load(released(store, changed, first, count=50))


def test_the_files_of_a_release_name_also_what_was_taken_out(tmp_path: Path) -> None:
    """A video that must be forgotten is still in them."""
    store = ReleaseStore(tmp_path)
    first = released(store, build([1, 2, 3]))
    second = released(store, NicheIndex.load(first).changed([out(2, 1), put(9, 9, 1)]), first)
    assert NicheIndex.video_ids(second) == {"v1", "v2", "v3", "v9"}


def test_many_changes_ask_for_a_build() -> None:
    index = build(list(range(50)))
    assert index.overdue is None
    assert index.changed([put(n, n, 1) for n in range(50)]).overdue is None
    assert "51 videos changed since its 50 videos were built, and at most 50 changes" in str(
        index.changed([put(n, n, 1) for n in range(51)]).overdue
    )


def test_a_library_of_one_takes_no_change_and_places_nothing() -> None:
    index = build([1]).changed([put(2, 2, 1)])
    assert "at most 0 changes" in str(index.overdue)
    assert not index.calibrated
    with pytest.raises(LibraryError, match="no distribution"):
        index.percentile(vector_of(1))


@pytest.mark.parametrize(
    ("factory", "faithful"),
    [("IVF632,SQfp16", True), ("IDMap,IVF30,Flat", True), ("HNSW32,Flat", True), ("IVF30_HNSW32,SQfp16", True),
     ("PCA16,Flat", False), ("OPQ8_16,IVF16,Flat", False), ("PCA16,IVF16,SQfp16", False), ("IVF30,SQ8", False)],
)  # fmt: skip
def test_similarities_are_computed_anew_where_the_index_turns_or_rounds_the_vectors(
    factory: str, faithful: bool
) -> None:
    from thumblab_core.index import Kind

    assert Kind(factory).faithful is faithful


def test_what_cannot_stand_in_the_library_is_refused_and_changes_nothing() -> None:
    index = build([1, 2, 3])
    change, vector = put(9, 9, 1)
    assert vector is not None
    for wrong, fault in (
        ((change, vector[:-1]), r"v9: a vector of \(11,\) does not belong in a library of dimension 12"),
        ((change, np.full(D, np.nan, np.float32)), "v9: the vector holds NaN or infinite numbers"),
        ((change, None), "v9: give a vector with an item"),
        ((replace(change, item=None), vector), "v9: give a vector with an item"),
    ):
        with pytest.raises(LibraryError, match=fault):
            index.changed([wrong])
    assert len(index) == 3


def test_everything_can_be_taken_out_and_put_back() -> None:
    index = build([1, 2, 3])
    empty = index.changed([out(n, 1) for n in (1, 2, 3)])
    assert (len(empty), empty.search(vector_of(1), 5)) == (0, [])
    with pytest.raises(LibraryError, match="fewer than two"):
        empty.percentile(vector_of(1))
    full = empty.changed([put(n, n, 2) for n in (1, 2, 3)])
    assert full.percentile(vector_of(1)) == pytest.approx(index.percentile(vector_of(1)))


def test_what_changed_since_a_moment_can_be_done_again_elsewhere() -> None:
    index = build([1, 2, 3]).changed([put(9, 9, 1)]).changed([out(1, 5), put(8, 8, 6)])
    missed = index.changes.since(START + timedelta(seconds=5))
    caught_up = build([1, 2, 3, 9]).changed(missed)
    assert {item.video_id for item in caught_up.items} == {"v2", "v3", "v8", "v9"}


@pytest.fixture(scope="module")
def clustered() -> Vectors:
    """12,000 vectors as an encoder makes them: clusters in few dimensions, and noise in all."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((60, 12))
    latent = centres[random.integers(60, size=12_300)] + 0.6 * random.standard_normal((12_300, 12))
    return unit(latent @ random.standard_normal((12, 48)) / 12**0.5 + 0.3 * random.standard_normal((12_300, 48)))


def test_a_large_library_is_searched_approximately_and_finds_what_its_manifest_says(
    clustered: Vectors, tmp_path: Path
) -> None:
    vectors, queries = clustered[:12_000], clustered[12_000:]
    index = NicheIndex.build(vectors, [item_of(n) for n in range(len(vectors))], "encoder-1")
    assert index.kind.factory.startswith("IVF")
    assert index.kind.recall >= index.kind.target == 0.99
    loaded = NicheIndex.load(released(ReleaseStore(tmp_path), index))
    assert loaded.kind == index.kind
    found, changed = [], loaded.changed([out(5, 1)])
    for query in queries:
        truth = {f"v{row}" for row in np.argsort(-(vectors @ query))[:200]}
        near = loaded.search(query, 200)
        assert len(near) == 200
        found.append(len({n.item.video_id for n in near} & truth) / 200)
        for neighbour in near[:3]:
            row = int(neighbour.item.video_id[1:])
            assert neighbour.similarity == pytest.approx(float(vectors[row] @ query), abs=1e-4)
        assert "v5" not in {n.item.video_id for n in changed.search(query, 200)}
    assert np.mean(found) >= 0.98, "held-out queries are a little further away than the library's own"
    print(
        f"\n  {index.kind.factory}, {index.kind.parameter}={index.kind.value}: "
        f"{index.kind.recall:.4f} of its own nearest, {np.mean(found):.4f} of those of {len(queries)} others"
    )


def test_more_neighbours_than_an_approximate_index_was_measured_for_are_searched_exactly(clustered: Vectors) -> None:
    vectors = clustered[:12_000]
    index = NicheIndex.build(vectors, [item_of(n) for n in range(len(vectors))], "encoder-1")
    near = index.search(clustered[-1], 12_001)
    assert [n.item.video_id for n in near] == [
        f"v{row}" for row in np.argsort(-(vectors @ clustered[-1]), kind="stable")
    ]


@pytest.mark.parametrize("factory", ["HNSW16", "IVF30,PQ6x4", "IDMap,IVF30,Flat", "PCA16,IVF30,SQ8", "PCA16,Flat"])
def test_any_factory_string_of_faiss_serves_with_exact_similarities(
    clustered: Vectors, tmp_path: Path, factory: str
) -> None:
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


def test_a_library_too_small_to_train_on_is_searched_exactly_and_says_why() -> None:
    index = build(list(range(20)), "IDMap,IVF100,Flat")
    assert (index.kind.factory, index.kind.recall) == ("Flat", 1.0)
    assert "cannot make IDMap,IVF100,Flat of 20 vectors" in str(index.kind.note)


def test_a_factory_string_that_misses_the_recall_is_used_and_says_so(clustered: Vectors) -> None:
    index = NicheIndex.build(clustered[:3_000], [item_of(n) for n in range(3_000)], "e", factory="PQ2x2", recall=0.99)
    assert index.kind.factory == "PQ2x2"
    assert "of the nearest, not 99.0%" in str(index.kind.note)


def test_a_search_keeps_to_its_thread_whichever_thread_that_is() -> None:
    import faiss

    index, threads = build(list(range(20))), []

    def search() -> None:
        index.search(vector_of(1), 3)
        threads.append(faiss.omp_get_max_threads())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert threads == [1]


def test_a_factory_string_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(LibraryError, match=r"FAISS knows no index 'Abacus'.*THUMBLAB_INDEX_FACTORY"):
        build(list(range(20)), "Abacus")


def test_a_recall_that_no_parameter_reaches_leaves_the_library_exact(
    clustered: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_core.index import base

    monkeypatch.setattr(base, "factory_for", lambda count: "IVF30,PQ2x2")
    monkeypatch.setattr(base.Base, "_candidates", lambda self, k: k)
    vectors = clustered[:3_000]
    index = NicheIndex.build(vectors, [item_of(n) for n in range(3_000)], "encoder-1")
    assert index.kind.exact
    assert "of the nearest, not 99.0%" in str(index.kind.note)
