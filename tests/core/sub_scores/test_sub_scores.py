"""Test the six sub-scores and their evidence on drawn pictures. test_sub_scores_metamorphic.py uses real thumbnails.

Some tests use a text tower, which is the part of a CLIP encoder that encodes texts. With a text tower, the lab can
compare a title with a picture.
"""

import dataclasses
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.encoders.load import title_encoder
from thumblab_core.errors import LabError
from thumblab_core.images import ImageError, Pixels, decode
from thumblab_core.sub_scores import NAMES, Box, Face, Measurement, Meter, Sample, TextLine, Title, meter
from thumblab_core.sub_scores.explanations import WEAK, explain
from thumblab_core.sub_scores.layout import BADGE, badge_overlap, edge_energy
from thumblab_core.sub_scores.picture_measurement import Engines, measure_picture

Values = dict[str, float]

TENT = Title("Tent in the rain")


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    catalogue = synthetic_catalogue(videos=42)
    return [decode(catalogue.image(video_id)).pixels for video_id in list(catalogue.videos)[:12]]


@pytest.fixture(scope="module")
def plain() -> Meter:
    return Meter(None, title_encoder("minilm"))


@pytest.fixture(scope="module")
def measured(plain: Meter, pictures: list[Pixels]) -> list[Measurement]:
    return [plain.measure(picture, TENT) for picture in pictures]


def values(picture: Pixels) -> Values:
    """Return the sub-scores of a picture. To save time, the meter looks for neither text nor faces."""
    return measure_picture(picture, Engines(None, None)).values


def falls(name: str, before: list[Pixels], after: list[Pixels]) -> float:
    """Return the share of the pictures whose sub-score `name` is lower in `after` than in `before`."""
    return float(np.mean([values(b)[name] > values(a)[name] for b, a in zip(before, after, strict=True)]))


def written(text: str, size: float = 2.0, at: tuple[int, int] = (40, 200), ground: int = 30) -> Pixels:
    """Return a dark picture of 640x360 pixels with white text. If `size` is 1, letters are about 22 pixels high."""
    picture = np.full((360, 640, 3), ground, np.uint8)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_DUPLEX, size, (255, 255, 255), max(1, round(2 * size)), cv2.LINE_AA)
    return picture


def hostile() -> dict[str, Pixels]:
    random = np.random.default_rng(0)
    checks = (np.indices((180, 320)).sum(axis=0) % 2 * 255).astype(np.uint8)
    return {
        "black": np.zeros((180, 320, 3), np.uint8),
        "grey": np.full((180, 320, 3), 127, np.uint8),
        "white": np.full((180, 320, 3), 255, np.uint8),
        "noise": random.integers(0, 256, (180, 320, 3), np.uint8),
        "strip": random.integers(0, 256, (32, 320, 3), np.uint8),
        "tower": random.integers(0, 256, (320, 32, 3), np.uint8),
        "black strip": np.zeros((32, 320, 3), np.uint8),
        "smallest": random.integers(0, 256, (32, 32, 3), np.uint8),
        "checks": np.repeat(checks[..., None], 3, axis=2),
        "one dot": np.pad(np.full((1, 1, 3), 255, np.uint8), ((90, 89), (160, 159), (0, 0))),
        "portrait": np.ascontiguousarray(np.rot90(written("SIDEWAYS"))),
    }


@pytest.mark.parametrize("name", hostile())
def test_for_any_picture_every_figure_is_between_0_and_1_and_has_a_reason(plain: Meter, name: str) -> None:
    measurement = plain.measure(hostile()[name], Title("a title"))
    assert tuple(measurement.scores) == NAMES
    for score in measurement.scores.values():
        assert score.reason
        assert score.value is None or 0 <= score.value <= 1
    assert all(score.value is not None for score in measurement.scores.values() if score.name != "title_match")
    evidence = measurement.evidence
    for figure in (
        evidence.sharpness,
        evidence.luminance_contrast,
        evidence.colour_contrast,
        evidence.badge_overlap,
        evidence.legibility,
    ):
        assert figure is None or 0 <= figure <= 1
    assert np.shape(evidence.saliency) == (9, 16)
    assert all(0 <= cell <= 1 for row in evidence.saliency for cell in row)


