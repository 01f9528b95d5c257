"""Test the search after random sequences of changes, rebuilds, rollbacks and loads.

A search must find the same videos as a comparison of the query with every vector.
"""

import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from index_helpers import START, D, build, item_of, out, put, released, vector_of

from thumblab_core.errors import LabError
from thumblab_core.index import LibraryError, NicheIndex, PublishedBetween, niche_index
from thumblab_core.releases import release as release_module
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore


class Library(RuleBasedStateMachine):
    """A Hypothesis state machine that changes an index and the dictionary `truth` in the same way.

    A search of the index must find what numpy finds among all vectors of `truth`.
    """

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
        """The seed of each video's vector and the version of its title, by the number of the video."""
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
    def rebuild(self) -> None:
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
            neighbours = self.index.search(query, k)
            cosines = sorted((float(vector_of(seed) @ query) for seed, _ in self.truth.values()), reverse=True)
            np.testing.assert_allclose([n.similarity for n in neighbours], cosines[:k], atol=1e-5)
            for neighbour in neighbours:
                number = int(neighbour.item.video_id[1:])
                seed, version = self.truth[number]
                assert neighbour.item == item_of(number, version)
                assert neighbour.similarity == pytest.approx(float(vector_of(seed) @ query), abs=1e-5)

    @invariant()
    def a_search_limited_to_days_finds_the_videos_of_these_days(self) -> None:
        only = PublishedBetween(since=date(2026, 1, 11), until=date(2026, 1, 20))
        video_ids = {n.item.video_id for n in self.index.search(vector_of(3), 1_000, only)}
        assert video_ids == {f"v{number}" for number in self.truth if 10 <= number <= 19}

    def _publish(self, of: Release | None) -> Release:
        info = self.index.describe() | {"version": self.version, "place": len(self.released)}
        write = self.index.save if of is None else self.index.save_changes
        release = self.store.publish("index", "tech", write, info, sharing=of)
        if of is None:
            self.index = NicheIndex.load(release)
        self.released.append((release, dict(self.truth)))
        return release


class Approximate(Library):
    """The state machine `Library` with an approximate index.

    An approximate index divides its vectors into lists, and usually searches only some of the lists. The index of this
    test has two lists, and FAISS searches both lists. A search must therefore find what numpy finds, as in `Library`.
    """

    factory = "IDMap,IVF2,Flat"


TestLibrary = Library.TestCase
TestLibrary.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
TestApproximate = Approximate.TestCase
TestApproximate.settings = settings(max_examples=8, stateful_step_count=10, deadline=None)


@pytest.mark.heavy
class TestLibraryLonger(TestLibrary):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=40, stateful_step_count=12, deadline=None)


@pytest.mark.heavy
class TestApproximateLonger(TestApproximate):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=20, stateful_step_count=10, deadline=None)


def test_a_change_writes_two_small_files_and_shares_the_others(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    first = released(store, build(list(range(50))))
    changed = NicheIndex.load(first).changed([put(3, 77, 1), out(4, 1), put(90, 90, 1)])
    second = released(store, changed, first)
    own = {path.name for path in second.path.iterdir() if path.stat().st_nlink == 1}
    assert own == {"manifest.json", "changes.json", "changes.npy"}
    assert second.info["count"] == 50
    assert second.info["changed_since"] == 3
    store.remove(first)  # The second release keeps the files that both releases shared.
    loaded = NicheIndex.load(second)
    assert "v4" not in loaded
    assert {"v3", "v90"} <= {item.video_id for item in loaded.items}


def test_a_reader_that_has_the_base_reads_only_the_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_reader_that_has_another_base_reads_the_whole_release(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    other, release = released(store, build([1, 2, 3])), released(store, build([4, 5, 6]))
    loaded = NicheIndex.load(release, NicheIndex.load(other))
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


def test_inconsistent_changes_are_refused_with_the_reason(tmp_path: Path) -> None:
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


def test_a_count_that_differs_from_the_manifest_is_refused(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    first = released(store, build(list(range(50))))
    changed = NicheIndex.load(first).changed([put(90, 90, 1)])
    with pytest.raises(LibraryError, match="holds vectors of 51x12, but its manifest says 50x12"):
        NicheIndex.load(released(store, changed, first, count=50))


def test_video_ids_includes_videos_that_were_taken_out(tmp_path: Path) -> None:
    """Check that `video_ids` also returns videos that a change took out of the index.

    The files of the release still contain these videos. If the data of a removed video must be deleted, the release
    must be deleted too. `video_ids` must therefore return this video.
    """
    store = ReleaseStore(tmp_path)
    first = released(store, build([1, 2, 3]))
    second = released(store, NicheIndex.load(first).changed([out(2, 1), put(9, 9, 1)]), first)
    assert NicheIndex.video_ids(second) == {"v1", "v2", "v3", "v9"}


def test_too_many_changes_make_a_rebuild_overdue() -> None:
    index = build(list(range(50)))
    assert index.overdue is None
    assert index.changed([put(n, n, 1) for n in range(50)]).overdue is None
    assert "51 videos changed since the library was built of 50 videos, and at most 50 changes" in str(
        index.changed([put(n, n, 1) for n in range(51)]).overdue
    )


def test_a_library_of_one_video_takes_no_change_and_has_no_percentile() -> None:
    index = build([1]).changed([put(2, 2, 1)])
    assert "at most 0 changes" in str(index.overdue)
    assert not index.calibrated
    with pytest.raises(LibraryError, match="fewer than two thumbnails"):
        index.percentile(vector_of(1))


def test_an_invalid_change_is_refused_and_changes_nothing() -> None:
    index = build([1, 2, 3])
    change, vector = put(9, 9, 1)
    assert vector is not None
    for wrong, fault in (
        ((change, vector[:-1]), r"v9: a vector of \(11,\) does not belong in a library of dimension 12"),
        ((change, np.full(D, np.nan, np.float32)), "v9: the vector holds NaN or infinite numbers"),
        ((change, None), "v9: give a vector if the change has an item"),
        ((replace(change, item=None), vector), "v9: give a vector if the change has an item"),
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


def test_changes_since_a_moment_can_be_applied_to_another_build() -> None:
    index = build([1, 2, 3]).changed([put(9, 9, 1)]).changed([out(1, 5), put(8, 8, 6)])
    missed = index.changes.since(START + timedelta(seconds=5))
    caught_up = build([1, 2, 3, 9]).changed(missed)
    assert {item.video_id for item in caught_up.items} == {"v2", "v3", "v8", "v9"}
