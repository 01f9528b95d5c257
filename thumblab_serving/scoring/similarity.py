"""Find how similar candidates are to the library of a niche.

The library is searched in its index or in the database. If neither can be searched, every candidate gets a default
value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from thumblab_core.index import NicheIndex
from thumblab_core.sub_scores.distribution import ScoreDistribution
from thumblab_serving.loading.cache import Cache, OwnedCaches
from thumblab_serving.loading.served_release import Loaded
from thumblab_serving.loading.served_releases import Resolved
from thumblab_serving.loading.stored_library import NothingStoredError, Placement, StoredLibraries
from thumblab_serving.schemas.answer import SimilaritySource
from thumblab_serving.scoring.intake import ExaminedPicture

NEIGHBOURS = 5
DEFAULT_SIMILARITY = 50.0
CACHED_PLACEMENTS = 4096, 8 * 2**20
"""Maximum number of placements that are cached for each loaded index, and maximum bytes of these placements."""


@dataclass(frozen=True)
class Placements:
    """The places of a request's pictures in the library of the niche.

    `by_id` has the placement of each picture. `sub_scores` is the distribution of the library's sub-scores, or None if
    the request's pictures cannot be compared with the library's distribution. `degraded` has a sentence for each thing
    that was missing.
    """

    source: SimilaritySource
    by_id: Mapping[str, Placement]
    sub_scores: ScoreDistribution | None = None
    degraded: Sequence[str] = ()


class Similarity(Protocol):
    """An object that finds the places of pictures in the library of a niche."""

    def place(self, pictures: Mapping[str, ExaminedPicture]) -> Placements:
        """Return the placements of a request's pictures in the library.

        `pictures` has the pictures by id. Never raises an error.
        """
        ...


@dataclass(frozen=True)
class IndexSimilarity:
    """A `Similarity` that searches the FAISS index of the niche.

    `meter_version` is the version of the meter that measured the request's pictures. `cache` belongs to the loaded
    index. It has the placements of the vectors that were searched before, by the bytes of the vector.
    """

    loaded: Loaded[NicheIndex]
    niche: str
    meter_version: str
    cache: Cache[Placement]

    def place(self, pictures: Mapping[str, ExaminedPicture]) -> Placements:
        index = self.loaded.value

        def placement(picture: ExaminedPicture) -> Placement:
            vector = picture.vectors[index.encoder]
            return self.cache.get(vector.tobytes(), lambda: Placement(*index.place(vector, NEIGHBOURS)))

        placements = {name: placement(picture) for name, picture in pictures.items()}
        scores = index.scores
        if scores is not None and scores.version == self.meter_version:
            return Placements(SimilaritySource.FAISS, placements, scores)
        why = "holds no sub-scores" if scores is None else "was measured by another version of the sub-scores"
        sentence = (
            f"the library of {self.niche} {why}: sub-scores have no percentiles until its pictures are measured again; "
            f"run `thumblab refresh {self.niche} --no-train`, or materialize visual_features and faiss_index"
        )
        return Placements(SimilaritySource.FAISS, placements, degraded=[sentence])


@dataclass(frozen=True)
class StoredSimilarity:
    """A `Similarity` that searches the library of the niche in PostgreSQL, with pgvector.

    If the database does not answer, `DefaultSimilarity` is used. `encoder` is the fingerprint of the model's image
    encoder. The database may have vectors of several encoders. Only vectors of this encoder are compared, because this
    encoder also encodes every picture of a request. `no_index` says why no index is used.
    """

    libraries: StoredLibraries
    niche: str
    encoder: str
    no_index: str

    def place(self, pictures: Mapping[str, ExaminedPicture]) -> Placements:
        if not pictures:
            return Placements(SimilaritySource.PGVECTOR, {})
        vectors = np.stack([picture.vectors[self.encoder] for picture in pictures.values()])
        try:
            placements = self.libraries.placements(self.niche, self.encoder, vectors, NEIGHBOURS)
        except NothingStoredError as error:
            return DefaultSimilarity(f"{self.no_index}, and {error}").place(pictures)
        sentence = f"{self.no_index}: similarities and neighbours were looked up in the database"
        return Placements(SimilaritySource.PGVECTOR, dict(zip(pictures, placements, strict=True)), degraded=[sentence])


@dataclass(frozen=True)
class DefaultSimilarity:
    """A substitute for a library that cannot be searched. Every picture gets the same similarity and no neighbours.

    `reason` says why the library cannot be searched.
    """

    reason: str

    def place(self, pictures: Mapping[str, ExaminedPicture]) -> Placements:
        placements = dict.fromkeys(pictures, Placement(DEFAULT_SIMILARITY, []))
        sentence = f"{self.reason}: every similarity is the default of {DEFAULT_SIMILARITY:g}"
        return Placements(SimilaritySource.DEFAULT, placements, degraded=[sentence])


def choose_similarity(
    niche: str, releases: Resolved, libraries: StoredLibraries, meter_version: str, caches: OwnedCaches[Placement]
) -> Similarity:
    """Return the `Similarity` for a request. The result searches the index, or the database if no index is served.

    `meter_version` means the same as in `IndexSimilarity`. `caches` has the cache of each loaded index. If the library of
    the index has fewer than two thumbnails, there is no distribution to compare a picture with. In this case,
    `DefaultSimilarity` is returned.
    """
    index = releases.index
    if index is None:
        no_index = releases.index_refusal or f"no index of {niche} is served"
        encoder = releases.model.value.model.config.image_encoder
        return StoredSimilarity(libraries, niche, encoder, no_index)
    if not index.value.calibrated:
        return DefaultSimilarity(f"the library of {niche} holds too few thumbnails")
    return IndexSimilarity(index, niche, meter_version, caches.of(index))