def test_evidence_is_plain_json_without_nan(plain: Meter) -> None:
    for picture in [*hostile().values(), written("HELLO THERE")]:
        evidence = plain.measure(picture, Title("hello")).evidence.as_json()
        assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence


@pytest.mark.slow
def test_measuring_again_and_from_many_threads_gives_equal_values(
    plain: Meter, pictures: list[Pixels], measured: list[Measurement]
) -> None:
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda picture: plain.measure(picture.copy(), TENT), pictures))
    for single, parallel in zip(measured, together, strict=True):
        assert single.scores.keys() == parallel.scores.keys()
        for name, score in single.scores.items():
            # With several threads, some libraries add up the terms of a sum in a different order than with one thread.
            # The last digits of the results therefore differ.
            assert parallel.scores[name].value == pytest.approx(score.value, abs=1e-4)


def test_edge_energy_is_exact_and_so_the_same_in_every_measurement(pictures: list[Pixels]) -> None:
    # An earlier `edge_energy` called cv2.magnitude, whose result is off by 1e-7 and varies from call to call.
    for picture in pictures:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        dx, dy = cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1)
        exact = math.fsum(np.hypot(dx, dy).ravel()) / grey.size
        assert edge_energy(grey) == pytest.approx(exact, rel=1e-12)


def test_blurring_lowers_clarity_and_fading_contrast(pictures: list[Pixels]) -> None:
    assert falls("clarity", pictures, [cv2.GaussianBlur(p, (0, 0), 3) for p in pictures]) == 1
    faded = [(p.astype(float) * 0.5 + p.mean() * 0.5).astype(np.uint8) for p in pictures]
    assert falls("contrast", pictures, faded) == 1


def test_fading_does_not_change_clarity(pictures: list[Pixels]) -> None:
    for picture in pictures[:8]:
        faded = (picture.astype(float) * 0.5 + picture.mean() * 0.5).astype(np.uint8)
        assert values(faded)["clarity"] == pytest.approx(values(picture)["clarity"], abs=0.08)


def test_removing_colour_lowers_emotion_and_contrast(pictures: list[Pixels]) -> None:
    grey = [np.repeat(p.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8) for p in pictures]
    assert falls("emotion", pictures, grey) > 0.9
    assert falls("contrast", pictures, grey) > 0.9


def test_a_subject_on_a_plain_background_is_more_prominent_than_texture() -> None:
    texture = np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8)
    calm = np.full_like(texture, 90)
    calm[60:110, 60:110] = texture[60:110, 60:110]
    assert values(calm)["prominence"] > values(texture)["prominence"] + 0.2


def test_the_subject_is_located(plain: Meter) -> None:
    picture = np.full((360, 640, 3), 90, np.uint8)
    cv2.circle(picture, (480, 120), 50, (250, 60, 40), -1)
    subject = plain.measure(picture).evidence.subject
    assert subject is not None
    assert Box(430 / 640, 70 / 360, 100 / 640, 100 / 360).covered_by(subject) > 0.5
    assert subject.area < 0.2


