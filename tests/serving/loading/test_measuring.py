"""Test the sub-scores of an answer, with their evidence and their percentiles in the niche.

The tests also check the answer if something cannot be measured.
"""

import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from thumblab_core.sub_scores import NAMES, meter
from thumblab_core.sub_scores.distribution import ScoreDistribution

FACES = "no face model: run `thumblab models pull`"


def lettered(words: str, size: tuple[int, int] = (640, 360)) -> bytes:
    """Return a PNG that shows `words` in large letters."""
    image = Image.new("RGB", size, (20, 60, 160))
    font = ImageFont.load_default(size=size[1] // 4)
    ImageDraw.Draw(image).text((size[0] // 12, size[1] // 3), words, fill="white", font=font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def face(shared_data: Path) -> tuple[Path, bytes]:
    """The file of a real face detector, and a picture with a real face that this detector finds."""
    model = shared_data.parent / "models" / "face_detection_yunet_2026may.onnx"
    faces = sorted((shared_data / "faces" / "people").rglob("*.png"))
    if not model.is_file() or not faces:
        pytest.skip("the face model or the picture with a face is missing")
    with Image.open(faces[0]) as face_image:
        picture = Image.new("RGB", (640, 360), (90, 120, 90))
        picture.paste(face_image.convert("RGB").resize((200, 200)), (200, 80))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return model, out.getvalue()


def test_text_in_a_picture_is_read_and_compared_with_the_title(service):
    answer = service.score(lettered("PHONES"), lettered("KITTENS"), title="I tested every phone under $200")
    phones, kittens = answer["thumbnails"]
    assert [line["text"] for line in phones["evidence"]["texts"]] == ["PHONES"]
    box = phones["evidence"]["texts"][0]["box"]
    assert 0.05 < box["x"] < 0.12
    assert phones["evidence"]["title_match_by"] == "text"
    assert "'PHONES'" in phones["sub_scores"]["title_match"]["reason"]
    assert phones["sub_scores"]["title_match"]["value"] > kittens["sub_scores"]["title_match"]["value"]


def test_evidence_is_in_fractions_of_the_picture(service):
    evidence = service.score(lettered("PHONES", (960, 720)))["thumbnails"][0]["evidence"]
    assert (evidence["width"], evidence["height"]) == (960, 720)
    assert np.shape(evidence["saliency"]) == (9, 16)
    assert evidence["badge"] == {"x": 0.83, "y": 0.84, "width": 0.15, "height": 0.12}


def test_without_a_face_model_the_answer_says_once_what_is_missing(service, draw):
    answer = service.score(draw(1), draw(2), draw(3))
    assert answer["degraded"] == [FACES]
    assert [t["evidence"]["faces"] for t in answer["thumbnails"]] == [None] * 3
    assert service.health()["meter"] == {"state": "warm", "missing": [FACES], "reason": None}


def test_with_a_face_model_a_face_is_found_and_is_the_subject(new_lab, run, face):
    model, picture = face
    lab = new_lab(face_model=model)
    lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings) as service:
        answer = service.score(picture)
        evidence = answer["thumbnails"][0]["evidence"]
        assert answer["degraded"] == []
        assert len(evidence["faces"]) == 1
        face_box, subject = evidence["faces"][0]["box"], evidence["subject"]
        assert (
            subject["x"] <= face_box["x"] < face_box["x"] + face_box["width"] <= subject["x"] + subject["width"] + 1e-3
        )
        assert "face" in answer["thumbnails"][0]["sub_scores"]["prominence"]["reason"]


@pytest.mark.parametrize("content", [None, b"not a model", b"\x08 looks like a model"])
def test_an_unusable_face_model_is_reported_and_not_ignored(new_lab, run, draw, tmp_path, content):
    path = tmp_path / "faces.onnx"
    if content is not None:
        path.write_bytes(content)
    lab = new_lab(face_model=path)
    lab.promote(lab.model())
    with run(lab.settings, wait=False) as service:
        reply = service.upload(draw(1))
        assert reply.status_code == 503
        assert str(path) in reply.json()["detail"]
        assert service.health()["meter"]["state"] == "failed"
        assert str(path) in service.client.get("/ready").json()["detail"]


def test_a_percentile_is_the_position_in_the_library_of_the_niche(service, draw):
    for sub in service.score(draw(5))["thumbnails"][0]["sub_scores"].values():
        if sub["value"] is None:
            assert (sub["niche_percentile"], sub["weak"], sub["fix"]) == (None, False, None)
        else:
            assert sub["niche_percentile"] == pytest.approx(100 * sub["value"], abs=0.01)
            assert sub["weak"] == (sub["niche_percentile"] < 10)


@pytest.mark.parametrize(("value", "weak"), [(0.999, True), (0.0, False)])
def test_weak_depends_on_the_niche_and_comes_with_a_fix(new_lab, run, draw, value, weak):
    """Check that a sub-score is called weak only in comparison with the library.

    If all pictures of the library have higher values, even a high value is weak. If all pictures of the library have
    lower values, even a low value is not weak.
    """
    lab = new_lab()
    lab.promote(lab.index(scores=ScoreDistribution.of(lab.meter, 40, dict.fromkeys(NAMES, [value] * 40))))
    lab.promote(lab.model())
    with run(lab.settings) as service:
        scores = service.score(draw(1))["thumbnails"][0]["sub_scores"]
    measured = {name: sub for name, sub in scores.items() if sub["value"] is not None}
    assert len(measured) == 5
    assert all(sub["weak"] is weak for sub in measured.values())
    assert all((sub["fix"] is not None) is weak for sub in measured.values())


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        (None, "holds no sub-scores"),
        (ScoreDistribution.of("older", 40, dict.fromkeys(NAMES, [0.5] * 40)), "was measured by another version"),
    ],
)
def test_an_index_without_comparable_sub_scores_is_served_and_the_answer_says_so(new_lab, run, draw, scores, why):
    lab = new_lab()
    index = lab.promote(lab.index(scores=scores))
    lab.promote(lab.model())
    with run(lab.settings) as service:
        answer = service.score(draw(1))
    assert answer["releases"]["index"] == index.release_id
    assert why in answer["degraded"][0]
    subs = answer["thumbnails"][0]["sub_scores"].values()
    assert {sub["niche_percentile"] for sub in subs} == {None}
    assert answer["thumbnails"][0]["similarity_source"] == "faiss"


