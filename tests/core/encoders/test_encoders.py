"""Test the encoders.

An encoder uses the requested weights, and returns equal unit vectors for equal pictures or titles.
"""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import Ridge
from tiny_clip import TinyClip

from demo.catalogues.drawing import ATTRIBUTES
from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import named_image_encoder, title_encoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.encoders.protocol import text_tower, unit
from thumblab_core.errors import LabError
from thumblab_core.images import Pixels, decode

Draw = Callable[..., bytes]


@pytest.fixture(scope="module")
def pictures(drawn: Draw) -> list[Pixels]:
    return [decode(drawn(seed, kind="PNG")).pixels for seed in range(12)]


def test_the_builtin_encoder_gives_unit_vectors_of_768_numbers(pictures: list[Pixels]) -> None:
    encoder = BuiltinEncoder()
    vectors = encoder.encode_images(pictures)
    assert vectors.shape == (12, encoder.dimension) == (12, 768)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode_images([]).shape == (0, 768)
    assert text_tower(encoder) is None


def test_the_builtin_encoder_does_not_depend_on_the_batch(pictures: list[Pixels]) -> None:
    encoder = BuiltinEncoder()
    together = encoder.encode_images(pictures)
    np.testing.assert_array_equal(encoder.encode_images(pictures), together)
    np.testing.assert_array_equal(encoder.encode_images(pictures[::-1])[::-1], together)
    np.testing.assert_array_equal(np.concatenate([encoder.encode_images([p]) for p in pictures]), together)


def test_the_builtin_encoder_gives_the_same_vectors_in_another_process(pictures: list[Pixels], tmp_path: Path) -> None:
    np.save(tmp_path / "picture.npy", pictures[0])
    script = (
        "import numpy, sys; from thumblab_core.encoders.builtin import BuiltinEncoder;"
        "numpy.save(sys.argv[2], BuiltinEncoder().encode_images([numpy.load(sys.argv[1])])[0])"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "picture.npy", tmp_path / "vector.npy"], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "vector.npy"), BuiltinEncoder().encode_images(pictures[:1])[0])


def test_a_picture_at_another_size_is_a_near_duplicate_and_another_picture_is_not() -> None:
    encoder = BuiltinEncoder()
    catalogue = synthetic_catalogue(videos=21)
    pictures = [decode(catalogue.image(video_id)).pixels for video_id in catalogue.videos]
    vectors = encoder.encode_images(pictures)
    others = float((vectors @ vectors.T - np.eye(len(vectors))).max())
    assert others < encoder.near_duplicate - 0.05
    for picture, vector in zip(pictures, vectors, strict=True):
        smaller = Image.fromarray(picture).resize((480, 270), Image.Resampling.BICUBIC)
        out = io.BytesIO()
        smaller.resize((320, 180)).save(out, "JPEG", quality=75)
        resized, recompressed = encoder.encode_images([np.asarray(smaller), decode(out.getvalue()).pixels]) @ vector
        assert min(resized, recompressed) > encoder.near_duplicate


