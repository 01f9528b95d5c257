"""Test that the sub-scores of real thumbnails change as expected if the picture or its title is changed.

Every test changes one thing, such as the largest face, in `PICTURES` or `READ` random pictures. Each test prints in how
many of these pictures the sub-score moved in the expected direction. A test fails if the sub-score moved in this
direction in fewer than 90 % of the pictures.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo.catalogues.catalogue import read_catalogue
from thumblab_core.encoders.load import title_encoder
from thumblab_core.images import Pixels, decode
from thumblab_core.sub_scores import Box, Measurement, Meter, Sample, Title
from thumblab_core.sub_scores.evidence import Evidence
from thumblab_core.sub_scores.faces import FaceFinder
from thumblab_core.sub_scores.picture_measurement import Engines, measure_picture
from thumblab_core.sub_scores.title_match import by_text

PICTURES = int(os.environ.get("THUMBLAB_TEST_PICTURES", "40"))
"""The number of pictures that each test changes. `make test-all` sets this number to 100."""
READ = PICTURES // 2 if PICTURES < 100 else PICTURES
"""The number of pictures that a test changes if the test also reads the text in the pictures. Reading text takes most
of the time of such a test.
"""
PROMISED = 0.9
_SEED = 20261121
_STEP = 40
_LINE = "terms and conditions apply to every order"

Change = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Real:
    """A real thumbnail with its title, sub-scores and evidence. Each use of `pixels` decodes the file again."""

    data: bytes
    title: str
    values: dict[str, float | None]
    evidence: Evidence

    @property
    def pixels(self) -> Pixels:
        return decode(self.data).pixels

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.evidence.texts or ())


@pytest.fixture(scope="module")
def face_model(shared_data: Path) -> Path:
    model = shared_data.parent / "models" / "face_detection_yunet_2026may.onnx"
    if not model.is_file():
        pytest.skip(f"the face model is missing ({model})")
    return model


@pytest.fixture(scope="module")
def meter(face_model: Path) -> Meter:
    return Meter(face_model, title_encoder("minilm"))


@pytest.fixture(scope="module")
def engines(face_model: Path) -> Engines:
    return Engines(None, FaceFinder(face_model))


@pytest.fixture(scope="module")
def files(shared_data: Path) -> list[tuple[bytes, str]]:
    """The files of all real thumbnails with their titles, in a random order."""
    catalogue = read_catalogue(shared_data / "thumbnails")
    order = sorted(catalogue.videos)
    random.Random(_SEED).shuffle(order)
    return [(catalogue.image(video_id), catalogue.videos[video_id].title) for video_id in order]


@pytest.fixture(scope="module")
def reals(files: list[tuple[bytes, str]], engines: Engines) -> list[Real]:
    """Thumbnails that were measured without reading text. At least `PICTURES` of these thumbnails have faces."""
    reals: list[Real] = []
    for data, title in files:
        measured = measure_picture(decode(data).pixels, engines)
        reals.append(Real(data, title, dict(measured.values), measured.evidence))
        if len(with_faces(reals)) == PICTURES and len(reals) >= PICTURES:
            break
    return reals


@pytest.fixture(scope="module")
def read(files: list[tuple[bytes, str]], meter: Meter) -> list[Real]:
    """Thumbnails that were measured, and whose text was also read.

    At least `READ` of these thumbnails have text to compare with the title.
    """
    reals: list[Real] = []
    for start in range(0, len(files), _STEP):
        step = files[start : start + _STEP]
        measurements = meter.measure_many(
            Sample(lambda data=data: decode(data).pixels, Title(title)) for data, title in step
        )
        for (data, title), measurement in zip(step, measurements, strict=True):
            assert isinstance(measurement, Measurement)
            values = {name: score.value for name, score in measurement.scores.items()}
            reals.append(Real(data, title, values, measurement.evidence))
        if len(with_text(reals)) == READ and len(reals) >= READ:
            break
    return reals


def with_faces(reals: list[Real]) -> list[Real]:
    return [real for real in reals if real.evidence.faces][:PICTURES]


def with_text(reals: list[Real]) -> list[Real]:
    return [real for real in reals if real.values["title_match"] is not None][:READ]


def value(measured: float | None) -> float:
    assert measured is not None
    return measured


@pytest.fixture
def promised(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Callable[[str, list[bool]], None]:
    """Return a function that checks a sentence, such as "blur lowers clarity".

    The second argument of the function has a boolean for each picture: whether the picture confirms the sentence. The
    function prints the sentence, and the number of pictures that confirm it. The function fails if these pictures are
    fewer than 90 %, or if there are not `count` pictures.
    """

    def check(relation: str, held: list[bool], count: int = PICTURES) -> None:
        with capsys.disabled():
            print(f"\n  {relation}: {sum(held)} of {len(held)} ({np.mean(held):.0%})", end="")
        assert len(held) == count
        assert np.mean(held) >= PROMISED

    return check


def falls(name: str, before: list[Real], change: Callable[[Real], Pixels], engines: Engines) -> list[bool]:
    """Return for each picture whether `change` lowered the sub-score `name` of the picture.

    To save time, the text reader does not read the changed pictures.
    """
    return [value(real.values[name]) > measure_picture(change(real), engines).values[name] for real in before]


@pytest.mark.slow
def test_blur_lowers_clarity(engines: Engines, reals: list[Real], promised: Callable[..., None]) -> None:
    def blurred(real: Real) -> Pixels:
        return cv2.GaussianBlur(real.pixels, (0, 0), 2)

    promised("blur of 2 pixels at 640 lowers clarity", falls("clarity", reals[:PICTURES], blurred, engines))


def test_fading_lowers_contrast(engines: Engines, reals: list[Real], promised: Callable[..., None]) -> None:
    def faded(real: Real) -> Pixels:
        pixels = real.pixels.astype(np.float32)
        return (0.6 * pixels + 0.4 * pixels.mean()).astype(np.uint8)

    promised("fading by 40% lowers contrast", falls("contrast", reals[:PICTURES], faded, engines))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["blurred", "filled", "inpainted", "halved"])
def test_a_smaller_or_missing_face_lowers_prominence(
    engines: Engines, reals: list[Real], promised: Callable[..., None], way: str
) -> None:
    def changed(real: Real) -> Pixels:
        assert real.evidence.faces
        return without_face(real.pixels, real.evidence.faces[0].box, way)

    held = falls("prominence", with_faces(reals), changed, engines)
    promised(f"the largest face {way} lowers prominence", held)


def without_face(pixels: Pixels, face: Box, way: str) -> Pixels:
    """Return a copy of the picture without the head around the face `face`. A background replaces the head.

    `way` is the name of the background. "filled" is the mean colour of the picture. "inpainted" fills the place of the
    head from the pixels around it. For any other value, the background is a blurred copy of the picture. With "halved",
    the head is also drawn on the blurred copy, at half its size.
    """
    height, width = pixels.shape[:2]
    head = Box.within(
        face.x - 0.3 * face.width, face.y - 0.4 * face.height, face.x + 1.3 * face.width, face.y + 1.3 * face.height
    )
    left, top = int(head.x * width), int(head.y * height)
    right, bottom = int((head.x + head.width) * width) + 1, int((head.y + head.height) * height) + 1
    inside = np.s_[top:bottom, left:right]
    copy = pixels.copy()
    small = cv2.resize(pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    if way == "filled":
        copy[inside] = pixels.reshape(-1, 3).mean(axis=0)
    elif way == "inpainted":
        mask = np.zeros(small.shape[:2], np.uint8)
        mask[top // 4 : bottom // 4 + 1, left // 4 : right // 4 + 1] = 1
        copy[inside] = cv2.resize(cv2.inpaint(small, mask, 3, cv2.INPAINT_TELEA), (width, height))[inside]
    else:
        blurred = cv2.GaussianBlur(small, (0, 0), max(2.0, face.width * small.shape[1] / 2))
        copy[inside] = cv2.resize(blurred, (width, height))[inside]
    if way == "halved":
        half = cv2.resize(pixels[inside], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        y, x = (top + bottom - half.shape[0]) // 2, (left + right - half.shape[1]) // 2
        copy[y : y + half.shape[0], x : x + half.shape[1]] = half
    return copy


@pytest.mark.slow
def test_a_title_that_repeats_the_text_matches_better_than_a_random_one(
    read: list[Real], promised: Callable[..., None]
) -> None:
    texts = with_text(read)
    others = random.Random(_SEED).sample([real.title for real in read], 2 * len(texts))
    randoms, carriers = others[: len(texts)], others[len(texts) :]
    repeating = [f"{carrier}: {real.text.capitalize()}" for real, carrier in zip(texts, carriers, strict=True)]

    def matches(titles: list[str]) -> list[float]:
        encode = title_encoder("minilm").encode_texts
        pairs = zip(encode([real.text for real in texts]), encode(titles), strict=True)
        return [by_text(text, title) for text, title in pairs]

    def beat(some: list[str]) -> list[bool]:
        return [more > less for more, less in zip(matches(some), matches(randoms), strict=True)]

    promised("a random title that also says what the text says beats another random title", beat(repeating), READ)
    own = beat([real.title for real in texts])
    # A title in `repeating` must match the text better than a random title in 90 % of the pictures. For the real titles
    # of the videos, 60 % are enough, because many pictures do not repeat their title.
    assert np.mean(own) > 0.6


@pytest.mark.slow
def test_small_text_lowers_hierarchy(meter: Meter, read: list[Real], promised: Callable[..., None]) -> None:
    def littered(real: Real) -> Pixels:
        chance = random.Random(real.title)
        pixels = real.pixels.copy()
        height, width = pixels.shape[:2]
        for _ in range(4):
            at = chance.randrange(0, width // 2), chance.randrange(20, height)
            cv2.putText(pixels, _LINE, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width / 640, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.putText(pixels, _LINE, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width / 640, (255, 255, 255), 1, cv2.LINE_AA)
        return pixels

    before = read[:READ]
    after = meter.measure_many(Sample(lambda real=real: littered(real)) for real in before)
    held = []
    for real, changed in zip(before, after, strict=True):
        assert isinstance(changed, Measurement)
        held.append(value(real.values["hierarchy"]) > value(changed.scores["hierarchy"].value))
    promised("four lines of small text lower hierarchy", held, READ)
