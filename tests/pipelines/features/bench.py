"""A lab with one niche, for the tests of embedding and indexing. Each test chooses the encoders of this lab."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from thumblab_core.database.tables import embeddings, videos
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.features import baselines, check_vectors, embed, sub_scores
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build

NICHE = "tech"
TITLES = "sentence-test"


class CheapTitles:
    """A title encoder that computes almost nothing. This encoder takes the place of MiniLM, which other tests cover."""

    fingerprint = TITLES
    dimension = 4

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        self.encoded += texts
        vectors = np.array([[len(t), t.count("e"), t.count(" "), 1] for t in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class CountingPictures(BuiltinEncoder):
    """The built-in encoder, which also records how many pictures each batch has.

    If `fails_at_batch` is given, the encoder raises an error at the batch with this number.
    """

    def __init__(self, fingerprint: str = BuiltinEncoder.fingerprint, fails_at_batch: int | None = None) -> None:
        self.fingerprint = fingerprint  # type: ignore[misc]
        self._fails_at = fails_at_batch
        self.batches: list[int] = []

    def encode_prepared(self, prepared: Sequence[Vectors]) -> Vectors:
        self.batches.append(len(prepared))
        if len(self.batches) == self._fails_at:
            raise ZeroDivisionError
        return super().encode_prepared(prepared)


class FailingPictures(CountingPictures):
    """An encoder that returns NaN or zeros for some pictures.

    `places` are the positions of these pictures in the order of encoding.
    """

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__()
        self._places = places

    def encode_prepared(self, prepared: Sequence[Vectors]) -> Vectors:
        first = sum(self.batches)
        vectors = super().encode_prepared(prepared)
        for row in range(len(vectors)):
            if first + row in self._places:
                vectors[row] = np.nan if row % 2 == 0 else 0.0
        return vectors


class FailingTitles(CheapTitles):
    """A title encoder that returns a vector of infinities for one title."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        vectors = super().encode_texts(texts)
        vectors[[text == self._title for text in texts]] = np.inf
        return vectors


class Bench:
    """A lab with one collected niche. Embedding and measuring use the encoders in `pictures` and `titles`."""

    def __init__(self, lab: Lab, patch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.titles = CheapTitles()
        self._patch = patch
        for module in (embed, check_vectors, sub_scores, build):
            patch.setattr(module, "image_encoder", lambda _: self.pictures)
        for module in (embed, check_vectors):
            patch.setattr(module, "title_encoder", lambda _: self.titles)
        self.pictures = CountingPictures()

    def rows(self, statement: Any) -> list[Any]:
        with self.lab.engine.connect() as connection:
            return list(connection.execute(statement))

    def do(self, statement: Any) -> None:
        with self.lab.engine.begin() as connection:
            connection.execute(statement)

    def vectors(self, encoder: str) -> int:
        return int(self.rows(select(func.count()).where(embeddings.c.encoder == encoder))[0][0])

    def ready(self) -> "Bench":
        """Encode the niche and compute its baselines, so that an index can be built. Return `self`."""
        embed.embed(self.lab, NICHE)
        baselines.compute_baselines(self.lab, NICHE)
        return self

    def ids(self) -> list[str]:
        return [row.video_id for row in self.rows(select(videos.c.video_id).order_by(videos.c.video_id))]


def passed(checks: Sequence[CheckResult]) -> dict[str, bool]:
    """Return a dictionary that says, for the name of each check, whether the check passed."""
    return {check.name: check.passed for check in checks}
