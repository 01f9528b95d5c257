"""Encode pictures and titles, without the database. Any process that sees the lab's data folder can do this work.

The work gets the digests of pictures and not their bytes. It reads the pictures from the image store, and the releases of
encoders from the data folder.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from thumblab_core.encoders.load import named_image_encoder, title_encoder
from thumblab_core.encoders.protocol import ImageEncoder, TextEncoder, usable
from thumblab_core.encoders.stream import BatchSize, EncodedBatch, encode_stream
from thumblab_core.errors import LabError
from thumblab_core.image_store import ImageStore
from thumblab_core.image_store.reading_ahead import read_ahead

_TITLES_AT_ONCE = 64


class Source(NamedTuple):
    """A picture or title to encode. `table`: name of the table in which its vector is saved."""

    video_id: str
    digest: str
    title: str
    table: str


@dataclass
class PictureEncoding:
    """Encodes pictures with `encoder`. `name`: the encoder's name. `releases`: the folder of the release store.

    If the work moves to another process, only the name is sent, and the other process loads the encoder by this name.
    """

    encoder: ImageEncoder
    name: str
    releases: Path
    images: ImageStore

    def __call__(self, sources: Iterable[Source]) -> Iterator[EncodedBatch[Source]]:
        """Yield the vectors of the pictures in batches."""
        pictures = read_ahead(self.images, sources, lambda source: source.digest)
        return encode_stream(self.encoder, pictures, self._size)

    @cached_property
    def _size(self) -> BatchSize:
        return BatchSize(self.encoder.largest_batch)

    def __reduce__(self) -> tuple[Any, ...]:
        return _picture_encoding, (self.encoder.fingerprint, self.name, self.releases, self.images)


def _picture_encoding(fingerprint: str, name: str, releases: Path, images: ImageStore) -> PictureEncoding:
    encoder = named_image_encoder(name, releases)
    _require_same(name, encoder.fingerprint, fingerprint)
    return PictureEncoding(encoder, name, releases, images)


@dataclass
class TitleEncoding:
    """Encodes titles with `encoder`. `name`: the encoder's name. Another process gets only the name, see
    `PictureEncoding`.
    """

    encoder: TextEncoder
    name: str

    def __call__(self, sources: Iterable[Source]) -> Iterator[EncodedBatch[Source]]:
        """Yield the vectors of the titles in batches."""
        left = iter(sources)
        while batch := list(islice(left, _TITLES_AT_ONCE)):
            vectors = self.encoder.encode_texts([source.title for source in batch])
            good = usable(vectors)
            yield EncodedBatch(_where(batch, good), vectors[good], [], _where(batch, ~good))

    def __reduce__(self) -> tuple[Any, ...]:
        return _title_encoding, (self.encoder.fingerprint, self.name)


def _title_encoding(fingerprint: str, name: str) -> TitleEncoding:
    encoder = title_encoder(name)
    _require_same(name, encoder.fingerprint, fingerprint)
    return TitleEncoding(encoder, name)


def _where(sources: Sequence[Source], flags: Iterable[bool]) -> list[Source]:
    return [source for source, flag in zip(sources, flags, strict=True) if flag]


def _require_same(name: str, here: str, expected: str) -> None:
    """Raise `LabError` if the fingerprints differ. Two nodes may have different weights under one name."""
    if here != expected:
        raise LabError(
            f"the encoder {name} of a worker has the fingerprint {here}, but the vectors are saved with the "
            f"fingerprint {expected}; put the same file of weights on every node"
        )
