"""Test the lists of clusters, faces and pictures, and the statistics of people."""

import pytest
from face_helpers import DETECTOR, EMBEDDER, GivenFace, detect, face, face_ids, group, picture, sha, show
from sqlalchemy import Connection, insert, text, update

from thumblab_core.database.pictures import named_pictures
from thumblab_core.database.tables import thumbnail_versions, thumbnails
from thumblab_core.errors import LabError
from thumblab_core.people.detection import record_detection
from thumblab_core.people.errors import UnknownFaceError
from thumblab_core.people.figures import people_statistics
from thumblab_core.people.moving import not_this_person
from thumblab_core.people.naming import label, merge
from thumblab_core.people.pictures import Scope
from thumblab_core.people.reading import (
    faces_in_none,
    faces_of_cluster,
    faces_of_picture,
    list_clusters,
    pictures_of_person,
    read_cluster,
    read_face,
)
from thumblab_core.people.records import SearchedPicture


def test_clusters_are_listed_with_the_largest_first(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "abcdefg"))
    one, two, three = group(connection, ids[:1], ids[1:3], ids[3:6])
    label(connection, one, "Ada")
    label(connection, three, "Bob")
    page = list_clusters(connection)
    assert [(each.key, each.faces, each.pinned) for each in page.clusters] == [(three, 3, 3), (two, 2, 0), (one, 1, 1)]
    assert [each.key for each in list_clusters(connection, kind="person").clusters] == [three, one]
    assert [each.key for each in list_clusters(connection, kind="unknown").clusters] == [two]
    part = list_clusters(connection, limit=1, offset=1)
    assert (part.total, [each.key for each in part.clusters]) == (3, [two])
    assert [each.face_id for each in faces_in_none(connection)] == ids[6:]


def test_a_cluster_shows_the_faces_of_best_quality_first(connection: Connection) -> None:
    qualities = [0.1, 0.9, 0.5]
    ids = detect(
        connection,
        *(SearchedPicture(sha(str(quality)), [face(quality=quality)]) for quality in qualities),
    )
    (key,) = group(connection, ids)
    page = faces_of_cluster(connection, key, limit=2)
    assert [each.quality for each in page.faces] == [0.9, 0.5]
    assert page.total == 3
    assert page.cluster.samples[0] == page.faces[0].face_id
    assert len(page.cluster.samples) == 3
    assert read_face(connection, ids[0]).cluster_id == f"unknown_cluster_{key}"


def test_a_person_stays_listed_without_faces_and_an_unknown_cluster_does_not(connection: Connection) -> None:
    ids = detect(connection, *(picture(name) for name in "ab"))
    one, two = group(connection, ids[:1], ids[1:])
    label(connection, one, "Ada")
    for each in ids:
        not_this_person(connection, each)
    assert [(each.key, each.faces) for each in list_clusters(connection).clusters] == [(one, 0)]
    assert read_cluster(connection, two).faces == 0


@pytest.mark.parametrize("part", [{"limit": 0}, {"limit": 1_001}, {"limit": 10**30}, {"offset": -1}, {"offset": 2**40}])
def test_a_huge_or_negative_part_of_a_list_is_refused(connection: Connection, part: dict[str, int]) -> None:
    with pytest.raises(LabError, match=r"limit|offset"):
        list_clusters(connection, **part)
    with pytest.raises(LabError, match="is not a kind of cluster"):
        list_clusters(connection, kind="everyone")


def test_unknown_faces_and_pictures_are_refused(connection: Connection) -> None:
    for refused in (
        lambda: read_face(connection, "x"),
        lambda: faces_of_picture(connection, sha("x")),
        lambda: pictures_of_person(connection, "clu_" + "0" * 12),
        lambda: faces_of_cluster(connection, "person_x"),
    ):
        with pytest.raises(UnknownFaceError):
            refused()


def test_the_faces_of_a_picture_are_listed_from_left_to_right(connection: Connection) -> None:
    right = GivenFace((0.7, 0.1, 0.9, 0.4), face().vector)
    detect(connection, SearchedPicture(sha("both"), [right, face(2)]))
    assert [each.box[0] for each in faces_of_picture(connection, sha("both"))] == [0.2, 0.7]
    detect(connection, picture("empty", 0))
    assert faces_of_picture(connection, sha("empty")) == ()


def test_the_pictures_of_a_person_name_every_video_that_shows_or_showed_them(connection: Connection) -> None:
    show(connection, "now", sha("a"))
    show(connection, "earlier", sha("other"))
    seen = {"video_id": "earlier", "sha256": sha("a"), "title": "t"}
    connection.execute(insert(thumbnail_versions).values(first_seen=text("now()"), last_seen=text("now()"), **seen))
    ids = detect(connection, picture("a"), picture("given"))
    one, two = group(connection, ids[:1], ids[1:])
    key = label(connection, one, "Ada").key
    merge(connection, two, one)
    found = pictures_of_person(connection, key)
    assert {(each.video_id, each.current) for each in found} == {("now", True), ("earlier", False), (None, False)}
    assert {each.sha256 for each in found} == {sha("a"), sha("given")}
    assert {each.file_name for each in found} == {None, "picture.jpg"}
    assert next(each for each in found if each.video_id == "now").title == "Title of now"


def test_given_pictures_are_kept_in_the_image_store(connection: Connection) -> None:
    detect(connection, picture("given"))
    assert sha("given") in named_pictures(connection)


def test_the_statistics_count_faces_and_shares_of_current_thumbnails(connection: Connection) -> None:
    for name in "abcd":
        show(connection, name, sha(name), "UC1" if name in "abc" else "UC2")
    searched = [picture("a", 2), picture("b"), picture("c", 0), picture("d")]
    record_detection(connection, searched, DETECTOR, EMBEDDER)
    first = [face_ids(connection, sha(name))[0] for name in "abd"]
    one, _ = group(connection, first[:2], first[2:])
    label(connection, one, "Ada")
    found = people_statistics(connection)
    assert (found.pictures, found.pictures_with_faces, found.faces) == (4, 3, 4)
    assert (found.faces_in_people, found.faces_in_unknown_clusters, found.faces_in_none) == (2, 1, 1)
    assert (found.people, found.unknown_clusters, found.pinned, found.forgotten) == (1, 1, 2, 0)
    ((share,),) = [found.shares]
    assert (share.thumbnails, share.searched, share.share) == (2, 4, 0.5)
    own = people_statistics(connection, Scope(channels=("UC1",), given=False))
    assert (own.faces, own.shares[0].share) == (3, pytest.approx(2 / 3))
    # The video `a` gets a new thumbnail. The statistics leave out its old thumbnail.
    connection.execute(update(thumbnails).where(thumbnails.c.video_id == "a").values(sha256=sha("new")))
    assert people_statistics(connection).shares[0].thumbnails == 1
    assert people_statistics(connection, Scope(niche="none", given=False)).shares[0].share is None
