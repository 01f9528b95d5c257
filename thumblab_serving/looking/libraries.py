"""Choose the libraries in which a search looks, and the encoder whose vectors the search compares."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from thumblab_core.index import NicheIndex
from thumblab_core.niches import UnknownNicheError
from thumblab_serving.loading.served_release import Loaded
from thumblab_serving.loading.served_releases import NotReadyError, ServedReleases


@dataclass(frozen=True)
class Library:
    """The library of a niche. If `index` is None, the library is searched in the database, and `why_stored` says why.

    `encoder` is the fingerprint of the image encoder that made the vectors of the library.
    """

    niche: str
    index: Loaded[NicheIndex] | None
    encoder: str
    why_stored: str | None = None


@dataclass(frozen=True)
class Libraries:
    """The libraries of one request. The request keeps them even if other releases are promoted meanwhile.

    `model_encoder` is the image encoder of the served model, or None. `held` keeps this encoder in memory.
    """

    all: Sequence[Library]
    model_encoder: str | None
    held: object = field(repr=False)

    @property
    def encoders(self) -> list[str]:
        """The fingerprints of the image encoders of the libraries. The encoder of the model comes first."""
        of_libraries = dict.fromkeys(library.encoder for library in self.all)
        return sorted(of_libraries, key=lambda encoder: encoder != self.model_encoder)

    def of(self, encoder: str) -> list[Library]:
        return [library for library in self.all if library.encoder == encoder]

    def left_out(self, encoder: str) -> list[str]:
        """Return a sentence for each library whose encoder is not `encoder`. Such a library is not searched, because
        similarities of different encoders cannot be compared.
        """
        return [
            f"the library of {library.niche} was not searched, because its image encoder is {library.encoder} and the "
            f"query has vectors of {encoder}"
            for library in self.all
            if library.encoder != encoder
        ]


def libraries_of(releases: ServedReleases, niche: str | None) -> Libraries:
    """Return the libraries to search: the library of `niche` or, if `niche` is None, the libraries of all niches.

    A library is searched in its index. If a niche has no index, its library is searched in the database, but only in
    three cases. Either the index was refused, or the niche is given in the request, or no niche has an index.

    Raises `NotReadyError` if there is no library to search.
    """
    resolved = {}
    for asked in list(releases.indices) if niche is None else [niche]:
        try:
            resolved[asked] = releases.resolve_index(asked)
        except UnknownNicheError:
            # A person has just retired the niche `asked`. Only a search of all niches leaves it out without an error.
            if niche is not None:
                raise
    model = None if releases.model.is_empty else releases.model.current()
    encoder = None if model is None else model.value.model.config.image_encoder
    has_index = any(index is not None for index, _ in resolved.values())
    found = []
    for asked, (index, refusal) in resolved.items():
        if index is not None:
            found.append(Library(asked, index, index.value.encoder))
        elif encoder is not None and (refusal is not None or niche is not None or not has_index):
            found.append(Library(asked, None, encoder, refusal or f"no index of {asked} is served"))
    if not found:
        what = "index" if niche is None else f"index of {niche}"
        raise NotReadyError(
            f"no {what} is served yet, and without a served model the encoder is not known; run `thumblab refresh`"
        )
    return Libraries(found, encoder, (model, resolved))
