"""Test over HTTP, with a real database, how a person lists, names, merges and moves faces, and undoes these changes."""

import base64
import io
import json
import logging
import re
import time

import httpx
import pytest
from PIL import Image
from planted_people import Planted, box, plant, show

from thumblab_core.keys.named_keys import NamedKeys

NAME = "Zenobia Quill"


def test_clusters_are_listed_largest_first_and_by_kind(planted: Planted) -> None:
    planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))
    listed = planted.done(planted.get("/clusters"))
    assert listed["total"] == 2
    assert [cluster["faces"] for cluster in listed["clusters"]] == [3, 2]
    assert [cluster["kind"] for cluster in listed["clusters"]] == ["unknown", "person"]
    for kind, names in (("person", [NAME]), ("unknown", [None]), ("all", [None, NAME])):
        page = planted.done(planted.get(f"/clusters?kind={kind}"))
        assert [cluster["name"] for cluster in page["clusters"]] == names
    second = planted.done(planted.get("/clusters?limit=1&offset=1"))
    assert (second["total"], second["clusters"]) == (2, listed["clusters"][1:])
    assert set(listed["clusters"][1]["samples"]) == set(planted.alone[:2])


def test_the_example_of_the_specification_names_a_cluster(planted: Planted) -> None:
    key = planted.one.rpartition("_")[2]
    named = planted.done(planted.post(f"/clusters/clu_{key}/label", {"name": " Alice "}))
    assert named == named | {"cluster_id": f"person_{key}", "person_id": f"person_{key}", "name": "Alice", "faces": 2}
    assert (named["kind"], named["pinned"], named["is_owner"]) == ("person", 2, False)
    shown = planted.done(planted.get(f"/clusters/{planted.one}"))  # The earlier id still works.
    assert {face["name"] for face in shown["members"]} == {"Alice"}
    assert all(face["pinned"] and face["cluster_id"] == f"person_{key}" for face in shown["members"])
    unnamed = planted.done(planted.delete(f"/clusters/person_{key}/label"))
    assert (unnamed["cluster_id"], unnamed["person_id"], unnamed["pinned"]) == (planted.one, None, 2)


def test_a_second_cluster_of_the_same_name_is_merged_into_the_person(planted: Planted) -> None:
    person = planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))["cluster_id"]
    merged = planted.done(planted.post(f"/clusters/{planted.two}/label", {"name": NAME.upper()}))
    assert (merged["cluster_id"], merged["name"], merged["faces"]) == (person, NAME, 5)
    assert planted.done(planted.get(f"/clusters/{planted.two}"))["cluster_id"] == person


def test_a_merge_is_taken_back_by_its_number_and_again_without_effect(planted: Planted) -> None:
    assert planted.done(planted.post(f"/clusters/{planted.one}/merge", {"into": planted.two}))["faces"] == 5
    planted.done(planted.post(f"/clusters/{planted.two}/label", {"name": NAME}))
    (merge,) = planted.done(planted.get("/changes?kind=merge"))["changes"]
    key = planted.one.rpartition("_")[2]
    assert merge == merge | {"kind": "merge", "other_id": f"clu_{key}", "faces": 5, "reverted": False}
    for _ in range(2):
        back = planted.done(planted.post(f"/merges/{merge['change_id']}/undo"))
        assert (back["cluster_id"], back["faces"]) == (planted.one, 2)
    assert planted.faces(planted.two) == {*planted.alone[2:4], planted.pair[0]}
    assert planted.done(planted.get("/changes?kind=merge"))["changes"][0]["reverted"]
    for unknown in ("999999999", "0", "x", "9" * 19, "-1"):
        planted.refused(planted.post(f"/merges/{unknown}/undo"), 404, "not-found")


def test_a_name_that_another_cluster_has_is_answered_as_a_merge(planted: Planted) -> None:
    named = planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))
    assert (named["merged"], named["merge_id"]) == (False, None)
    again = planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))
    assert (again["merged"], again["merge_id"]) == (False, None)
    merged = planted.done(planted.post(f"/clusters/{planted.two}/label", {"name": NAME.upper()}))
    assert (merged["cluster_id"], merged["merged"], merged["faces"]) == (named["cluster_id"], True, 5)
    assert planted.done(planted.post(f"/merges/{merged['merge_id']}/undo"))["faces"] == 3
    assert planted.done(planted.get(f"/clusters/{planted.one}"))["faces"] == 2


