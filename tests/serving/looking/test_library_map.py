"""Test the routes of library maps over HTTP: planted maps, caching, and refused requests."""

import hashlib
import shutil
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from demo import planted_map
from demo.planted_map import publish_planted_map
from thumblab_client import Client
from thumblab_core.library_map import files
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.library_map.points import read_points

KEY = "key-of-the-tests-0123456789"


@pytest.fixture(scope="module")
def mapped(lab, service):
    """The service of a lab with two maps: a map of `tech`, and a map of all niches, which is large enough for tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planted_map, "MOST_TILES", 64)
        tech = publish_planted_map(lab.store, 300, "tech")
        patch.setattr(files, "LARGE", 6_000)
        every = publish_planted_map(lab.store, 6_000)
    yield service, {"tech": tech, "all": every}
    shutil.rmtree(lab.store.root / LIBRARY_MAP)


def get(service, path, **headers):
    return httpx.get(f"{service.url}/v1/library/{path}", headers={"X-API-Key": KEY, **headers})


def test_the_points_are_the_file_of_the_served_release(mapped, tmp_path: Path):
    service, releases = mapped
    for scope, release in releases.items():
        reply = get(service, f"{scope}/map")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/vnd.apache.arrow.file")
        assert reply.headers["x-thumblab-release"] == release.release_id
        assert reply.headers["etag"] == f'"{hashlib.sha256(reply.content).hexdigest()}"'
        (tmp_path / "points.arrow").write_bytes(reply.content)
        assert len(read_points(tmp_path / "points.arrow")) == release.info["videos"]
        again = get(service, f"{scope}/map", **{"If-None-Match": f'"other", W/{reply.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")


def test_the_pages_of_the_atlases_can_be_kept_for_ever(mapped):
    service, releases = mapped
    about = get(service, "tech/map/atlases").json()
    assert (about["release"], about["pictures"], about["tiles"]) == (releases["tech"].release_id, 64, None)
    assert [level["tile_width"] for level in about["levels"]] == [32, 64, 128]
    for level in about["levels"]:
        for page in level["pages"]:
            reply = get(service, f"tech/map/atlases/{page}")
            assert reply.headers["content-type"] == "image/jpeg"
            assert reply.headers["cache-control"] == "private, max-age=31536000, immutable"
            assert hashlib.sha256(reply.content).hexdigest() == page


def test_a_large_map_has_tiles_that_together_are_the_map(mapped):
    service, releases = mapped
    tiles = get(service, "all/map/atlases").json()["tiles"]
    last = tiles["levels"][-1]
    assert last["complete"]
    ids = []
    for place in last["tiles"]:
        reply = get(service, f"all/map/tiles/{last['level']}/{place['x']}/{place['y']}")
        table = pa.ipc.open_file(pa.BufferReader(reply.content)).read_all()
        assert table.num_rows == place["rows"]
        ids += table["video_id"].to_pylist()
    assert sorted(ids) == sorted(read_points(releases["all"].path / "points.arrow").video_id)


def test_the_clusters_name_their_release_and_the_client_reads_them(mapped):
    service, releases = mapped
    found = get(service, "tech/clusters").json()
    assert (found["niche"], found["release"], found["videos"]) == ("tech", releases["tech"].release_id, 300)
    with Client(service.url, KEY) as client:
        answer = client.library_clusters("tech")
    assert [cluster.medoid for cluster in answer.clusters] == [cluster["medoid"] for cluster in found["clusters"]]
    assert answer.clusters[0].growth.weeks == found["clusters"][0]["growth"]["weeks"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("cars/map", "not-found"),
        ("news/map", "no-map"),
        ("news/clusters", "no-map"),
        ("news/map/atlases", "no-map"),
        ("tech/map/atlases/" + "0" * 64, "no-map"),
        ("tech/map/atlases/..%2F..%2Fmanifest.json", None),
        ("tech/map/atlases/manifest", "no-map"),
        ("tech/map/tiles/0/0/0", "no-map"),
        ("all/map/tiles/0/0/1", "no-map"),
        ("all/map/tiles/-1/0/0", "not-found"),
        ("all/map/tiles/0/00/0", "not-found"),
        ("all/map/tiles/0/1e3/0", "not-found"),
        ("all/map/tiles/99999999999999999999/0/0", "not-found"),
    ],
)
def test_what_is_not_there_is_a_problem_with_a_reason(mapped, path, kind):
    service, _ = mapped
    reply = get(service, path)
    assert reply.status_code == 404
    assert kind is None or reply.json()["type"] == f"urn:thumblab:{kind}"


def test_a_key_is_needed(mapped):
    service, _ = mapped
    for path in ("map", "map/atlases", f"map/atlases/{'0' * 64}", "map/tiles/0/0/0", "clusters"):
        assert httpx.get(f"{service.url}/v1/library/tech/{path}").status_code == 401


def test_a_damaged_file_is_not_sent(mapped, lab):
    service, _ = mapped
    path = publish_planted_map(lab.store, 60, "people").path / "points.arrow"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    reply = get(service, "people/map")
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:thumblab:unreadable-map")
    assert "does not match its checksum" in reply.json()["detail"]
    assert reply.headers["retry-after"]


@pytest.mark.parametrize("content", [b"[", b'[{"level": 9}]', b'{"niche": "' + b"x" * 10_000 + b'"}'])
def test_clusters_of_another_form_are_a_short_error(mapped, lab, content):
    service, releases = mapped

    def write(folder):
        shutil.copytree(releases["tech"].path, folder, dirs_exist_ok=True)
        (folder / "release.json").unlink(missing_ok=True)
        (folder / "manifest.json").unlink(missing_ok=True)
        (folder / "clusters.json").write_bytes(content)

    lab.store.serving.promote(lab.store.publish(LIBRARY_MAP, "gaming", write, {"videos": 300}))
    reply = get(service, "gaming/clusters")
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:thumblab:unreadable-map")
    assert "clusters.json has content that this version of the lab does not know" in reply.json()["detail"]
    assert len(reply.content) < 600
    assert get(service, "gaming/map").status_code == 200


def test_the_newest_map_is_sent_as_soon_as_it_is_served(mapped, lab):
    service, _ = mapped
    older = publish_planted_map(lab.store, 60, "beauty")
    page = get(service, "beauty/map/atlases").json()["levels"][0]["pages"][0]
    newer = publish_planted_map(lab.store, 50, "beauty")
    assert get(service, "beauty/map").headers["x-thumblab-release"] == newer.release_id
    assert get(service, f"beauty/map/atlases/{page}").status_code == 404
    lab.store.serving.promote(older)
    assert get(service, f"beauty/map/atlases/{page}").status_code == 200
