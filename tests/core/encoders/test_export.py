"""Test the export of a CLIP model, and encoding with the exported model in a process without PyTorch."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_clip import TinyClip, tiny_clip
from without_torch import WITHOUT_TORCH

from thumblab_core.encoders.export import ExportedText, published_export
from thumblab_core.encoders.load import new_image_encoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.errors import LabError
from thumblab_core.releases.release_store import ReleaseStore

TITLES = [
    "I tested every phone of this year",
    "don't MISS   this | 10 tips & tricks!!",
    "Größter Kuchen: 1.000 kg 🎬🔥 東京",
    "x &amp; y &lt;3",
    "",
    "many words " * 100,
    "a title with <end_of_text> in it",
    "soft\u00adhyphen zero\u200bwidth e\u0301",
]
PICTURES = [np.random.default_rng(n).integers(0, 256, (90 + n, 160, 3), np.uint8) for n in range(5)]

START = f"""{WITHOUT_TORCH}
import numpy as np
from pathlib import Path
from thumblab_core.encoders.load import new_image_encoder
from thumblab_core.errors import LabError
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyClip:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def exported(tiny: TinyClip, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OpenClipEncoder, Path]]:
    """An encoder that computes with PyTorch, and the folder of releases that contains the export of this encoder."""
    releases = tmp_path_factory.mktemp("releases")
    encoder = OpenClipEncoder(tiny.name, str(tiny.weights))
    assert len(encoder.export(ReleaseStore(releases))) == 2
    yield encoder, releases


def test_an_exported_tokenizer_gives_the_tokens_of_open_clip(exported: tuple[OpenClipEncoder, Path]) -> None:
    encoder, releases = exported
    release = published_export(ReleaseStore(releases), encoder.base, "text")
    assert release is not None
    expected = encoder._loaded.tokenizer(TITLES).numpy()
    np.testing.assert_array_equal(ExportedText.load(release).tokens(TITLES), expected)


def test_a_process_without_pytorch_encodes_pictures_and_titles_like_a_process_with_pytorch(
    exported: tuple[OpenClipEncoder, Path], tiny: TinyClip, tmp_path: Path
) -> None:
    encoder, releases = exported
    np.savez(tmp_path / "pictures.npz", *PICTURES)
    script = f"""{START}
encoder = new_image_encoder({tiny.setting!r}, Path({str(releases)!r}))
pictures = np.load({str(tmp_path / "pictures.npz")!r}).values()
np.savez({str(tmp_path / "vectors.npz")!r}, encoder.encode_images(list(pictures)), encoder.encode_texts({TITLES!r}))
assert encoder.fingerprint == {encoder.fingerprint!r}
assert not {{"torch", "open_clip", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    images, texts = np.load(tmp_path / "vectors.npz").values()
    np.testing.assert_allclose(images, encoder.encode_images(PICTURES), atol=1e-6)
    np.testing.assert_allclose(texts, encoder.encode_texts(TITLES), atol=1e-6)


def test_without_export_and_pytorch_the_error_says_which_command_exports(tiny: TinyClip, tmp_path: Path) -> None:
    script = f"""{START}
encoder = new_image_encoder({tiny.setting!r}, Path({str(tmp_path)!r}))
for use in (lambda: encoder.dimension, lambda: encoder.encode_texts(["a title"])):
    try:
        use()
    except LabError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("is not exported" in line and "run `thumblab refresh`" in line for line in lines)


def test_a_second_export_publishes_nothing(exported: tuple[OpenClipEncoder, Path], tiny: TinyClip) -> None:
    _, releases = exported
    again = new_image_encoder(tiny.setting, releases)
    assert isinstance(again, OpenClipEncoder)
    assert again.export(ReleaseStore(releases)) == []


def test_a_text_tower_that_computes_other_vectors_is_not_published(
    exported: tuple[OpenClipEncoder, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, _ = exported
    right = encoder._texts_with_torch
    monkeypatch.setattr(encoder, "_texts_with_torch", lambda texts: right([text.upper()[::-1] for text in texts]))
    with pytest.raises(LabError, match="differs from the text tower in PyTorch"):
        encoder.export(ReleaseStore(tmp_path))
    assert published_export(ReleaseStore(tmp_path), encoder.base, "text") is None


def test_a_damaged_export_is_published_again(
    exported: tuple[OpenClipEncoder, Path], tiny: TinyClip, tmp_path: Path
) -> None:
    encoder, releases = exported
    shutil.copytree(releases, tmp_path / "releases")
    store = ReleaseStore(tmp_path / "releases")
    for tower in ("image", "text"):
        release = published_export(store, encoder.base, tower)
        assert release is not None
        (release.path / "model.bin").chmod(0o644)
        (release.path / "model.bin").write_bytes(b"damaged")
    again = new_image_encoder(tiny.setting, store.root)
    assert isinstance(again, OpenClipEncoder)
    assert len(again.export(store)) == 2
    vectors = new_image_encoder(tiny.setting, store.root).encode_texts(TITLES)
    np.testing.assert_allclose(vectors, encoder.encode_texts(TITLES), atol=1e-6)


def test_a_machine_with_cuda_but_without_pytorch_uses_the_export(
    exported: tuple[OpenClipEncoder, Path], tiny: TinyClip
) -> None:
    _, releases = exported
    script = f"""{START}
import thumblab_core.encoders.open_clip as module
module.may_have_cuda = lambda: True
encoder = new_image_encoder({tiny.setting!r}, Path({str(releases)!r}))
assert encoder.encode_images([np.zeros((90, 160, 3), np.uint8)]).shape == (1, encoder.dimension)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
