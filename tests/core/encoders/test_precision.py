"""Test the choice of an encoder's precision.

The precision is the type of number with which the encoder calculates, such as float32 or int8. The lab chooses the
fastest precision whose vectors agree with the float32 vectors, and chooses only once. An encoder has a different
fingerprint for each precision, so vectors of different precisions are never mixed.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_clip import TinyClip

from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.encoders.agreement import agreement
from thumblab_core.encoders.load import image_encoder, image_encoder_name, named_image_encoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.encoders.precision import (
    CALIBRATION,
    HELD_OUT,
    PrecisionChoice,
    bfloat16_here,
    choose_precision,
    quantise_int8,
)
from thumblab_core.encoders.preprocessing import Prepared, Preprocessing
from thumblab_core.encoders.protocol import text_tower, unit
from thumblab_core.errors import LabError
from thumblab_core.images import Pixels, decode
from thumblab_core.releases.release import ENCODER, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    catalogue = synthetic_catalogue(videos=CALIBRATION + HELD_OUT)
    return [decode(catalogue.image(video_id)).pixels for video_id in catalogue.videos]


@pytest.fixture(scope="module")
def plain(tiny: TinyClip) -> OpenClipEncoder:
    return OpenClipEncoder(tiny.name, str(tiny.weights))


@pytest.fixture(scope="module")
def prepared(plain: OpenClipEncoder, pictures: list[Pixels]) -> list[Prepared]:
    return [plain.prepare(picture) for picture in pictures]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ReleaseStore:
    return ReleaseStore(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="module")
def int8(plain: OpenClipEncoder, store: ReleaseStore, prepared: list[Prepared]) -> PrecisionChoice:
    return choose_precision(plain, store, "auto", prepared)


def never(graph: Any, pictures: Sequence[Prepared], preprocessing: Preprocessing) -> Any:
    raise AssertionError("the model was quantised again")


@pytest.mark.slow
def test_the_fastest_precision_that_agrees_with_float32_is_chosen(
    tiny: TinyClip, plain: OpenClipEncoder, store: ReleaseStore, int8: PrecisionChoice, pictures: list[Pixels]
) -> None:
    assert (int8.precision, int8.refused) == ("int8", ())
    settings = Settings(image_encoder=tiny.setting, release_dir=store.root)
    fast = image_encoder(settings)
    assert image_encoder_name(settings) == f"{tiny.setting}@{int8.release.release_id}"
    measured = agreement(plain.encode_images(pictures), fast.encode_images(pictures))
    assert measured.good
    assert measured.mean_cosine < 0.99999, "the vectors must not be those of float32"
    assert fast.dimension == plain.dimension
    tower = text_tower(fast)
    assert tower is not None
    np.testing.assert_array_equal(tower.encode_texts(["a phone"]), plain.encode_texts(["a phone"]))


def test_an_encoder_with_a_published_precision_does_not_load_its_weights(
    tiny: TinyClip, store: ReleaseStore, int8: PrecisionChoice, plain: OpenClipEncoder, pictures: list[Pixels]
) -> None:
    settled = OpenClipEncoder(tiny.name, str(tiny.weights), int8.release)
    settled.encode_images(pictures[:2])
    assert "_loaded" not in vars(settled)


@pytest.mark.slow
def test_every_precision_has_a_fingerprint_of_its_own(
    tiny: TinyClip, plain: OpenClipEncoder, int8: PrecisionChoice, prepared: list[Prepared], tmp_path: Path
) -> None:
    # Quantisation measures the ranges of values on every third picture. With the pictures in reverse order, `other` is
    # quantised on different pictures than `int8`. The ranges of the two models differ, so their vectors differ
    # slightly.
    other = choose_precision(plain, ReleaseStore(tmp_path), "int8", prepared[::-1])
    encoders = [OpenClipEncoder(tiny.name, str(tiny.weights), choice.release) for choice in (int8, other)]
    fingerprints = {plain.fingerprint, *(encoder.fingerprint for encoder in encoders)}
    assert len(fingerprints) == 3
    assert all(fingerprint.startswith(plain.base) for fingerprint in fingerprints)


def test_a_published_precision_is_not_chosen_again(
    plain: OpenClipEncoder, store: ReleaseStore, int8: PrecisionChoice, prepared: list[Prepared]
) -> None:
    assert choose_precision(plain, store, "auto", prepared, quantise=never) == int8


def test_two_threads_that_choose_at_once_quantise_once_and_get_the_same_result(
    plain: OpenClipEncoder, prepared: list[Prepared], tmp_path: Path
) -> None:
    quantised: list[int] = []

    def counting(graph: Any, some: Sequence[Prepared], preprocessing: Preprocessing) -> Any:
        quantised.append(len(some))
        return quantise_int8(graph, some, preprocessing)

    choices: list[PrecisionChoice] = []

    def work() -> None:
        choices.append(choose_precision(plain, ReleaseStore(tmp_path), "auto", prepared, quantise=counting))

    plain.graph()  # This call converts the model before the threads start. torch can convert only one model at a time.
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert quantised == [CALIBRATION]
    assert choices[0] == choices[1]


_ON_BLACK: list[Any] = []
"""The model that `on_black` returns. The model is made only once, because making it takes seconds."""


def on_black(graph: Any, pictures: Sequence[Prepared], preprocessing: Preprocessing) -> Any:
    """Return a bad int8 model. The ranges of values of the model were measured on black pictures.

    The model clips all values outside these ranges, so it fails on brighter pictures.
    """
    if not _ON_BLACK:
        _ON_BLACK.append(quantise_int8(graph, [np.zeros_like(picture) for picture in pictures], preprocessing))
    return _ON_BLACK[0]


def test_a_bad_quantisation_is_refused_with_its_figures_and_the_next_precision_is_chosen(
    plain: OpenClipEncoder, prepared: list[Prepared], tmp_path: Path
) -> None:
    choice = choose_precision(plain, ReleaseStore(tmp_path), "auto", prepared, quantise=on_black)
    assert choice.precision == ("bfloat16" if bfloat16_here() else "float32")
    assert choice.refused[0].startswith("int8: mean cosine 0.")
    assert float(choice.refused[0].split()[3].rstrip(",")) < 0.99


def test_a_requested_precision_that_does_not_agree_is_an_error_and_not_published(
    plain: OpenClipEncoder, prepared: list[Prepared], tmp_path: Path
) -> None:
    store = ReleaseStore(tmp_path)
    with pytest.raises(LabError, match=r"cannot be computed in int8 .*THUMBLAB_ENCODER_PRECISION to auto or float32"):
        choose_precision(plain, store, "int8", prepared, quantise=on_black)
    assert store.all(ENCODER, plain.base) == []


def test_too_few_pictures_are_an_error(plain: OpenClipEncoder, store: ReleaseStore) -> None:
    with pytest.raises(LabError, match=f"0 pictures are too few .* {CALIBRATION + HELD_OUT} are needed"):
        choose_precision(plain, store, "auto", [])


def test_the_setting_float32_ignores_a_published_precision(
    tiny: TinyClip, store: ReleaseStore, int8: PrecisionChoice
) -> None:
    settings = Settings(image_encoder=tiny.setting, release_dir=store.root, encoder_precision="float32")
    assert image_encoder(settings).fingerprint.endswith("-float32")


def test_a_published_graph_that_was_changed_is_refused(
    tiny: TinyClip, plain: OpenClipEncoder, int8: PrecisionChoice, pictures: list[Pixels], tmp_path: Path
) -> None:
    store = ReleaseStore(tmp_path)
    copy = store.publish(
        ENCODER,
        plain.base,
        lambda folder: (
            [(folder / n).write_bytes((int8.release.path / n).read_bytes()) for n in int8.release.files] and None
        ),
        int8.release.info,
    )
    weights = bytearray((copy.path / "model.bin").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copy.path / "model.bin").write_bytes(weights)
    encoder = named_image_encoder(f"{tiny.setting}@{copy.release_id}", tmp_path)
    with pytest.raises(ReleaseError, match=r"model\.bin does not match its checksum"):
        encoder.encode_images(pictures[:1])


def test_a_missing_encoder_release_is_named(tiny: TinyClip, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="20260101T000000000000Z-01234567 has no readable manifest"):
        named_image_encoder(f"{tiny.setting}@20260101T000000000000Z-01234567", tmp_path)


def test_half_precision_is_refused_without_cuda(tiny: TinyClip, tmp_path: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine may have CUDA")
    with pytest.raises(LabError, match="on CUDA, which this machine does not have"):
        named_image_encoder(f"{tiny.setting}@bfloat16", tmp_path)


Damage = Callable[[np.ndarray], np.ndarray]


def rotated(vectors: np.ndarray) -> np.ndarray:
    """Rotate all vectors in the same way.

    The cosines between the rotated vectors are the same as before, but each vector has a new direction.
    """
    return vectors @ np.linalg.qr(np.random.default_rng(1).standard_normal((vectors.shape[1],) * 2))[0]


def noisy(share: float) -> Damage:
    return lambda vectors: vectors + share * np.random.default_rng(2).standard_normal(vectors.shape) / np.sqrt(64)


@pytest.mark.parametrize(
    ("damage", "good"),
    [(lambda v: v, True), (noisy(0.01), True), (noisy(0.3), False), (rotated, False), (lambda v: v[::-1], False)],
    ids=["none", "little noise", "much noise", "another space", "another picture's"],
)
def test_agreement_compares_vectors_and_the_order_of_neighbours(damage: Damage, good: bool) -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((64, 64)))
    assert agreement(vectors, unit(damage(vectors))).good is good


def test_vectors_with_high_cosines_must_also_keep_their_order() -> None:
    """Check that two sets of vectors agree only if the pictures also keep their nearest neighbours. A high mean cosine
    is not enough.

    The vectors of an untrained model have cosines above 0.99, even for different pictures. With an untrained model, a
    test of the mean cosine alone would therefore accept any vectors.
    """
    random = np.random.default_rng(0)
    vectors = unit(random.standard_normal(64) + 0.05 * random.standard_normal((64, 64)))
    candidate = unit(vectors + 0.005 * random.standard_normal((64, 64)))
    measured = agreement(vectors, candidate)
    assert measured.mean_cosine > 0.99
    assert not measured.good


def test_identical_pictures_do_not_show_agreement() -> None:
    vectors = unit(np.ones((8, 4)))
    assert not agreement(vectors, vectors).good