@pytest.mark.slow
@pytest.mark.parametrize(
    ("videos", "least"),
    [
        (168, (0.91, 0.92, 0.85, 0.93, 0.76, 0.89)),
        pytest.param(490, (0.9, 0.92, 0.85, 0.95, 0.84, 0.87), marks=pytest.mark.heavy),
    ],
    ids=["168", "490"],
)
def test_global_properties_of_a_picture_are_linear_in_the_builtin_vector(videos: int, least: tuple[float, ...]) -> None:
    """Check that a linear model can predict a property of a picture, such as its contrast, from the picture's vector.

    The model is fitted to 80 % of the pictures, and predicts the properties of the other 20 %. The correlation of each
    property with its predictions must be above the property's limit in `least`. Some functions in `builtin.py` describe
    the whole picture. If one of these functions returned zeros, a correlation would be below its limit.
    """
    catalogue = synthetic_catalogue(videos=videos)
    encoder = BuiltinEncoder()
    vectors = encoder.encode_images(
        [decode(catalogue.image(name), encoder.decode_size).pixels for name in catalogue.videos]
    )
    attributes = np.array([catalogue.attributes(video_id) for video_id in catalogue.videos])
    train = np.arange(len(vectors)) % 5 > 0
    inputs = (vectors - vectors[train].mean(axis=0)) / (vectors[train].std(axis=0) + 1e-6) / np.sqrt(vectors.shape[1])
    correlations = {}
    for name, values in zip(ATTRIBUTES, attributes.T, strict=True):
        model = Ridge(0.3).fit(inputs[train], values[train])
        correlations[name] = float(np.corrcoef(model.predict(inputs[~train]), values[~train])[0, 1])
    names = ("subject_size", "warmth", "saturation", "contrast", "calm", "text_size")
    assert all(correlations[name] > limit for name, limit in zip(names, least, strict=True)), correlations


def test_flat_pictures_have_finite_vectors() -> None:
    encoder = BuiltinEncoder()
    for value in (0, 128, 255):
        vector = encoder.encode_images([np.full((90, 160, 3), value, np.uint8)])
        assert np.isfinite(vector).all()
        np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-5)


def test_titles_are_unit_vectors_of_384_numbers_and_close_when_they_mean_the_same() -> None:
    encoder = title_encoder("minilm")
    vectors = encoder.encode_texts(
        ["I tested every budget phone", "Reviewing cheap smartphones", "How to bake sourdough bread", ""]
    )
    assert vectors.shape == (4, encoder.dimension) == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    assert encoder.encode_texts([]).shape == (0, 384)


def test_the_vector_of_a_title_does_not_depend_on_the_batch() -> None:
    encoder = title_encoder("minilm")
    titles = ["short", "a much longer title about phones " * 10, "第三 🎬"]
    together = encoder.encode_texts(titles)
    np.testing.assert_allclose(np.concatenate([encoder.encode_texts([t]) for t in titles]), together, atol=1e-5)


def test_fingerprints_are_known_without_loading_any_model(tmp_path: Path) -> None:
    script = (
        "import sys; from thumblab_core.encoders.load import image_encoder, title_encoder;"
        "from thumblab_core.settings import Settings;"
        "print(image_encoder(Settings(image_encoder='builtin')).fingerprint, title_encoder('minilm').fingerprint,"
        " image_encoder(Settings(image_encoder='open_clip:ViT-L-14/openai', data_dir=sys.argv[1])).fingerprint);"
        "heavy = {'torch', 'open_clip', 'transformers', 'sentence_transformers', 'openvino', 'nncf'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    builtin, minilm, clip = done.stdout.split()
    assert builtin == BuiltinEncoder().fingerprint
    assert minilm == title_encoder("minilm").fingerprint
    assert clip == "open_clip-ViT-L-14-openai-p1-float32"


@pytest.mark.parametrize(
    "name",
    ["", "clip", "open_clip", "open_clip:", "open_clip:ViT-L-14", "open_clip:/x", "Builtin", "onnx:", "@bfloat16"],
)
def test_an_unknown_encoder_is_refused_with_the_known_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="builtin, open_clip:MODEL/WEIGHTS or onnx:PATH"):
        named_image_encoder(name, tmp_path)


def test_the_error_of_a_title_encoder_that_cannot_be_loaded_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="THUMBLAB_TITLE_ENCODER=minilm"):
        title_encoder(str(tmp_path)).encode_texts(["a"])


