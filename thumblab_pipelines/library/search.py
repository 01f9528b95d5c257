"""Search the served indices of several niches by a picture, by a video of the library, or by words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thumblab_core.encoders.load import image_encoder_name, named_image_encoder
from thumblab_core.encoders.protocol import Vectors, text_tower
from thumblab_core.errors import LabError
from thumblab_core.images import decode, read_file
from thumblab_core.index import Item, NicheIndex, PublishedBetween
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import INDEX, Release
from thumblab_pipelines.lab import Lab


@dataclass(frozen=True)
class Hit:
    """A video that was found, with its niche and its cosine similarity to the query."""

    niche: str
    item: Item
    similarity: float


@dataclass
class SearchResult:
    """The hits of all niches in one list, in falling order of similarity to the query.

    `remarks` say which niches were not searched, and why.
    """

    hits: list[Hit] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def search_libraries(
    lab: Lab,
    niches: Sequence[str],
    count: int,
    only: PublishedBetween,
    image: Path | None = None,
    video_id: str | None = None,
    words: str | None = None,
) -> SearchResult:
    """Return the `count` videos with the highest cosines to a query, from the served indices of these niches.

    Give exactly one query: a picture file (`image`), the id of a video in one of the niches (`video_id`), or `words`. A
    picture or words are encoded with the encoder of the first niche's index. For a video, its stored vector is the
    query. Cosines of different encoders cannot be compared. So only indices with the same encoder as the query are
    searched, and each other niche gets a remark.

    Raises `LabError` if no niche serves a readable index, if `video_id` is in none of the indices, or if the encoder
    cannot encode words.
    """
    found = SearchResult()
    libraries = _load_libraries(lab, niches, found.remarks)
    if video_id is not None:
        libraries, query = _with_vector_of(libraries, video_id, found.remarks)
    else:
        release, _ = next(iter(libraries.values()))
        encoder = named_image_encoder(
            release.info.get("encoder_name", image_encoder_name(lab.settings)), release_place(lab.settings)
        )
        libraries = _of_encoder(libraries, encoder.fingerprint, found.remarks)
        if image is not None:
            query = encoder.encode_images([decode(read_file(image), encoder.decode_size).pixels])[0]
        else:
            tower = text_tower(encoder)
            if tower is None:
                raise LabError(
                    f"{encoder.fingerprint} cannot encode words, so it cannot search for them; use an open_clip encoder, "
                    "or search by a picture"
                )
            query = tower.encode_texts([words or ""])[0]
    for niche, (_, index) in libraries.items():
        nearest = index.search(query, count + 1, only)
        found.hits += [Hit(niche, near.item, near.similarity) for near in nearest if near.item.video_id != video_id]
    found.hits = sorted(found.hits, key=lambda hit: -hit.similarity)[:count]
    return found


Libraries = dict[str, tuple[Release, NicheIndex]]
"""The served release and its index, by niche."""


def _load_libraries(lab: Lab, niches: Sequence[str], remarks: list[str]) -> Libraries:
    libraries: Libraries = {}
    for niche in niches:
        try:
            release = lab.releases.serving.current(INDEX, niche)
            if release is not None:
                libraries[niche] = (release, NicheIndex.load(release))
        except LabError as error:
            remarks.append(f"{niche} is not searched: {error}")
    if not libraries:
        raise LabError("none of the niches serves a readable index; see `thumblab index status`")
    return libraries


def _with_vector_of(libraries: Libraries, video_id: str, remarks: list[str]) -> tuple[Libraries, Vectors]:
    """Return the vector of the video, and the libraries that were made with the encoder of this vector."""
    for _, index in libraries.values():
        if video_id in index:
            return _of_encoder(libraries, index.encoder, remarks), index.vector_of(video_id)
    raise LabError(f"the video {video_id} is in no index of {', '.join(libraries)}; search by --image instead")


def _of_encoder(libraries: Libraries, encoder: str, remarks: list[str]) -> Libraries:
    """Return the libraries that were made with `encoder`. Add a remark for each library with another encoder."""
    others = [niche for niche, (_, index) in libraries.items() if index.encoder != encoder]
    remarks += [f"{niche} is not searched: its index was made with {libraries[niche][1].encoder}" for niche in others]
    return {niche: library for niche, library in libraries.items() if niche not in others}
