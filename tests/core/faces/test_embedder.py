"""Test the face embedder, whose network is a file that OpenVINO runs. The tests cover the scaling of the pixels, unit
vectors, wrong files and real faces.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from thumblab_core.encoders.protocol import usable
from thumblab_core.errors import LabError
from thumblab_core.faces import embedder as module
from thumblab_core.faces.detector import FaceDetector
from thumblab_core.faces.embedder import OnnxFaceEmbedder
from thumblab_core.faces.measure import find_faces_in
from thumblab_core.images import Pixels
from thumblab_core.model_files import SFACE


@pytest.fixture
def means(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a network whose output is the mean of each channel of its input."""

    def make(shape: tuple[int, ...] = (1, 3, 112, 112), axes: tuple[int, ...] = (2, 3)) -> Path:
        from thumblab_core.encoders.openvino_runtime import ov

        pictures = ov.opset13.parameter(list(shape), np.float32)
        mean = ov.opset13.reduce_mean(pictures, list(axes), keep_dims=False)
        path = tmp_path / "means.xml"
        ov.save_model(ov.Model([mean], [pictures]), path, compress_to_fp16=False)
        return path

    return make


def crops(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.stack([np.full((112, 112, 3), colour, np.uint8) for colour in colours])


def unit(*values: float) -> list[float]:
    return list(np.array(values) / np.linalg.norm(values))


def test_an_unknown_network_gets_the_scaling_of_arcface(means: Callable[..., Path]) -> None:
    embedder = OnnxFaceEmbedder(means())
    vectors = embedder.embed(crops((255, 0, 0), (10, 200, 90)))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [unit(1, -1, -1), unit(-117.5, 72.5, -37.5)], atol=1e-4)
    assert embedder.dimension == 3
    assert embedder.fingerprint.endswith("-arcface")


def as_sface(path: Path, monkeypatch: pytest.MonkeyPatch) -> OnnxFaceEmbedder:
    """Return an embedder that loads the network in the file as if the network were SFace.

    The embedder recognises SFace by its digest. This function therefore replaces the stored digest of SFace by the
    digest of the file.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "SFACE", replace(SFACE, sha256=digest))
    return OnnxFaceEmbedder(path)


def test_sface_is_known_by_its_digest_and_gets_unscaled_channels(
    means: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = as_sface(means(), monkeypatch)
    np.testing.assert_allclose(embedder.embed(crops((10, 200, 90))), [unit(10, 200, 90)], atol=1e-4)
    assert embedder.fingerprint.endswith("-unscaled")


@pytest.mark.parametrize("batch", [1, 4, -1])
def test_any_number_of_faces_can_be_embedded_in_their_order(means: Callable[..., Path], batch: int) -> None:
    embedder = OnnxFaceEmbedder(means((batch, 3, 112, 112)))
    colours = [(value, 255 - value, 40) for value in range(0, 70)]
    assert embedder.embed(crops(*colours)[:0]).shape == (0, 3)
    for count in (1, 2, 33, 70):
        expected = [unit(*(np.array(colour) - 127.5)) for colour in colours[:count]]
        np.testing.assert_allclose(embedder.embed(crops(*colours[:count])), expected, atol=1e-5)


def test_a_face_without_a_vector_does_not_spoil_the_others(
    means: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = as_sface(means(), monkeypatch).embed(crops((255, 0, 0), (0, 0, 0), (0, 0, 255)))
    assert usable(vectors).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((1, 3, 128, 128), (2, 3)), ((1, 1, 112, 112), (2, 3)), ((1, 112, 112, 3), (1, 2)), ((3, 112, 112), (1, 2))],
)
def test_a_network_for_other_pictures_is_refused(
    means: Callable[..., Path], shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    with pytest.raises(LabError, match=r"means\.xml takes f32 .*; a face embedder takes"):
        OnnxFaceEmbedder(means(shape, axes))


def test_a_missing_file_and_a_file_that_is_not_a_network_are_reported(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"cannot be read.*THUMBLAB_FACE_EMBEDDER"):
        OnnxFaceEmbedder(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(LabError, match=r"text\.onnx is not a model"):
        OnnxFaceEmbedder(tmp_path / "text.onnx")


def same_person_auc(vectors: np.ndarray, names: list[str]) -> float:
    """Return the fraction of cases in which two faces of one person are more alike than two faces of different people.

    This fraction is the AUC of the cosines.
    """
    pairs = np.triu_indices(len(vectors), 1)
    same = (np.array(names)[:, None] == np.array(names))[pairs]
    return float(roc_auc_score(same, (vectors @ vectors.T)[pairs]))


@pytest.mark.slow
def test_faces_of_one_person_are_more_alike_than_faces_of_different_people(
    embedder: OnnxFaceEmbedder, detector: FaceDetector, people: dict[str, list[Pixels]]
) -> None:
    names = [name for name, images in people.items() for _ in images]
    images = [image for all_images in people.values() for image in all_images]
    vectors = embedder.embed(np.stack(images))
    assert vectors.shape == (240, embedder.dimension)
    assert usable(vectors).all()
    assert same_person_auc(vectors, names) > 0.985
    found = [faces[0].vector for faces in find_faces_in(images, detector, embedder)]
    own = np.stack([vector for vector in found if vector is not None])
    assert len(own) == 240
    # The pictures in `images` were aligned by exact landmarks. The landmarks that the detector finds are less exact,
    # so this limit is lower.
    assert same_person_auc(own, names) > 0.98
