"""Test the ONNX encoder.

The encoder runs an image model in an ONNX file. A JSON file in the same folder describes the model.
"""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_clip import TinyClip

from thumblab_core.encoders.load import image_encoder, named_image_encoder
from thumblab_core.encoders.onnx import OnnxEncoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.encoders.protocol import unit, usable
from thumblab_core.encoders.stream import encode_stream
from thumblab_core.errors import LabError
from thumblab_core.images import ImageError, Pixels, decode
from thumblab_core.settings import Settings

BYTES = {"resize": "shortest", "interpolation": "bilinear", "mean": None, "std": None, "near_duplicate": 0.97}
FLOATS = BYTES | {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


@pytest.fixture(scope="module")
def mobilenet(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mobilenet")
    shutil.copy(shared_data.parent / "models" / "mobilenet_v1_embedding.onnx", folder / "model.onnx")
    (folder / "model.json").write_text(json.dumps(BYTES))
    return folder / "model.onnx"


@pytest.fixture(scope="module")
def pictures(shared_data: Path) -> list[Pixels]:
    files = sorted((shared_data / "thumbnails" / "images").rglob("*.jpg"))[::100][:20]
    return [decode(file.read_bytes()).pixels for file in files]


def written(folder: Path, shape: list[int], kind: str = "float32", options: dict[str, Any] | str | None = None) -> Path:
    """Write a model that averages its input over height and width. Return the path of the model's file.

    `options` are written to the JSON file that describes the model.
    """
    import openvino as ov
    from openvino import opset13 as ops

    axes = [2, 3] if shape[1] == 3 else [1, 2]
    given = ops.parameter(shape, {"float32": np.float32, "uint8": np.uint8, "int64": np.int64}[kind])
    mean = ops.reduce_mean(ops.convert(given, "f32"), ops.constant(np.array(axes)), False)
    ov.save_model(ov.Model([mean], [given]), folder / "model.xml")
    if options is not None:
        (folder / "model.json").write_text(options if isinstance(options, str) else json.dumps(options))
    return folder / "model.xml"


def test_a_uint8_model_with_batch_size_one_gives_unit_vectors_in_order(
    mobilenet: Path, pictures: list[Pixels], tmp_path: Path
) -> None:
    encoder = named_image_encoder(f"onnx:{mobilenet}", tmp_path)
    vectors = encoder.encode_images(pictures)
    assert vectors.shape == (20, encoder.dimension) == (20, 1024)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    one_by_one = np.concatenate([encoder.encode_images([picture]) for picture in pictures])
    np.testing.assert_array_equal(vectors, one_by_one)
    assert encoder.encode_images([]).shape == (0, 1024)


def test_the_features_of_the_trained_model_recognise_a_narrower_copy(mobilenet: Path, pictures: list[Pixels]) -> None:
    """Check that a picture is recognised after 10 % of its width was cut off on the left.

    The vector of the cut picture is compared with the vectors of 20 whole pictures. The vector of the same picture
    before the cut must be the nearest. An untrained model would fail this test.
    """
    encoder = OnnxEncoder(mobilenet)
    vectors = encoder.encode_images(pictures)
    cut = encoder.encode_images([picture[:, picture.shape[1] // 10 :] for picture in pictures])
    assert (np.argmax(cut @ vectors.T, axis=1) == np.arange(20)).all()


def test_a_model_that_its_maker_quantised_is_not_quantised_again(mobilenet: Path, tmp_path: Path) -> None:
    assert not OnnxEncoder(mobilenet).quantisable
    settings = Settings(image_encoder=f"onnx:{mobilenet}", data_dir=tmp_path)
    assert image_encoder(settings).fingerprint == OnnxEncoder(mobilenet).fingerprint


def test_the_fingerprint_follows_the_weights_and_the_preprocessing(mobilenet: Path, tmp_path: Path) -> None:
    def fingerprint(options: dict[str, Any], tail: bytes = b"") -> str:
        (tmp_path / "model.onnx").write_bytes(mobilenet.read_bytes() + tail)
        (tmp_path / "model.json").write_text(json.dumps(options))
        return OnnxEncoder(tmp_path / "model.onnx").fingerprint

    same = fingerprint(BYTES)
    assert same == OnnxEncoder(mobilenet).fingerprint
    assert (
        fingerprint(BYTES | {"near_duplicate": 0.9}) == same
    )  # The field `near_duplicate` does not affect the vectors.
    assert len({same, fingerprint(BYTES | {"resize": "squash"}), fingerprint(BYTES, b"\0")}) == 3


def test_pictures_are_normalised_by_mean_and_std_of_the_json_file(tmp_path: Path, pictures: list[Pixels]) -> None:
    path = written(tmp_path, [-1, 3, 32, 48], options=FLOATS | {"resize": "squash"})
    encoder = OnnxEncoder(path)
    prepared = encoder.prepare(pictures[0])
    expected = ((prepared / 255 - 0.5) / 0.25).mean(axis=(0, 1))
    assert prepared.shape == (32, 48, 3)
    np.testing.assert_allclose(encoder.encode_prepared([prepared])[0], expected / np.linalg.norm(expected), atol=1e-4)


def test_channels_may_be_last_and_a_fixed_batch_may_have_any_size(tmp_path: Path, pictures: list[Pixels]) -> None:
    path = written(tmp_path, [3, 32, 32, 3], options=FLOATS)
    encoder = OnnxEncoder(path)
    vectors = encoder.encode_images(pictures[:7])
    assert vectors.shape == (7, 3)
    np.testing.assert_allclose(vectors[6:], encoder.encode_images(pictures[6:7]), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "kind", "options", "complaint"),
    [
        ([-1, 3, 32, 32], "float32", None, r"model\.json is missing; create it .*, for example \{"),
        ([-1, 3, 32, 32], "float32", "{", r"model\.json cannot be read"),
        ([-1, 3, 32, 32], "float32", [], "near_duplicate must be a cosine"),
        ([-1, 3, 32, 32], "float32", FLOATS | {"near_duplicate": 2}, "near_duplicate must be a cosine"),
        ([-1, 3, 32, 32], "float32", FLOATS | {"extra": 1}, "must have exactly the fields"),
        ([-1, 3, 32, 32], "float32", FLOATS | {"height": 64}, "height is 64, but the model needs 32"),
        ([-1, 3, -1, -1], "float32", FLOATS, "must have exactly the fields height, width"),
        ([-1, 3, -1, -1], "float32", FLOATS | {"height": 1e9, "width": 1}, "height must be a whole number of pixels"),
        ([-1, 3, 32, 32], "float32", FLOATS | {"resize": "crop"}, "resize must be shortest or squash, not 'crop'"),
        ([-1, 3, 32, 32], "float32", FLOATS | {"std": [1, 1, 0]}, "every std must be above 0"),
        ([-1, 3, 32, 32], "float32", FLOATS | {"mean": [1]}, "mean must be three numbers"),
        ([-1, 3, 32, 32], "float32", FLOATS | {"mean": None}, "must both be given"),
        ([-1, 3, 32, 32], "uint8", FLOATS, "the model takes uint8, so mean and std must be null"),
        ([-1, 3, 32, 32], "int64", FLOATS, "takes i64; an image encoder takes uint8 or float32"),
        ([-1, 4, 32, 32], "float32", FLOATS, "an image encoder takes"),
    ],
)
def test_the_error_names_what_is_wrong_with_the_model_or_its_json_file(
    shape: list[int], kind: str, options: Any, complaint: str, tmp_path: Path, pictures: list[Pixels]
) -> None:
    path = written(tmp_path, shape, kind, options)
    with pytest.raises(LabError, match=complaint):
        OnnxEncoder(path).encode_images(pictures[:1])


def test_a_missing_or_invalid_model_file_is_named(tmp_path: Path, pictures: list[Pixels]) -> None:
    (tmp_path / "model.json").write_text(json.dumps(FLOATS))
    with pytest.raises(LabError, match=r"model\.onnx cannot be read \(No such file"):
        OnnxEncoder(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(LabError, match=r"model\.onnx is not a model that OpenVINO can read"):
        OnnxEncoder(tmp_path / "model.onnx").encode_images(pictures[:1])


@pytest.fixture
def relative(tmp_path: Path) -> Path:
    """A model that divides by the brightness of the picture, so that the result for a black picture is NaN."""
    import openvino as ov
    from openvino import opset13 as ops

    given = ops.parameter([-1, 3, 32, 32], np.float32)
    mean = ops.reduce_mean(given, ops.constant(np.array([2, 3])), False)
    whole = ops.reduce_mean(given, ops.constant(np.array([1, 2, 3])), False)
    ov.save_model(ov.Model([ops.divide(mean, ops.unsqueeze(whole, 1))], [given]), tmp_path / "model.xml")
    (tmp_path / "model.json").write_text(json.dumps(FLOATS | {"mean": [0, 0, 0], "std": [1, 1, 1]}))
    return tmp_path / "model.xml"


def files_of(*shades: int) -> list[bytes]:
    files = []
    for shade in shades:
        out = io.BytesIO()
        Image.new("RGB", (64, 64), (shade, shade // 2, 0)).save(out, "PNG")
        files.append(out.getvalue())
    return files


def test_a_picture_with_a_nan_vector_is_reported_and_does_not_affect_the_others(relative: Path) -> None:
    white, black, grey = files_of(255, 0, 128)
    pictures = [(name, lambda data=data: data) for name, data in (("white", white), ("black", black), ("grey", grey))]
    [batch] = encode_stream(OnnxEncoder(relative), pictures)
    assert (batch.keys, batch.without, batch.unreadable) == (["white", "grey"], ["black"], [])
    assert usable(batch.vectors).all()
    assert len(batch) == 3


def test_a_nan_vector_is_an_error_of_its_picture_in_the_service_but_not_in_the_warm_up(relative: Path) -> None:
    from thumblab_core.encoders.minilm import MiniLmEncoder
    from thumblab_serving.loading.encoding import Encoders
    from thumblab_serving.loading.sent_picture import SentPicture

    encoders = Encoders(MiniLmEncoder(), lambda _: OnnxEncoder(relative))
    fingerprint = encoders.image("any").fingerprint  # This call warms the encoder up with a black picture.
    white, black = files_of(255, 0)
    assert usable(encoders.picture(fingerprint, SentPicture(white)))
    for _ in range(2):  # The second time, the error comes from the cache.
        with pytest.raises(ImageError, match="no vector for this input"):
            encoders.picture(fingerprint, SentPicture(black))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0])
def test_nan_infinities_and_zeros_are_not_usable_vectors(bad: float) -> None:
    vectors = unit(np.array([[1, 2], [bad, bad], [3, 4]], np.float32))
    assert usable(vectors).tolist() == [True, False, True]


def test_a_float32_model_can_be_quantised(tiny: TinyClip, tmp_path: Path) -> None:
    import openvino as ov

    ov.save_model(OpenClipEncoder(tiny.name, str(tiny.weights)).graph(), tmp_path / "model.xml")
    (tmp_path / "model.json").write_text(json.dumps(FLOATS))
    assert OnnxEncoder(tmp_path / "model.xml").quantisable