def test_the_size_of_the_picture_hardly_changes_the_scores(pictures: list[Pixels]) -> None:
    for picture in pictures[:8]:
        large = values(cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
        own = values(picture)
        for name in ("clarity", "contrast", "emotion", "prominence"):
            assert large[name] == pytest.approx(own[name], abs=0.08)


def test_text_is_read_with_its_box_and_its_height_at_120(plain: Meter) -> None:
    (line,) = plain.measure(written("NEW PHONE")).evidence.texts or ()
    assert line.text.replace(" ", "") == "NEWPHONE"
    assert line.confidence > 0.8
    assert line.height_at_120 == pytest.approx(44 * 120 / 640, rel=0.5)
    letters = Box(40 / 640, 155 / 360, 360 / 640, 45 / 360)
    assert letters.covered_by(line.box) > 0.85


def test_text_that_is_too_small_is_named_with_its_height(plain: Meter) -> None:
    hierarchy = plain.measure(written("TERMS AND CONDITIONS APPLY", size=0.8)).scores["hierarchy"]
    assert "TERMS" in hierarchy.reason
    assert "px high at 120 px wide" in hierarchy.reason
    assert hierarchy.fix is not None
    assert plain.measure(written("BIG", size=4)).scores["hierarchy"].fix is None


def test_text_under_the_length_badge_is_named(plain: Meter) -> None:
    measurement = plain.measure(written("12345", size=1, at=(535, 335)))
    assert measurement.evidence.badge_overlap > 0.3
    assert "length badge" in measurement.scores["hierarchy"].reason
    assert plain.measure(written("12345", size=1, at=(20, 60))).evidence.badge_overlap == 0


def test_badge_overlap_is_the_largest_share_of_a_box_under_the_badge() -> None:
    half = Box(BADGE.x - BADGE.width, BADGE.y, 2 * BADGE.width, BADGE.height)
    lines = (TextLine(half, "x", 1.0, 10.0), TextLine(Box(0, 0, 0.5, 0.5), "y", 1.0, 10.0))
    assert badge_overlap(lines, (Face(Box(0.1, 0.1, 0.1, 0.1), 1.0),), None) == pytest.approx(0.5)
    assert badge_overlap((), (), None) == 0


def test_without_a_face_model_the_evidence_says_what_to_install(plain: Meter) -> None:
    evidence = plain.measure(written("HELLO")).evidence
    assert evidence.faces is None
    assert evidence.missing == ("no face model: run `thumblab models pull`",)


def test_without_a_text_reader_the_other_scores_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)  # Importing rapidocr now fails, as if it were not installed.
    measurement = Meter(None).measure(written("HELLO"), Title("hello"))
    assert measurement.evidence.texts is None
    assert "no text reader" in measurement.evidence.missing[0]
    assert measurement.scores["title_match"].value is None
    assert "text reader" in measurement.scores["title_match"].reason
    assert measurement.scores["hierarchy"].value is not None


def test_an_invalid_face_model_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    broken = tmp_path / "faces.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(LabError, match="thumblab models pull"):
        Meter(broken).measure(written("HELLO"))


def test_faces_are_found_and_named_as_the_reason_for_prominence(shared_data: Path) -> None:
    model = shared_data.parent / "models" / "face_detection_yunet_2026may.onnx"
    stills = sorted((shared_data / "faces" / "group_stills").glob("*.[jp][pn]g"))
    measurement = Meter(model).measure(decode(stills[0].read_bytes()).pixels)
    assert measurement.evidence.missing == ()
    assert measurement.evidence.faces
    assert all(0.7 <= face.confidence <= 1 and 0 < face.box.area < 1 for face in measurement.evidence.faces)
    assert "face" in measurement.scores["prominence"].reason


def test_title_match_compares_text_without_a_text_tower(plain: Meter) -> None:
    picture = written("BEST CAMERA PHONE", size=1.5)
    repeated, other = (plain.measure(picture, Title(title)) for title in ("The best camera phone", "Pasta with lemon"))
    assert repeated.evidence.title_match_by == other.evidence.title_match_by == "text"
    high, low = repeated.scores["title_match"].value, other.scores["title_match"].value
    assert high is not None
    assert low is not None
    assert high > 0.7 > 0.3 > low


def test_title_match_is_none_with_a_reason_where_nothing_can_be_compared(plain: Meter) -> None:
    def reason(meter: Meter, picture: Pixels, title: str | None) -> str:
        score = meter.measure(picture, Title(title)).scores["title_match"]
        assert score.value is None
        assert score.fix is None
        return score.reason

    assert "no title" in reason(plain, written("HELLO"), None)
    assert "no readable text" in reason(plain, np.full((180, 320, 3), 90, np.uint8), "hello")
    assert "no readable text" in reason(plain, written("42"), "the answer")
    assert "no title encoder" in reason(Meter(None), written("HELLO"), "hello")


