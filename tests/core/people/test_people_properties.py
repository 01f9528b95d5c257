"""Test random sequences of detections, clusterings and changes by a person, on a real database.

After every step, no found face is lost, and a pinned face is in the cluster into which the person put it. No face is in
a cluster from which it is banned. The faces of one picture are in different clusters. Detections and clusterings keep
all changes of the person. An undo restores exactly the person's earlier changes. A stored centroid is made of exactly
the faces in its cluster.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from face_helpers import EMBEDDER, detect, empty, face_ids, group, picture, places, said, sha
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection, Engine, func, select

from thumblab_core.database.engine import make_engine
from thumblab_core.database.tables import face_centroids, face_changes, face_clusters, faces
from thumblab_core.people.clustering import NONE, FacesToCluster, faces_for_clustering, store_clustering
from thumblab_core.people.clusters import banned_clusters, require_cluster
from thumblab_core.people.errors import FaceConflictError
from thumblab_core.people.forgetting import forget_face, forget_person
from thumblab_core.people.learned import save_centroids
from thumblab_core.people.log import MERGE, list_changes
from thumblab_core.people.moving import move, not_this_person
from thumblab_core.people.naming import label, merge, set_owner, unlabel
from thumblab_core.people.undoing import undo, unmerge

NUMBERS = st.integers(0, 10_000)
"""Random numbers. A number chooses one of n faces, clusters or merges: the item at the position `number % n`."""


def legal(given: FacesToCluster, random: np.random.Generator) -> np.ndarray:
    """Return a random clustering that obeys all pins and bans, and puts faces of one picture in different clusters."""
    codes = random.integers(NONE, len(given.keys) + 1, len(given.face_ids))
    codes[given.pinned != NONE] = given.pinned[given.pinned != NONE]
    banned = set(map(tuple, given.banned.tolist()))
    taken = {(given.pinned[row], given.pictures[row]) for row in np.flatnonzero(given.pinned != NONE)}
    for row in np.flatnonzero(given.pinned == NONE):
        place = (codes[row], given.pictures[row])
        if (row, codes[row]) in banned or place in taken:
            codes[row] = NONE
        elif codes[row] != NONE:
            taken.add(place)
    return codes


class People(RuleBasedStateMachine):
    """Random steps, each in its own transaction, and the rules that must be true after each step."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.before: list[dict[str, Any] | None] = []
        self.made_of: dict[str, set[str]] = {}
        with self.engine.begin() as connection:
            empty(connection)
            pictures = [picture(name, 1 + ord(name) % 2) for name in "abcde"]
            ids = detect(connection, *pictures)
            group(connection, ids[::3], ids[1::3])
            self.found.update(ids)
            self.running: FacesToCluster = faces_for_clustering(connection, EMBEDDER)

    @contextmanager
    def step(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def by_a_person(self) -> Iterator[Connection]:
        """Run a change by a person. If the change is accepted and has an effect, record the state before the change."""
        count = select(func.count()).select_from(face_changes)
        try:
            with self.step() as connection:
                before, logged = said(connection), connection.scalar(count)
                yield connection
                if connection.scalar(count) != logged:
                    self.before.append(before)
                else:
                    assert said(connection) == before
        except FaceConflictError:
            with self.step() as connection:
                assert said(connection) == before

    @contextmanager
    def by_the_lab(self) -> Iterator[Connection]:
        """Run a step of the lab, and check that the step keeps all changes of the person."""
        with self.step() as connection:
            before = said(connection)
            yield connection
            assert said(connection) == before

    @staticmethod
    def clusters(connection: Connection) -> list[str]:
        return list(connection.scalars(select(face_clusters.c.cluster_key).order_by(face_clusters.c.cluster_key)))

    @rule(names=st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=2, unique=True))
    def detects(self, names: list[str]) -> None:
        with self.by_the_lab() as connection:
            detect(connection, *(picture(name, 1 + ord(name) % 2) for name in names))
            self.found.update(face_ids(connection, *map(sha, names)))

    @rule(seed=NUMBERS)
    def clusters_at_once(self, seed: int) -> None:
        with self.by_the_lab() as connection:
            given = faces_for_clustering(connection, EMBEDDER)
            codes = legal(given, np.random.default_rng(seed))
            stored = store_clustering(connection, given, codes, np.full(len(codes), 0.5))
            assert stored.left_out == 0
            keys = dict(enumerate(given.keys)) | dict(stored.new)
            wanted = {
                face: keys[code] for face, code in zip(given.face_ids, codes.tolist(), strict=True) if code != NONE
            }
            assert {face: key for face, (key, _) in places(connection).items()} == wanted

    @rule(seed=NUMBERS)
    def ends_a_clustering_that_began_earlier(self, seed: int) -> None:
        with self.by_the_lab() as connection:
            codes = legal(self.running, np.random.default_rng(seed))
            store_clustering(connection, self.running, codes, np.full(len(codes), 0.5))
            self.running = faces_for_clustering(connection, EMBEDDER)

    @rule()
    def stores_centroids(self) -> None:
        with self.by_the_lab() as connection:
            where = {face: key for face, (key, _) in places(connection).items()}
            self.made_of = {key: {face for face in where if where[face] == key} for key in where.values()}
            vector = np.ones((1, 8), np.float32) / np.sqrt(8)
            save_centroids(connection, EMBEDDER, {key: (vector, [len(made)]) for key, made in self.made_of.items()})

    @rule(at=NUMBERS)
    def forgets_a_face(self, at: int) -> None:
        if some := sorted(self.found):
            with self.step() as connection:
                forget_face(connection, some[at % len(some)])
            self.found.discard(some[at % len(some)])
            # The records of the person's changes to this face are deleted, so an undo no longer restores the states in
            # `before`.
            self.before = [None] * len(self.before)

    @rule(at=NUMBERS)
    def forgets_a_person(self, at: int) -> None:
        with self.step() as connection:
            if keys := self.clusters(connection):
                self.found.difference_update(forget_person(connection, keys[at % len(keys)]).face_ids)
            # The record of an unmerge may be deleted with the person. In this case, the person can undo neither the
            # unmerge nor the merge that it reverted.
            reverts = select(face_changes.c.reverts).where(face_changes.c.reverts.is_not(None))
            left = face_changes.c.undone_at.is_(None) | face_changes.c.change_id.in_(reverts)
            self.before = [None] * len(connection.execute(select(face_changes).where(left)).all())

    @rule(at=NUMBERS, name=st.sampled_from(["Ada", "ada", "Bob", "Eve"]))
    def names_a_cluster(self, at: int, name: str) -> None:
        with self.by_a_person() as connection:
            if keys := self.clusters(connection):
                named = label(connection, keys[at % len(keys)], name)
                assert named.name.casefold() == name.casefold()

    @rule(at=NUMBERS, owner=st.booleans())
    def says_who_is_the_owner(self, at: int, owner: bool) -> None:
        with self.by_a_person() as connection:
            if keys := self.clusters(connection):
                assert set_owner(connection, keys[at % len(keys)], owner).is_owner == owner

    @rule(at=NUMBERS)
    def takes_a_name(self, at: int) -> None:
        with self.by_a_person() as connection:
            if keys := self.clusters(connection):
                assert unlabel(connection, keys[at % len(keys)]).name is None

    @rule(at=NUMBERS, into=NUMBERS)
    def merges(self, at: int, into: int) -> None:
        with self.by_a_person() as connection:
            if keys := self.clusters(connection):
                one, other = keys[at % len(keys)], keys[into % len(keys)]
                roots = {require_cluster(connection, each).key for each in (one, other)}
                both = {face for face, (key, _) in places(connection).items() if key in roots}
                merged = merge(connection, one, other)
                assert {face for face, (key, _) in places(connection).items() if key == merged.key} == both

    @rule(at=NUMBERS)
    def takes_a_merge_back(self, at: int) -> None:
        with self.by_a_person() as connection:
            if merges := list_changes(connection, kind=MERGE):
                merged = merges[at % len(merges)]
                back = unmerge(connection, merged.change_id)
                if not merged.reverted:
                    assert back.key == merged.other_key

    @rule(at=st.lists(NUMBERS, min_size=1, max_size=3), to=st.none() | NUMBERS)
    def moves_faces(self, at: list[int], to: int | None) -> None:
        with self.by_a_person() as connection:
            keys, some = self.clusters(connection), sorted(self.found)
            if some and (to is None or keys):
                chosen = [some[each % len(some)] for each in at]
                target = move(connection, chosen, None if to is None else keys[to % len(keys)])
                assert {places(connection)[face] for face in chosen} == {(target.key, True)}

    @rule(at=NUMBERS)
    def bans_a_face(self, at: int) -> None:
        with self.by_a_person() as connection:
            if some := sorted(self.found):
                chosen = some[at % len(some)]
                cluster = not_this_person(connection, chosen)
                assert (chosen, cluster.key) in banned_clusters(connection)

    @precondition(lambda self: self.before)
    @rule()
    def takes_the_last_change_back(self) -> None:
        with self.step() as connection:
            undone = undo(connection)
            before = self.before.pop()
            assert before is None or (undone.conflict, said(connection)) == (None, before)

    @invariant()
    def nothing_is_lost_or_broken(self) -> None:
        with self.step() as connection:
            rows = {row.face_id: row.sha256 for row in connection.execute(select(faces.c.face_id, faces.c.sha256))}
            where = {face: key for face, (key, _) in places(connection).items()}
            assert set(rows) == self.found
            assert len({(key, rows[face]) for face, key in where.items()}) == len(where)
            assert not set(where.items()) & banned_clusters(connection)
            assert not set(where.values()) & set(said(connection)["merges"])
            for row in connection.execute(select(face_centroids)):
                members = {face for face, key in where.items() if key == row.cluster_key}
                assert members == self.made_of[row.cluster_key]
                assert row.face_count == len(members)


@pytest.mark.slow
def test_any_order_of_steps_keeps_the_changes_of_a_person_and_loses_no_face(
    migrated_database: Callable[[], str],
) -> None:
    People.engine = make_engine(migrated_database())
    chosen = settings(
        max_examples=12,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    try:
        run_state_machine_as_test(People, settings=chosen)
    finally:
        People.engine.dispose()