def test_undo_takes_the_latest_change_back_once_if_its_number_is_given(planted: Planted) -> None:
    planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))
    planted.done(planted.post(f"/clusters/{planted.one}/owner"))
    latest, first = planted.done(planted.get("/changes"))["changes"]
    assert (latest["kind"], first["kind"]) == ("owner", "label")
    assert (latest["name"], first["name"]) == (NAME, NAME)
    undone = planted.done(planted.post("/undo", {"change_id": latest["change_id"]}))
    assert (undone["change_id"], undone["kind"]) == (latest["change_id"], "owner")
    again = planted.refused(planted.post("/undo", {"change_id": latest["change_id"]}), 409, "face-conflict")
    assert f"the latest change is {first['change_id']}" in again
    assert planted.done(planted.get(f"/clusters/{planted.one}"))["name"] == NAME
    assert planted.done(planted.post("/undo"))["kind"] == "label"
    assert planted.done(planted.get(f"/clusters/{planted.one}"))["name"] is None
    assert "nothing to undo" in planted.refused(planted.post("/undo"), 409, "face-conflict")


def test_the_owner_of_the_channel_needs_a_name(planted: Planted) -> None:
    assert "name the person first" in planted.refused(
        planted.post(f"/clusters/{planted.one}/owner"), 409, "face-conflict"
    )
    planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))
    assert planted.done(planted.post(f"/clusters/{planted.one}/owner"))["is_owner"]
    assert not planted.done(planted.post(f"/clusters/{planted.one}/owner", {"is_owner": False}))["is_owner"]


def test_faces_are_moved_one_by_one_or_together_also_to_a_new_cluster(planted: Planted) -> None:
    moved = planted.done(planted.post(f"/{planted.alone[0]}/move", {"to": planted.two}))
    assert (moved["cluster_id"], moved["faces"], moved["pinned"]) == (planted.two, 4, 1)
    new = planted.done(planted.post("/move", {"faces": [planted.alone[4], planted.pair[1]]}))
    assert new["cluster_id"] not in (planted.one, planted.two)
    assert planted.faces(new["cluster_id"]) == {planted.alone[4], planted.pair[1]}
    assert planted.faces(planted.done(planted.post(f"/{planted.alone[0]}/move"))["cluster_id"]) == {planted.alone[0]}
    assert planted.done(planted.get(f"/{planted.alone[4]}"))["cluster_id"] == new["cluster_id"]


def test_two_faces_of_one_picture_are_never_put_together(planted: Planted) -> None:
    before = planted.faces(planted.two)
    both = planted.refused(planted.post("/move", {"faces": planted.pair, "to": planted.one}), 409, "face-conflict")
    assert "are in one picture, so they cannot be one person" in both
    other = planted.done(planted.post(f"/{planted.pair[1]}/move", {"to": planted.one}))["cluster_id"]
    merged = planted.refused(planted.post(f"/clusters/{other}/merge", {"into": planted.two}), 409, "face-conflict")
    assert "they cannot be one person" in merged
    assert planted.faces(planted.two) == before


def test_a_face_that_is_not_this_person_leaves_and_stays_out(planted: Planted) -> None:
    (face, other), cluster = planted.alone[:2], planted.one
    for _ in range(2):  # The second time, the face is in no cluster, so only `cluster_id` says who is meant.
        left = planted.done(planted.post(f"/{face}/not-this-person", {"cluster_id": cluster}))
        assert (left["cluster_id"], left["faces"]) == (cluster, 1)
    assert "say which cluster" in planted.refused(planted.post(f"/{face}/not-this-person"), 409, "face-conflict")
    assert face in {each["face_id"] for each in planted.done(planted.get("/unassigned"))["faces"]}
    alone = planted.done(planted.post(f"/{face}/move"))["cluster_id"]
    refusal = planted.refused(planted.post(f"/clusters/{alone}/merge", {"into": cluster}), 409, "face-conflict")
    assert f"a person said that the face {face} is not {cluster}" in refusal
    assert planted.done(planted.post(f"/{other}/not-this-person"))["faces"] == 0


