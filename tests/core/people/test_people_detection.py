"""Test how the lab records the faces that it has found, and which pictures it must still search."""

import numpy as np
import pytest
from face_helpers import DETECTOR, EMBEDDER, GivenFace, detect, face, give, group, picture, places, sha, show
from sqlalchemy import Connection, delete, func, select

from thumblab_core.database.tables import face_embeddings, face_pictures, faces, people_pictures, videos
from thumblab_core.errors import LabError
from thumblab_core.people.detection import record_detection
from thumblab_core.people.moving import move
from thumblab_core.people.pictures import (
    Scope,
    delete_unshown,
    scope_of,
    wanted_pictures,
)
from thumblab_core.people.reading import faces_of_picture
from thumblab_core.people.records import SearchedPicture
from thumblab_core.releases.release_store import ReleaseStore

AN_IMAGE = sha("one")


def rows(connection: Connection, table: object) -> list[object]:
    return sorted(map(tuple, connection.execute(select(table))), key=str)  # type: ignore[call-overload]


def test_recording_the_same_again_changes_no_face(connection: Connection) -> None:
    pictures = [picture("one", 2), picture("two", 0)]
    ids = detect(connection, *pictures)
    before = [rows(connection, table) for table in (faces, face_embeddings)]
    again = record_detection(connection, pictures, DETECTOR, EMBEDDER)
    assert (again.new, again.known, again.pictures) == (0, 2, 2)
    assert [rows(connection, table) for table in (faces, face_embeddings)] == before
    assert len(ids) == 2
    assert wanted_pictures(connection, DETECTOR, EMBEDDER, Scope()) == []


def test_a_face_has_its_box_landmarks_and_unit_vector(connection: Connection) -> None:
    given = GivenFace((-0.1, 0.25, 0.5, 0.75), np.array([3.0, 4.0], np.float32), confidence=0.75, quality=0.5)
    detect(connection, SearchedPicture(AN_IMAGE, [given]))
    (found,) = faces_of_picture(connection, AN_IMAGE)
    assert found.box == (0.0, 0.25, 0.5, 0.75)
    assert found.landmarks == pytest.approx(np.linspace(-0.1, 0.5, 10))
    assert (found.confidence, found.quality, found.detector) == (0.75, 0.5, DETECTOR)
    vector = connection.scalar(select(face_embeddings.c.vector))
    assert vector == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("vector", [None, np.zeros(8, np.float32), np.full(8, np.nan, np.float32)])
def test_a_face_without_usable_vector_is_kept_and_not_tried_again(
    connection: Connection, vector: np.ndarray | None
) -> None:
    bad = GivenFace((0.5, 0.5, 0.6, 0.6), vector)
    detect(connection, SearchedPicture(AN_IMAGE, [face(), bad]))
    problems = sorted(connection.scalars(select(face_embeddings.c.problem)), key=str)
    assert problems == [None, "the network gives no usable vector of this face"]
    assert wanted_pictures(connection, DETECTOR, EMBEDDER, Scope()) == []


def test_a_picture_is_wanted_by_another_detector_or_embedder(connection: Connection) -> None:
    detect(connection, picture("one"), picture("two", 0))
    show(connection, "v", sha("shown"))
    assert wanted_pictures(connection, DETECTOR, EMBEDDER, Scope()) == [sha("shown")]
    assert set(wanted_pictures(connection, "other", EMBEDDER, Scope())) == {sha("one"), sha("two"), sha("shown")}
    # The picture `two` has no faces, so another embedder does not need this picture.
    assert set(wanted_pictures(connection, DETECTOR, "other", Scope())) == {sha("one"), sha("shown")}
    assert len(wanted_pictures(connection, "other", EMBEDDER, Scope(), limit=2)) == 2


def test_a_picture_that_cannot_be_searched_is_not_wanted_again(connection: Connection) -> None:
    detect(connection, SearchedPicture(AN_IMAGE, problem="the file is damaged"))
    row = connection.execute(select(face_pictures)).one()
    assert (row.face_count, row.problem) == (None, "the file is damaged")
    assert wanted_pictures(connection, DETECTOR, EMBEDDER, Scope()) == []


def test_a_problem_keeps_the_faces_that_were_found_before(connection: Connection) -> None:
    detect(connection, picture("one", 2))
    vectors = rows(connection, face_embeddings)
    record_detection(connection, [SearchedPicture(AN_IMAGE, problem="the file is damaged")], "other", EMBEDDER)
    assert rows(connection, face_embeddings) == vectors
    assert connection.scalar(select(func.count()).select_from(faces)) == 2


