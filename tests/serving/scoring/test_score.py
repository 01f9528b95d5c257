"""Test the answer of `POST /v1/score`."""

import base64
import hashlib

import pytest


def test_upload_base64_and_url_give_the_same_answer(service, images, draw, alike):
    pictures = [draw(n) for n in range(3)]
    names = [f"p{n}.jpg" for n in range(3)]
    for name, data in zip(names, pictures, strict=True):
        images["bodies"][f"/{name}"] = data
    uploaded = service.score(*pictures, category="tech")
    encoded = service.ask(
        [{"id": n, "image_base64": base64.b64encode(d).decode()} for n, d in zip(names, pictures, strict=True)]
    ).json()
    fetched = service.ask([{"id": n, "url": f"http://{images['host']}/{n}"} for n in names]).json()
    assert alike(uploaded, encoded)
    assert alike(uploaded, fetched)


def test_an_answer_has_all_its_fields(service, lab, draw):
    answer = service.score(*[draw(n) for n in range(3)])
    thumbnails = answer["thumbnails"]
    assert [t["id"] for t in thumbnails] == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert sorted(t["rank"] for t in thumbnails) == [1, 2, 3]
    best = min(thumbnails, key=lambda t: t["rank"])
    assert answer["winner"] == best["id"]
    assert best["win_probability"] == max(t["win_probability"] for t in thumbnails)
    assert sum(t["win_probability"] for t in thumbnails) == pytest.approx(1)
    for thumbnail in thumbnails:
        assert 0 <= thumbnail["score"] <= 100
        assert thumbnail["predicted_engagement"]["kind"] == "proxy"
        assert list(thumbnail["sub_scores"]) == [
            "clarity", "prominence", "contrast", "emotion", "hierarchy", "title_match",
        ]  # fmt: skip
        assert thumbnail["sub_scores"]["title_match"]["value"] is None
        assert "no readable text" in thumbnail["sub_scores"]["title_match"]["reason"]
        assert thumbnail["evidence"]["texts"] == []
        assert thumbnail["evidence"]["faces"] is None
        assert thumbnail["similarity_source"] == "faiss"
        assert len(thumbnail["neighbours"]) == 5
        assert all(n["winner"] and n["outlier_multiple"] >= 2 for n in thumbnail["neighbours"])
    assert answer["degraded"] == ["no face model: run `thumblab models pull`"]
    assert answer["niche"] == "tech"
    assert answer["releases"] == {
        "model": lab.store.serving.current_id("model", "all"),
        "index": lab.store.serving.current_id("index", "tech"),
    }


def test_the_verdict_follows_the_confidence(service, draw):
    same = service.score(draw(1), draw(1))
    assert same["confidence"] == pytest.approx(0.5)
    assert same["verdict"] == "too_close_to_call"
    for first in range(12):
        answer = service.score(draw(first), draw(first + 1))
        p = answer["confidence"]
        expected = "clear" if p >= 0.745 else "leaning" if p >= 0.595 else "too_close_to_call"
        assert answer["verdict"] == expected
        # With two candidates, the confidence is the win probability of the better candidate.
        assert max(t["win_probability"] for t in answer["thumbnails"]) == pytest.approx(p, abs=1e-6)


def test_the_same_picture_in_the_library_is_the_nearest_neighbour(service, draw):
    answer = service.score(draw(1000 + 25))
    nearest = answer["thumbnails"][0]["neighbours"][0]
    assert nearest["video_id"] == "v25"
    assert nearest["similarity"] == pytest.approx(1, abs=1e-3)


def test_a_single_thumbnail_gets_the_verdict_only_one_and_no_probability(service, draw):
    answer = service.score(draw(1))
    assert answer["verdict"] == "only_one"
    assert answer["confidence"] is None
    assert answer["thumbnails"][0]["rank"] == 1
    assert answer["thumbnails"][0]["win_probability"] is None, "a single picture has no win probability"


def test_the_category_is_tech_by_default(service, draw):
    assert service.score(draw(1))["niche"] == "tech"


def test_without_an_index_similarities_are_the_default_and_the_answer_says_so(service, draw):
    answer = service.score(draw(1), draw(2), category="beauty")
    assert {t["similarity_score"] for t in answer["thumbnails"]} == {50.0}
    assert {t["similarity_source"] for t in answer["thumbnails"]} == {"default"}
    assert any("no index of beauty" in sentence for sentence in answer["degraded"])


def test_in_a_niche_unknown_to_the_model_pictures_are_ranked_without_a_score(service, draw):
    answer = service.score(draw(1), draw(2), category="beauty")
    assert [t["score"] for t in answer["thumbnails"]] == [None, None]
    assert sorted(t["rank"] for t in answer["thumbnails"]) == [1, 2]
    assert any("trained on too few videos of beauty" in sentence for sentence in answer["degraded"])


def test_uploads_with_the_same_name_get_distinct_ids(service, draw):
    files = [("thumbnails", ("a.jpg", draw(n), "image/jpeg")) for n in range(2)]
    reply = service.client.post("/v1/score", data={"title": "t"}, files=files)
    assert [t["id"] for t in reply.json()["thumbnails"]] == ["thumbnail-1", "thumbnail-2"]


def test_a_picture_is_encoded_once(service, draw, monkeypatch):
    data, encoded = draw(77_777), []
    cache = service.app.state.scorer.releases.warm_encoders.pictures
    get = cache.get
    monkeypatch.setattr(cache, "get", lambda key, make: get(key, lambda: encoded.append(key) or make()))
    service.score(data)
    service.score(data, title="another title")
    # At any time, the service may also encode a picture of its own, to check whether it still works. The test therefore
    # counts only the picture that it has sent.
    assert [digest for _, digest in encoded].count(hashlib.sha256(data).hexdigest()) == 1