def test_faces_of_a_picture_and_of_a_video_are_shown_from_left_to_right(planted: Planted) -> None:
    with planted.engine.begin() as connection:
        show(connection, "video1", planted.sha256[5])
    by_picture = planted.done(planted.get(f"/pictures/{planted.sha256[5]}"))
    assert [face["face_id"] for face in by_picture["faces"]] == planted.pair
    assert [face["box"] for face in by_picture["faces"]] == [pytest.approx(box(place)) for place in (0, 1)]
    by_video = planted.done(planted.get("/videos/video1"))
    assert by_video == by_picture | {"video_id": "video1"}
    in_video, given = by_picture["shown_in"]
    seen = {"video_id": "video1", "title": "Title of video1", "channel_id": "UCvideo1", "channel": "A channel"}
    assert in_video == seen | {"current": True, "file_name": None}
    assert (given["video_id"], given["file_name"]) == (None, f"{by_picture['sha256'][:4]}.jpg")
    for unknown in (
        "/pictures/" + "0" * 64,
        "/pictures/x",
        "/videos/unknown",
        "/videos/%00",
        "/videos/" + "v" * 201,
    ):
        planted.refused(planted.get(unknown), 404, "not-found")


def test_the_nearest_faces_are_listed_without_the_face_itself(planted: Planted) -> None:
    found = planted.done(planted.get(f"/{planted.alone[0]}/nearest?limit=3"))["faces"]
    assert len(found) == 3
    assert planted.alone[0] not in {face["face_id"] for face in found}
    assert [face["cosine"] for face in found] == sorted((face["cosine"] for face in found), reverse=True)
    planted.refused(planted.get("/" + "0" * 24 + "/nearest"), 404, "not-found")
    assert planted.get(f"/{planted.alone[0]}/nearest?limit=0").status_code == 422


def test_pictures_of_a_person_name_the_videos_and_the_given_files(planted: Planted) -> None:
    with planted.engine.begin() as connection:
        show(connection, "video1", planted.sha256[0])
    found = planted.done(planted.get(f"/people/{planted.one}/pictures"))["pictures"]
    assert [(each["video_id"], each["current"]) for each in found] == [("video1", True), (None, False), (None, False)]
    assert found[0]["title"] == "Title of video1"
    assert {each["file_name"] for each in found[1:]} == {f"{sha256[:4]}.jpg" for sha256 in planted.sha256[:2]}
    assert planted.done(planted.get(f"/people/{planted.one}/pictures?limit=1&offset=1"))["pictures"] == found[1:2]


def test_statistics_count_faces_and_the_share_of_thumbnails(planted: Planted) -> None:
    with planted.engine.begin() as connection:
        for number in (0, 4):
            show(connection, f"video{number}", planted.sha256[number])
    planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))
    figures = planted.done(planted.get("/stats"))
    counts = {"mode": "off", "pictures": 6, "faces": 7, "faces_in_people": 2, "faces_in_unknown_clusters": 3}
    assert figures == figures | counts | {"faces_in_none": 2, "pinned": 2, "people": 1, "unknown_clusters": 1}
    (share,) = figures["shares"]
    assert (share["person"]["name"], share["thumbnails"], share["searched"], share["share"]) == (NAME, 1, 2, 0.5)


def test_a_crop_is_cut_from_the_picture_around_the_face_and_no_browser_keeps_it(planted: Planted) -> None:
    image = Image.new("RGB", (1280, 720), "blue")
    left, top, right, bottom = box(1)
    image.paste((255, 0, 0), (round(left * 1280), round(top * 720), round(right * 1280), round(bottom * 720)))
    out = io.BytesIO()
    image.save(out, "PNG")
    path = planted.images.path(planted.sha256[5])
    sha256 = planted.images.put(out.getvalue())
    with planted.engine.begin() as connection:
        ((first, second),) = plant(connection, (sha256, 2))
    for face_id, is_red in ((first, False), (second, True)):
        reply = planted.get(f"/{face_id}/crop")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "image/jpeg")
        assert reply.headers["cache-control"] == "no-store"
        crop = Image.open(io.BytesIO(reply.content))
        assert (crop.format, crop.size) == ("JPEG", (112, 112))
        red, _, blue = crop.convert("RGB").getpixel((56, 56))  # type: ignore[misc]
        assert (red > blue) == is_red
        corner, _, other = crop.convert("RGB").getpixel((1, 1))  # type: ignore[misc]
        assert corner < other  # The margin shows what is around the face.
    path.unlink()
    wanted = "&face_id=".join([second, "0" * 24, first, planted.pair[0], first])
    several = planted.done(planted.get(f"/crops?face_id={wanted}"))
    assert [each["face_id"] for each in several["crops"]] == [second, first]
    assert base64.b64decode(several["crops"][0]["image_base64"]) == reply.content
    assert several["missing"] == ["0" * 24, planted.pair[0]]
    planted.refused(planted.get(f"/{planted.pair[0]}/crop"), 404, "no-picture")
    planted.refused(planted.get(f"/{'0' * 24}/crop"), 404, "not-found")