def test_the_scope_limits_pictures_to_a_niche_and_to_channels(connection: Connection) -> None:
    show(connection, "a", sha("a"), "UC1", "tech")
    show(connection, "b", sha("b"), "UC2", "tech")
    show(connection, "c", sha("c"), "UC2", "food")
    give(connection, "given")

    def wanted(scope: Scope) -> set[str]:
        return set(wanted_pictures(connection, DETECTOR, EMBEDDER, scope))

    assert wanted(Scope()) == {sha(name) for name in ("a", "b", "c", "given")}
    assert wanted(Scope("tech", given=False)) == {sha("a"), sha("b")}
    assert wanted(Scope(channels=("UC2",), given=False)) == {sha("b"), sha("c")}
    assert wanted(Scope(channels=())) == {sha("given")}


def test_own_channels_are_those_with_an_adapter_and_off_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters

    releases = ReleaseStore(tmp_path_factory.mktemp("releases"))
    ChannelAdapters(releases).publish(ChannelAdapterInfo("UC_own", "Own", "a model", 1, None), None, 3, ["v"], {})
    assert scope_of("own", releases) == Scope(None, ("UC_own",))
    assert scope_of("own", releases, "tech") == Scope("tech", ("UC_own",), given=False)
    assert scope_of("all", releases) == Scope()
    with pytest.raises(LabError, match="THUMBLAB_PEOPLE=own"):
        scope_of("off", releases)


def test_another_detector_keeps_the_id_and_the_cluster_of_a_face(connection: Connection) -> None:
    first, second = detect(connection, picture("one", 2))
    (key,) = group(connection, [first])
    moved = GivenFace((0.01, 0.21, 0.08, 0.4), np.ones(8, np.float32))
    recorded = record_detection(connection, [SearchedPicture(AN_IMAGE, [moved])], "other", "other embedder")
    assert (recorded.known, recorded.new, recorded.replaced) == (1, 0, 1)
    (found,) = faces_of_picture(connection, AN_IMAGE)
    assert (found.face_id, found.cluster_key, found.detector) == (first, key, "other")
    assert found.box == moved.box
    # The new detector finds the first face at another place, so the old vector of this face is deleted. The second
    # face, which the new detector does not find, is deleted too.
    assert set(connection.scalars(select(face_embeddings.c.embedder))) == {"other embedder"}
    assert second != found.face_id


def test_a_face_that_a_person_put_somewhere_survives_a_detector_that_misses_it(connection: Connection) -> None:
    (first,) = detect(connection, picture("one"))
    cluster = move(connection, [first])
    recorded = record_detection(connection, [SearchedPicture(AN_IMAGE)], "other", "other embedder")
    assert recorded.replaced == 0
    assert places(connection) == {first: (cluster.key, True)}
    assert wanted_pictures(connection, "other", "other embedder", Scope()) == []


def test_a_picture_that_nothing_shows_is_left_out(connection: Connection) -> None:
    recorded = record_detection(connection, [picture("one")], DETECTOR, EMBEDDER)
    assert (recorded.pictures, recorded.gone) == (0, 1)
    assert rows(connection, face_pictures) == rows(connection, faces) == []


def test_faces_go_with_the_last_picture_that_shows_them(connection: Connection) -> None:
    show(connection, "a", sha("one"))
    show(connection, "b", sha("one"))
    give(connection, "one")
    record_detection(connection, [picture("one")], DETECTOR, EMBEDDER)
    for video in ("a", "b"):
        connection.execute(delete(videos).where(videos.c.video_id == video))
        assert delete_unshown(connection, [sha("one")]) == 0
    connection.execute(delete(people_pictures))
    assert delete_unshown(connection, [sha("one")]) == 1
    assert rows(connection, face_pictures) == rows(connection, faces) == rows(connection, face_embeddings) == []


def test_faces_outside_a_scope_can_be_deleted(connection: Connection) -> None:
    show(connection, "a", sha("a"), "UC1")
    show(connection, "b", sha("b"), "UC2")
    record_detection(connection, [picture("a"), picture("b")], DETECTOR, EMBEDDER)
    assert delete_unshown(connection, scope=Scope(channels=("UC1",))) == 1
    assert list(connection.scalars(select(faces.c.sha256))) == [sha("a")]