def test_title_match_rises_with_the_cosine_with_a_text_tower(plain: Meter) -> None:
    def match(cosine: float) -> float | None:
        title = np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)
        measurement = plain.measure(written("HELLO"), Title("hello", np.array([1, 0], np.float32), title))
        assert measurement.evidence.title_match_by == "picture"
        return measurement.scores["title_match"].value

    assert match(0.05) == 0
    assert match(0.225) == pytest.approx(0.5, abs=1e-5)
    assert match(0.4) == 1


def test_only_a_weak_score_has_a_fix(plain: Meter) -> None:
    evidence = plain.measure(np.full((180, 320, 3), 90, np.uint8)).evidence
    for name in NAMES:
        weak, strong = explain(name, WEAK[name] - 0.01, evidence), explain(name, WEAK[name], evidence)
        assert weak.reason
        assert weak.fix
        assert strong.reason
        assert strong.fix is None


def test_measure_many_keeps_the_order_and_returns_the_errors_of_bad_pictures(
    plain: Meter, pictures: list[Pixels], measured: list[Measurement]
) -> None:
    def bad() -> Pixels:
        raise ImageError("the picture is damaged")

    samples = [Sample(lambda picture=picture: picture, TENT) for picture in pictures]
    samples.insert(3, Sample(bad))
    samples.insert(5, Sample(lambda: np.zeros((0, 0, 3), np.uint8)))
    results = list(plain.measure_many(samples))
    assert [n for n, result in enumerate(results) if not isinstance(result, Measurement)] == [3, 5]
    assert str(results[3]) == "the picture is damaged"
    assert isinstance(results[5], LabError)
    good = [result for result in results if isinstance(result, Measurement)]
    for together, alone in zip(good, measured, strict=True):
        match, expected = together.scores["title_match"].value, alone.scores["title_match"].value
        assert together.evidence == alone.evidence
        # The last digits of `title_match` depend on how many texts are encoded together.
        assert match == expected or math.isclose(match or 0, expected or 0, abs_tol=1e-4)


@pytest.mark.slow
def test_measure_many_consumes_samples_as_needed(plain: Meter) -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield Sample(lambda: np.full((36, 64, 3), 90, np.uint8))

    measured = plain.measure_many(endless())  # type: ignore[arg-type]
    for _ in range(3):
        assert isinstance(next(measured), Measurement)
    assert taken <= 64 + 4 * (meter.os.cpu_count() or 1)
    measured.close()  # type: ignore[attr-defined]


def test_the_version_changes_with_everything_that_the_scores_depend_on(
    plain: Meter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    versions = [plain.version, Meter(None).version, Meter(first).version, Meter(second).version]
    monkeypatch.setattr(meter, "FORMULAS", "next")
    versions.append(Meter(None).version)
    assert len(set(versions)) == len(versions)
    assert Meter(first).version == Meter(first).version


def test_importing_loads_no_engine_and_measuring_prints_nothing() -> None:
    script = (
        "import sys, numpy as np; from thumblab_core.sub_scores import Meter;"
        "heavy = {'cv2', 'rapidocr', 'openvino', 'torch'} & set(sys.modules); assert not heavy, heavy;"
        "meter = Meter(None); meter.version; assert 'rapidocr' not in sys.modules;"
        "meter.measure(np.full((36, 64, 3), 90, np.uint8))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_box_is_clipped_to_the_picture() -> None:
    assert Box.within(-0.5, 0.9, 0.5, 1.7) == Box(0.0, 0.9, 0.5, pytest.approx(0.1))
    assert Box.within(1.2, 1.2, 1.5, 1.5).area == 0
    assert dataclasses.replace(BADGE, width=0.0).covered_by(BADGE) == 0
