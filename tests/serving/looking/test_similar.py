"""Test `/v1/similar` over HTTP with a real index and a real database."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image


def post(looked: Any, **body: Any) -> httpx.Response:
    reply: httpx.Response = looked.service.client.post("/v1/similar", json=body)
    return reply


def found(looked: Any, **body: Any) -> dict[str, Any]:
    reply = post(looked, **body)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def expected(looked: Any, vector: Any, without: str | None = None) -> list[str]:
    """Return the ids of the index's videos, the most similar first. `vector` is compared with every video's vector."""
    order = np.argsort(-(looked.data.vectors[:35] @ vector), kind="stable")
    return [f"v{n}" for n in order if f"v{n}" != without]


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["video_id"] for item in answer["items"]]


def test_a_video_finds_its_nearest_and_not_itself(looked: Any) -> None:
    answer = found(looked, video_id="v3", niche="tech", diversity=0, k=10)
    assert ids(answer) == expected(looked, looked.data.vectors[3], "v3")[:10]
    assert answer["query"] == {
        "kind": "video",
        "matched_by": "picture",
        "encoder": looked.data.encoder.fingerprint,
        "dimension": looked.data.encoder.dimension,
    }
    assert (answer["total"], answer["next_offset"], answer["degraded"]) == (34, 10, [])
    (searched,) = answer["searched"]
    assert searched["release"] == looked.release.release_id
    assert (searched["source"], searched["videos"], searched["recall"]) == ("faiss", 34, 1.0)
    assert 0 <= searched["similarity_score"] <= 100
    first = answer["items"][0]
    item = looked.data.items[int(first["video_id"][1:])]
    assert (first["title"], first["channel"], first["views"]) == (item.title, item.channel, item.views)
    assert (first["picture_url"], first["outlier_multiple"]) == (item.url, item.outlier_multiple)
    assert first["similarity_percentile"] == pytest.approx(100 * 33 / 34)
    assert answer["items"][-1]["similarity_percentile"] == pytest.approx(100 * 24 / 34)


def test_a_get_gives_what_a_post_gives(looked: Any) -> None:
    query = {"video_id": "v3", "k": 5, "offset": 2, "diversity": 0.4, "niche": "tech", "min_outlier_multiple": 0.5}
    reply = looked.service.client.get("/v1/similar", params=query)
    assert reply.json() == found(looked, **query)


@pytest.mark.parametrize("way", ["upload", "base64", "url"])
def test_a_picture_finds_the_same_as_its_vector(looked: Any, way: str) -> None:
    data = looked.data.pictures[7]
    asked = {"k": 6, "diversity": 0}
    if way == "upload":
        reply = looked.service.client.post("/v1/similar", data=asked, files={"picture": ("p.jpg", data, "image/jpeg")})
        assert reply.status_code == 200, reply.text
        answer = reply.json()
    elif way == "base64":
        answer = found(looked, image_base64=base64.b64encode(data).decode(), **asked)
    else:
        looked.images["bodies"]["/p.jpg"] = data
        answer = found(looked, url=f"http://{looked.images['host']}/p.jpg", **asked)
    vector = looked.data.vectors[7]
    assert ids(answer) == ids(found(looked, vector=[3.5 * float(number) for number in vector], **asked))
    assert ids(answer) == expected(looked, vector)[:6]
    assert answer["items"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert answer["query"]["kind"] == "picture"


def test_a_text_is_compared_with_titles_where_the_encoder_has_no_text_tower(looked: Any) -> None:
    answer = found(looked, text="A red car on a race track", k=5, diversity=0)
    assert answer["query"]["matched_by"] == "title"
    assert {item["title"][:24] for item in answer["items"]} == {"A red car on a race trac"}
    assert "has no text tower" in answer["degraded"][0]
    assert answer["searched"][0]["release"] == looked.release.release_id
    refused = post(looked, text="A red car", text_by="picture")
    assert refused.status_code == 422
    assert "has no text tower" in refused.json()["detail"]


def test_titles_that_the_release_does_not_have_are_not_found(looked: Any) -> None:
    """Search titles in a database that differs from the release.

    The database has five videos that the release lacks. Then the title of the video v3 is marked as changed.
    """
    from sqlalchemy import text

    answer = found(looked, text="Walking through Tokyo at night", k=100, diversity=0)
    assert len(answer["items"]) == 35
    change = "UPDATE embeddings SET source_digest = :digest WHERE video_id = 'v3' AND source_digest <> :sha"
    with looked.engine.begin() as connection:
        sha = connection.execute(text("SELECT sha256 FROM thumbnails WHERE video_id = 'v3'")).scalar_one()
        before = connection.execute(
            text("SELECT source_digest FROM embeddings WHERE video_id = 'v3' AND source_digest <> :sha"), {"sha": sha}
        ).scalar_one()
        connection.execute(text(change), {"digest": "0" * 64, "sha": sha})
    try:
        assert "v3" not in ids(found(looked, text="Walking through Tokyo at night", k=100, diversity=0))
    finally:
        with looked.engine.begin() as connection:
            connection.execute(text(change), {"digest": before, "sha": sha})


def test_a_video_that_only_the_database_has_is_a_query_too(looked: Any) -> None:
    answer = found(looked, video_id="v38", k=5, diversity=0)
    assert ids(answer) == expected(looked, looked.data.vectors[38])[:5]


def test_the_filters_leave_out_other_videos(looked: Any) -> None:
    spans = {"published_after": "2026-09-05", "published_before": "2026-09-25"}
    answer = found(looked, video_id="v3", k=100, exclude_channel="@c1", min_outlier_multiple=1.0, **spans)
    wanted = {f"v{n}" for n in range(10, 25) if n % 4 != 1 and n % 10 != 9}
    assert set(ids(answer)) == wanted
    assert answer["total"] == len(wanted)
    assert answer["searched"][0]["recall"] == 1
    by_title = found(looked, video_id="v3", k=100, exclude_channel="Channel 2")
    assert {item["channel"] for item in by_title["items"]} == {"Channel 0", "Channel 1", "Channel 3"}
    unknown = found(looked, video_id="v3", exclude_channel="Nobody")
    assert "exclude_channel left nothing out" in unknown["degraded"][0]


def test_the_pages_together_are_the_whole_order_without_repetition(looked: Any) -> None:
    whole = ids(found(looked, video_id="v0", k=100, diversity=0.6))
    assert sorted(whole) == sorted(f"v{n}" for n in range(1, 35))
    paged, offset = [], 0
    while offset is not None:
        answer = found(looked, video_id="v0", k=7, offset=offset, diversity=0.6)
        paged += ids(answer)
        offset = answer["next_offset"]
    assert paged == whole
    assert whole != ids(found(looked, video_id="v0", k=100, diversity=0))


def one_pixel() -> str:
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "give exactly one of video_id, text, vector, url, image_base64; none was sent"),
        ({"video_id": "v1", "text": "a"}, 422, "2 were sent: video_id, text"),
        ({"video_id": "nobody"}, 404, "the lab does not know this video"),
        ({"video_id": "v1", "niche": "sports"}, 422, "niche: send one of"),
        ({"video_id": "v1", "category": "tech"}, 422, "use niche"),
        ({"video_id": "v1", "k": 101}, 422, "k: send a number of at most 100"),
        ({"video_id": "v1", "k": 0}, 422, "k: send a number of at least 1"),
        ({"video_id": "v1", "k": True}, 422, "k: "),
        ({"video_id": "v1", "offset": 10**9}, 422, "offset: send a number of at most 900"),
        ({"video_id": "v1", "diversity": 1.5}, 422, "diversity: send a number of at most 1"),
        ({"video_id": "v1", "published_after": 5}, 422, "write the day as YYYY-MM-DD"),
        ({"video_id": "v1", "published_after": "2026-02-02", "published_before": "2026-01-01"}, 422, "is later than"),
        ({"vector": [0.0] * 9}, 422, "vector: 9 numbers were sent, but the vectors have"),
        ({"vector": []}, 422, "vector: send at least 1"),
        ({"vector": ["1"]}, 422, "vector.0: send a number"),
        ({"image_base64": one_pixel()}, 422, "image_base64: the picture has 1x1 pixels"),
        ({"image_base64": "?"}, 422, "image_base64 is not base64"),
        ({"url": "https://example.com/a.jpg"}, 422, "url: "),
        ({"text": "a" * 2**20}, 422, "text: send at most 300 characters"),
        ({"text": "\u200b"}, 422, "text: give a title that can be seen"),
        ({"video_id": "v1", "text_by": "title"}, 422, "text_by can only be sent with text"),
    ],
)
def test_a_bad_query_is_a_clear_error(looked: Any, body: dict[str, Any], status: int, said: str) -> None:
    reply = post(looked, **body)
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    assert said in reply.json()["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_vector_that_is_not_finite_is_a_clear_error(looked: Any, number: str) -> None:
    numbers = ",".join([number, *["0.5"] * (looked.data.encoder.dimension - 1)])
    body = f'{{"vector": [{numbers}]}}'
    reply = looked.service.client.post("/v1/similar", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422, reply.text
    zeros = post(looked, vector=[0] * looked.data.encoder.dimension)
    assert "all numbers are 0" in zeros.json()["detail"]


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_length_of_a_vector_does_not_matter(looked: Any, size: float) -> None:
    numbers = [size * float(number) for number in looked.data.vectors[7]]
    assert ids(found(looked, vector=numbers, k=3, diversity=0)) == expected(looked, looked.data.vectors[7])[:3]


def test_the_form_and_the_query_are_checked(looked: Any) -> None:
    client = looked.service.client
    picture = ("p.jpg", looked.data.pictures[0], "image/jpeg")
    assert "no such field" in client.post("/v1/similar", data={"text": "a"}, files={"picture": picture}).text
    extra = {"picture": picture, "other": picture}
    assert "other: there is no such field" in client.post("/v1/similar", files=extra).text
    two = client.post("/v1/similar", files=[("picture", picture), ("picture", picture)])
    assert "picture: send one picture file" in two.text
    assert client.post("/v1/similar", content=b"x").status_code == 415
    assert client.get("/v1/similar").status_code == 422
    assert client.get("/v1/similar", params={"video_id": "a\0b"}).status_code == 422
    assert client.get("/v1/similar", params={"video_id": "unknown"}).status_code == 404
    assert httpx.get(f"{looked.service.url}/v1/similar?video_id=v1", trust_env=False).status_code == 401


def test_all_niches_are_searched_and_merged(looked: Any) -> None:
    release = looked.lab.promote(looked.data.publish(list(range(10, 20)), "beauty", prefix="b"))
    try:
        answer = found(looked, video_id="v12", k=50, diversity=0)
        assert {one["niche"]: one["release"] for one in answer["searched"]} == {
            "tech": looked.release.release_id,
            "beauty": release.release_id,
        }
        assert answer["total"] == 44
        assert answer["items"][0]["video_id"] == "b12"
        similarities = [item["similarity"] for item in answer["items"]]
        assert similarities == sorted(similarities, reverse=True)
        own = found(looked, video_id="b12", niche="tech", k=1)
        assert ids(own) == ["v12"]
    finally:
        looked.lab.store.serving.withdraw("index", "beauty")


def test_a_niche_without_an_index_is_searched_in_the_database(looked: Any) -> None:
    from sqlalchemy import text

    with looked.engine.begin() as connection:
        connection.execute(
            text("UPDATE videos SET niche = 'news' WHERE video_id = ANY(:ids)"), {"ids": ["v36", "v37", "v39"]}
        )
    try:
        answer = found(looked, video_id="v38", niche="news", diversity=0)
        nearest = sorted((36, 37, 39), key=lambda n: -float(looked.data.vectors[n] @ looked.data.vectors[38]))
        assert ids(answer) == [f"v{n}" for n in nearest]
        assert [one["source"] for one in answer["searched"]] == ["pgvector"]
        assert answer["degraded"] == ["no index of news is served: the library was searched in the database"]
        assert answer["total"] is None
    finally:
        with looked.engine.begin() as connection:
            connection.execute(text("UPDATE videos SET niche = 'tech'"))
