"""Test `GET /v1/library/pictures` over HTTP with a real database."""

import base64
import io
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from object_store_server import url_at
from PIL import Image
from sqlalchemy import select

from thumblab_core.database.tables import channels, thumbnail_versions, thumbnails, videos
from thumblab_core.image_store import ImageFolder
from thumblab_core.image_store.cache import ImageCache
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.object_store.store_url import open_bucket, parse_store_url

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def library(with_database, engine, draw):
    """Store three videos: a video with a 4:3 picture, a video whose picture file is gone, and a video without a
    picture.
    """
    store = ImageFolder(with_database.lab.settings.images)
    sha256 = store.put(draw(3, (800, 600)))
    with engine.begin() as connection:
        connection.execute(channels.insert(), {"channel_id": "UCa", "title": "A"})
        for video_id, picture in (("there", sha256), ("gone", "0" * 64), ("none", None)):
            row = {"video_id": video_id, "channel_id": "UCa", "niche": "tech", "title": video_id, "published_at": NOW}
            connection.execute(videos.insert(), row | {"tags": [], "source": "catalogue", "refreshed_at": NOW})
            problem = None if picture else "it was never there"
            moments = {"fetched_at": NOW, "checked_at": NOW}
            connection.execute(
                thumbnails.insert(), {"video_id": video_id, "sha256": picture, "problem": problem, **moments}
            )
    return with_database


def ask(service, *ids):
    return service.client.get("/v1/library/pictures", params=[("video_id", id_) for id_ in ids])


def test_each_picture_is_given_small_and_the_missing_ones_are_named(library):
    answer = ask(library, "there", "gone", "none", "unknown", "there").json()
    assert [picture["video_id"] for picture in answer["pictures"]] == ["there"]
    with Image.open(io.BytesIO(base64.b64decode(answer["pictures"][0]["image_base64"]))) as image:
        assert (image.format, image.size) == ("JPEG", (480, 270))
    assert answer["missing"] == ["gone", "none", "unknown"]
    assert answer["degraded"] == [
        "the picture of video gone could not be read (the image store has no picture 000000000000…)"
    ]


def test_the_picture_of_a_deleted_video_is_not_given(library, engine):
    with engine.begin() as connection:
        connection.execute(videos.delete().where(videos.c.video_id == "there"))
    assert ask(library, "there").json() == {"pictures": [], "missing": ["there"], "degraded": []}


def test_without_a_database_the_answer_says_so(service):
    answer = ask(service, "v1").json()
    assert answer["missing"] == ["v1"]
    assert "the pictures of the library were not read, because" in answer["degraded"][0]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "video_id"),
        ("video_id=", "video_id"),
        ("video_id=a%00b", "video_id"),
        ("&".join(f"video_id={n}" for n in range(25)), "at most 24"),
        ("video_id=a&niche=tech", "niche: there is no such field"),
    ],
)
def test_a_bad_query_is_a_clear_error(service, query, said):
    reply = service.client.get(f"/v1/library/pictures?{query}")
    assert reply.status_code == 422
    assert said in reply.json()["detail"]


def test_the_pictures_need_the_key(service):
    assert httpx.get(f"{service.url}/v1/library/pictures?video_id=a", trust_env=False).status_code == 401


def test_a_thumbnail_that_a_video_had_before_is_shown_and_none_of_another_video(library, engine, draw):
    earlier = ImageFolder(library.lab.settings.images).put(draw(9, (640, 360)))
    with engine.begin() as connection:
        row = {"video_id": "there", "title": "T", "first_seen": NOW, "last_seen": NOW}
        for sha256 in (earlier, "1" * 64):
            connection.execute(thumbnail_versions.insert(), row | {"sha256": sha256})
            row["first_seen"] = NOW + timedelta(days=1)

    def version(video_id, sha256):
        return library.client.get(f"/v1/videos/{video_id}/thumbnails/{sha256}")

    reply = version("there", earlier)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/jpeg")
    assert reply.headers["cache-control"] == "private, max-age=3600"
    with Image.open(io.BytesIO(reply.content)) as image:
        assert image.size == (480, 270)
    # Three pictures are refused: a picture of another video, a picture whose file is gone, and a name that no picture
    # has.
    for refused in (version("none", earlier), version("there", "1" * 64), version("there", "..%2F..%2Fapi-key")):
        assert refused.status_code == 404
    assert version("there", "A" * 64).json()["type"] == "urn:thumblab:unknown-picture"
    url = f"{library.url}/v1/videos/there/thumbnails/{earlier}"
    assert httpx.get(url, trust_env=False).status_code == 401


def test_while_the_image_store_is_away_the_answer_says_so_without_its_name(library, engine, draw, monkeypatch):
    store = ImageObjects(
        open_bucket(parse_store_url(url_at("http://127.0.0.1:9", "secret-bucket", "images"))),
        ImageCache(library.lab.settings.data_dir / "copies", 2**20),
    )
    monkeypatch.setattr(library.app.state.library_pictures, "_images", store)
    answer = ask(library, "there")
    assert answer.json()["missing"] == ["there"]
    assert answer.json()["degraded"] == [
        "the picture of video there could not be read (the image store cannot be used now; try again later)"
    ]
    with engine.begin() as connection:
        sha256 = connection.scalar(select(thumbnails.c.sha256).where(thumbnails.c.video_id == "there"))
    version = library.client.get(f"/v1/videos/there/thumbnails/{sha256}")
    assert (version.status_code, version.json()["detail"][:38]) == (503, "the image store cannot be used now; tr")
    assert version.headers["retry-after"] == "30"
    assert "secret-bucket" not in answer.text + version.text