def test_an_index_with_invalid_sub_scores_is_refused(new_lab, run, draw):
    lab = new_lab()
    good = lab.promote(lab.index())
    lab.promote(lab.model())
    backwards = ScoreDistribution(lab.meter, 40, dict.fromkeys(NAMES, np.linspace(1, 0, 101).tolist()))
    with run(lab.settings) as service:
        lab.promote(lab.index(seed=1, scores=backwards))
        assert service.score(draw(1))["releases"]["index"] == good.release_id
        assert "do not rise" in service.health()["indices"]["tech"]["refused"]["reason"]


def test_a_picture_is_measured_once_for_all_titles(service, draw, monkeypatch):
    looks = []
    see = meter.measure_picture
    monkeypatch.setattr(meter, "measure_picture", lambda image, eyes: looks.append(1) or see(image, eyes))
    picture = draw(88_888)
    first = service.score(picture)["thumbnails"][0]["evidence"]
    again = service.score(picture, title="another title")["thumbnails"][0]["evidence"]
    assert (len(looks), again["texts"]) == (1, first["texts"])


def test_openapi_describes_the_evidence_and_the_niche_percentile(service):
    schemas = json.loads(httpx.get(f"{service.url}/openapi.json").text)["components"]["schemas"]
    assert set(schemas["EvidenceOut"]["properties"]) >= {"texts", "faces", "subject", "badge", "saliency", "missing"}
    assert "lower value" in schemas["SubScoreOut"]["properties"]["niche_percentile"]["description"]


@pytest.mark.parametrize("size", [(32, 32), (32, 320), (320, 32), (2000, 200), (3840, 2160)])
def test_a_picture_of_any_shape_is_measured(service, draw, size):
    (thumbnail,) = service.score(draw(6, size))["thumbnails"]
    assert thumbnail["error"] is None
    assert (thumbnail["evidence"]["width"], thumbnail["evidence"]["height"]) == size


def test_a_picture_that_cannot_be_measured_gets_an_error(new_lab, run, draw, monkeypatch):
    from thumblab_core.sub_scores import Meter

    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model())
    real = Meter.measure_picture

    def measure_picture(self, image):
        if image.shape[:2] == (99, 99):
            raise ZeroDivisionError("the engine is broken")
        return real(self, image)

    monkeypatch.setattr(Meter, "measure_picture", measure_picture)
    with run(lab.settings) as service:
        good, bad = service.score(draw(1), draw(2, (99, 99)))["thumbnails"]
    assert good["rank"] == 1
    assert "could not be measured (ZeroDivisionError" in bad["error"]