def test_a_whole_picture_is_shown_only_if_it_was_searched_and_no_browser_keeps_it(planted: Planted) -> None:
    out = io.BytesIO()
    Image.new("RGB", (2000, 1000), "blue").save(out, "PNG")
    large, unsearched = planted.images.put(out.getvalue()), planted.images.put(out.getvalue() + b"0")
    with planted.engine.begin() as connection:
        plant(connection, (large, 1))
    for sha256, size in ((planted.sha256[0], (640, 360)), (large, (1280, 640))):
        reply = planted.get(f"/pictures/{sha256}/image")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "image/jpeg")
        assert reply.headers["cache-control"] == "no-store"
        assert Image.open(io.BytesIO(reply.content)).size == size
    for unknown in (unsearched, "x"):
        planted.refused(planted.get(f"/pictures/{unknown}/image"), 404, "not-found")
    planted.images.path(large).unlink()
    planted.refused(planted.get(f"/pictures/{large}/image"), 404, "no-picture")


def test_a_cluster_says_of_how_many_channels_its_pictures_are(planted: Planted) -> None:
    with planted.engine.begin() as connection:
        show(connection, "video1", planted.sha256[0])
        show(connection, "video2", planted.sha256[1])
        show(connection, "video3", planted.sha256[1])
    listed = planted.done(planted.get("/clusters"))["clusters"]
    assert {each["cluster_id"]: each["channels"] for each in listed} == {planted.one: 3, planted.two: 0}
    assert planted.done(planted.get(f"/clusters/{planted.one}"))["channels"] == 3


@pytest.mark.parametrize("cluster_id", ["unknown_cluster_000000000000", "nobody", "%00", "person_x"])
def test_an_unknown_cluster_is_a_clear_problem(planted: Planted, cluster_id: str) -> None:
    asked = [
        planted.get(f"/clusters/{cluster_id}"),
        planted.post(f"/clusters/{cluster_id}/label", {"name": NAME}),
        planted.delete(f"/clusters/{cluster_id}/label"),
        planted.post(f"/clusters/{cluster_id}/owner"),
        planted.post(f"/clusters/{cluster_id}/merge", {"into": planted.one}),
        planted.get(f"/people/{cluster_id}/pictures"),
        planted.delete(f"/people/{cluster_id}"),
    ]
    for reply in asked:
        assert "cluster" in planted.refused(reply, 404, "not-found")


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/clusters/{one}/label", {"name": ""}, "name: "),
        ("/clusters/{one}/label", {"name": " \t "}, "invisible characters"),
        ("/clusters/{one}/label", {"name": "   "}, "at least one visible character"),
        ("/clusters/{one}/label", {"name": "a" * 101}, "name: "),
        ("/clusters/{one}/label", {"name": "a\0b"}, "invisible characters"),
        ("/clusters/{one}/label", {"name": 5}, "name: "),
        ("/clusters/{one}/label", {}, "name: "),
        ("/clusters/{one}/label", {"label": "Alice"}, "there is no such field"),
        ("/clusters/{one}/merge", {"into": "nobody"}, "into: "),
        ("/clusters/{one}/owner", {"is_owner": "yes"}, "is_owner: "),
        ("/move", {"faces": []}, "faces: "),
        ("/move", {"faces": ["x"]}, "faces.0: "),
        ("/move", {"faces": ["0" * 24] * 1001}, "faces: "),
        ("/undo", {"change_id": 0}, "change_id: "),
    ],
)
def test_a_bad_body_is_a_clear_problem(planted: Planted, path: str, body: dict[str, object], said: str) -> None:
    assert said in planted.refused(planted.post(path.format(one=planted.one), body), 422, "invalid-request")
    assert planted.done(planted.get("/changes"))["changes"] == []