@pytest.mark.slow
def test_the_error_of_an_unreachable_hub_names_the_alternatives() -> None:
    script = """
import numpy
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.errors import LabError
try:
    OpenClipEncoder("ViT-B-32", "laion2b_s34b_b79k").encode_images([numpy.zeros((64, 64, 3), numpy.uint8)])
except LabError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "THUMBLAB_IMAGE_ENCODER=builtin" in done.stdout
    assert "open_clip:MODEL//path/to/file" in done.stdout


def test_a_local_checkpoint_gives_the_vectors_of_open_clip_itself(
    tiny: TinyClip, pictures: list[Pixels], tmp_path: Path
) -> None:
    import open_clip
    import torch

    name, weights, model = tiny.name, tiny.weights, tiny.model
    encoder = named_image_encoder(f"open_clip:{name}/{weights}", tmp_path)
    _, _, preprocess = open_clip.create_model_and_transforms(name)
    with torch.inference_mode():
        images = torch.stack([preprocess(Image.fromarray(picture)) for picture in pictures])
        expected = model.encode_image(images).numpy()
        words = model.encode_text(open_clip.get_tokenizer(name)(["a phone", "a cake"])).numpy()
    assert text_tower(encoder) is encoder
    np.testing.assert_allclose(encoder.encode_images(pictures), unit(expected), atol=1e-4)
    np.testing.assert_allclose(encoder.encode_texts(["a phone", "a cake"]), unit(words), atol=1e-4)
    assert encoder.dimension == 32
    assert encoder.encode_images([]).shape == (0, 32)


def test_more_pictures_than_a_batch_are_returned_in_order(tiny: TinyClip, pictures: list[Pixels]) -> None:
    encoder = OpenClipEncoder(tiny.name, str(tiny.weights))
    many = encoder.encode_images(pictures * 3)
    np.testing.assert_allclose(many, np.tile(encoder.encode_images(pictures), (3, 1)), atol=1e-5)


def test_the_fingerprint_of_a_checkpoint_follows_its_contents(tiny: TinyClip, tmp_path: Path) -> None:
    name, weights = tiny.name, tiny.weights
    (tmp_path / "copy.pt").write_bytes(weights.read_bytes())
    (tmp_path / "other.pt").write_bytes(weights.read_bytes() + b"\0")
    same, other = OpenClipEncoder(name, str(tmp_path / "copy.pt")), OpenClipEncoder(name, str(tmp_path / "other.pt"))
    assert same.fingerprint == OpenClipEncoder(name, str(weights)).fingerprint
    assert other.fingerprint != same.fingerprint


def test_the_error_of_a_file_that_is_not_a_checkpoint_names_the_next_step(tiny: TinyClip, tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(LabError, match="could not be loaded"):
        OpenClipEncoder(tiny.name, str(tmp_path / "bad.pt")).encode_images([np.zeros((64, 64, 3), np.uint8)])


@pytest.mark.parametrize("quick", [True, False])
def test_weights_trained_with_quickgelu_are_run_with_it(
    tiny: TinyClip, pictures: list[Pixels], monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    """Check that the encoder uses the activation function QuickGELU for weights that were trained with QuickGELU.

    QuickGELU is an approximation of GELU, and OpenAI's weights were trained with QuickGELU. open_clip chooses between
    GELU and QuickGELU by the model's name. For the name ViT-L-14, open_clip uses GELU, even with OpenAI's weights, and
    only warns.
    """
    import open_clip
    import torch

    name, weights = tiny.name, tiny.weights
    assert open_clip.get_pretrained_cfg("ViT-L-14", "openai")["quick_gelu"] is True
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, {"a_tag": {"url": "x", "quick_gelu": quick}})
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: str(weights))
    right = open_clip.create_model(name, pretrained=str(weights), force_quick_gelu=quick).eval()
    _, _, preprocess = open_clip.create_model_and_transforms(name)
    with torch.inference_mode():
        expected = right.encode_image(torch.stack([preprocess(Image.fromarray(p)) for p in pictures[:4]])).numpy()
    vectors = OpenClipEncoder(name, "a_tag").encode_images(pictures[:4])
    np.testing.assert_allclose(vectors, unit(expected), atol=1e-4)
