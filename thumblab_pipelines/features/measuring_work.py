"""Measure pictures, without the database. Any process that sees the lab's data folder can do this work."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from thumblab_core.encoders.load import named_image_encoder, title_encoder
from thumblab_core.encoders.protocol import CrossModalEncoder, Vectors, text_tower, usable
from thumblab_core.errors import LabError
from thumblab_core.image_store import ImageStore
from thumblab_core.image_store.reading_ahead import Read, read_ahead
from thumblab_core.images import ImageError, Pixels, decode
from thumblab_core.object_store.bucket import StoreAwayError
from thumblab_core.sub_scores import Measurement, Meter, Sample, Title

_AT_ONCE = 64


@dataclass(frozen=True)
class Unmeasured:
    """A picture that is not measured yet, with its title. `image_vector` [d]: the stored vector of the picture, or
    None."""

    sha256: str
    title: str
    image_vector: Vectors | None


@dataclass(frozen=True)
class Models:
    """The names and files of the models that the meter uses. `releases`: the folder of the release store."""

    image_encoder: str
    releases: Path
    title_encoder: str
    face_model: Path | None


@dataclass
class Measuring:
    """Measures pictures with `meter`. `tower`: the image encoder if it can also encode titles, else None.

    If the work moves to another process, only the names and files in `models` are sent. The other process loads the
    meter and the tower by itself.
    """

    meter: Meter
    tower: CrossModalEncoder | None
    models: Models
    images: ImageStore

    @property
    def version(self) -> str:
        return self.meter.version_with(self.tower)

    def __call__(self, pictures: Iterable[Unmeasured]) -> Iterator[Measurement | LabError]:
        """Yield the measurement of each picture, or the reason why it cannot be measured."""
        for result in self.meter.measure_many(self._samples(pictures)):
            if isinstance(result, StoreAwayError):
                raise result
            yield result

    def __reduce__(self) -> tuple[Any, ...]:
        return _measuring, (self.version, self.models, self.images)

    def _samples(self, pictures: Iterable[Unmeasured]) -> Iterator[Sample]:
        """Yield a sample, the input of the meter, for each picture.

        A sample consists of the title and of a function that decodes the picture. So a picture is decoded only when it
        is measured. If `tower` is not None, the samples also have the vectors of pictures and titles.
        """
        left, tower = read_ahead(self.images, pictures, lambda picture: picture.sha256), self.tower
        while batch := list(islice(left, _AT_ONCE)):
            vectors: Sequence[tuple[Vectors | None, Vectors | None]] = [(None, None)] * len(batch)
            if tower is not None:
                titles = tower.encode_texts([picture.title for picture, _ in batch])
                images = [_image_vector(tower, picture, read) for picture, read in batch]
                vectors = list(zip(images, titles, strict=True))
            for (picture, read), (image, title) in zip(batch, vectors, strict=True):
                # The picture and the title are compared only if both have a vector.
                compared = Title(picture.title, _usable_or_none(image), _usable_or_none(title))
                yield Sample(partial(_pixels, read), compared)


def _image_vector(tower: CrossModalEncoder, picture: Unmeasured, read: Read) -> Vectors | None:
    if picture.image_vector is not None:
        return picture.image_vector
    with suppress(ImageError):  # An unreadable picture is reported later, when it is measured.
        vector: Vectors = tower.encode_images([_pixels(read)])[0]
        return vector
    return None


def _pixels(read: Read) -> Pixels:
    return decode(read()).pixels


def _measuring(version: str, models: Models, images: ImageStore) -> Measuring:
    tower = text_tower(named_image_encoder(models.image_encoder, models.releases))
    meter = Meter(models.face_model, None if tower is not None else title_encoder(models.title_encoder))
    work = Measuring(meter, tower, models, images)
    if work.version != version:
        raise LabError(
            f"a worker measures with version {work.version} of the meter, but the sub-scores are saved as version "
            f"{version}; put the same model files on every node"
        )
    return work


def _usable_or_none(vector: Vectors | None) -> Vectors | None:
    return vector if vector is not None and usable(vector) else None