@pytest.mark.parametrize("query", ["limit=1001", "limit=0", "limit=x", "offset=-1", "offset=99999999999", "page=2"])
def test_a_bad_part_of_a_list_is_a_clear_problem(planted: Planted, query: str) -> None:
    for path in ("/clusters", f"/clusters/{planted.one}", "/unassigned", f"/people/{planted.one}/pictures"):
        detail = planted.refused(planted.get(f"{path}?{query}"), 422, "invalid-request")
        assert detail.startswith(f"{query.partition('=')[0]}: ")


def test_an_unknown_face_is_a_clear_problem(planted: Planted) -> None:
    face = "0" * 24
    for reply in (
        planted.get(f"/{face}"),
        planted.post(f"/{face}/move", {"to": planted.one}),
        planted.post(f"/{face}/not-this-person"),
        planted.post("/move", {"faces": [planted.alone[0], face]}),
        planted.delete(f"/{face}"),
    ):
        assert f"the lab has no face '{face}'" in planted.refused(reply, 404, "not-found")
    assert planted.delete("/clusters").status_code == 405


def test_every_route_needs_a_key_with_the_scope_admin(planted: Planted) -> None:
    service = planted.service
    scorer = NamedKeys(service.lab.settings).add("people-scorer", ["score"])
    paths = httpx.get(f"{service.url}/openapi.json", trust_env=False).json()["paths"]
    routes = [(path, method) for path, of in paths.items() if path.startswith("/api/v1/faces") for method in of]
    assert len(routes) == 28
    for path, method in routes:
        url = service.url + re.sub(r"\{face_id\}", "0" * 24, path)
        for headers, status in (({}, 401), ({"X-API-Key": scorer}, 403)):
            assert httpx.request(method, url, headers=headers, trust_env=False).status_code == status, (path, method)


def statuses(caplog: pytest.LogCaptureFixture) -> list[int]:
    """Return the status of each request in the log."""
    lines = [r.getMessage() for r in caplog.records if r.name == "thumblab_serving.requests"]
    return [json.loads(line)["status"] for line in lines]


def test_no_name_of_a_person_is_in_the_log_or_in_a_metric(planted: Planted, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        person = planted.done(planted.post(f"/clusters/{planted.one}/label", {"name": NAME}))["cluster_id"]
        planted.refused(planted.post(f"/clusters/{person}/label", {"name": NAME + "\0"}), 422, "invalid-request")
        planted.done(planted.post(f"/clusters/{planted.two}/label", {"name": NAME}))
        assert NAME in planted.get("/clusters").text
        # The service writes the log line of a request after it has sent the answer.
        deadline = time.monotonic() + 60
        while len(statuses(caplog)) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert sorted(statuses(caplog)) == [200, 200, 200, 422]
    metrics = httpx.get(f"{planted.service.url}/metrics", trust_env=False).text
    assert "/api/v1/faces/clusters/{cluster_id}/label" in metrics
    for part in NAME.split():
        assert part.lower() not in (caplog.text + metrics).lower()
    assert person not in metrics


def test_no_answer_about_people_is_kept_by_a_browser_or_a_proxy(planted: Planted) -> None:
    person = planted.post(f"/clusters/{planted.one}/label", {"name": NAME})
    listed, unknown = planted.get("/clusters"), planted.get("/clusters/person_000000000000")
    refused = planted.service.client.get("/api/v1/faces/stats", headers={"X-API-Key": "wrong"})
    scored = planted.service.client.post("/v1/score", json={})
    assert [reply.status_code for reply in (person, listed, unknown, refused, scored)] == [200, 200, 404, 401, 422]
    for reply in (person, listed, unknown, refused, scored):
        assert reply.headers["cache-control"] == "no-store", reply.url
    assert "cache-control" not in planted.service.client.get("/health").headers
