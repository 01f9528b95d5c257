"""Search what is served, across niches: by a picture, by a video of the library, or by words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thumblab_core.encoders.load import image_encoder_name, named_image_encoder
from thumblab_core.encoders.protocol import Vectors, text_tower
from thumblab_core.errors import LabError
from thumblab_core.images import decode, read_file
from thumblab_core.index import Item, NicheIndex, Only
from thumblab_core.releases.release import INDEX, Release
from thumblab_pipelines.lab import Lab


@dataclass(frozen=True)
class Hit:
    """A video that was found, in which niche, and its cosine to what was asked."""

    niche: str
    item: Item
    similarity: float


@dataclass
class Found:
    """The nearest of all niches together, nearest first. `remarks` say which niche was not searched, and why."""

    hits: list[Hit] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def search_libraries(
    lab: Lab,
    niches: Sequence[str],
    count: int,
    only: Only,
    image: Path | None = None,
    video_id: str | None = None,
    words: str | None = None,
) -> Found:
    """The nearest `count` over what these niches serve, to a picture, a video of theirs or words: one of the three.

    Each niche is asked with the encoder its release was made with; cosines of two encoders do not compare, so where niches
    differ in it, those of the first one's are searched and the others are remarked on. Raises `LabError`.
    """
    found = Found()
    libraries = _libraries(lab, niches, found.remarks)
    if video_id is not None:
        libraries, query = _of_video(libraries, video_id, found.remarks)
    else:
        release, _ = next(iter(libraries.values()))
        encoder = named_image_encoder(
            release.info.get("encoder_name", image_encoder_name(lab.settings)), lab.settings.releases
        )
        libraries = _alike(libraries, encoder.fingerprint, found.remarks)
        if image is not None:
            query = encoder.encode_images([decode(read_file(image), encoder.decode_size).pixels])[0]
        else:
            tower = text_tower(encoder)
            if tower is None:
                raise LabError(
                    f"{encoder.fingerprint} has no text tower, so words cannot be searched; use an open_clip encoder, or "
                    "search by a picture"
                )
            query = tower.encode_texts([words or ""])[0]
    for niche, (_, index) in libraries.items():
        nearest = index.search(query, count + 1, only)
        found.hits += [Hit(niche, n.item, n.similarity) for n in nearest if n.item.video_id != video_id]
    found.hits = sorted(found.hits, key=lambda hit: -hit.similarity)[:count]
    return found


Libraries = dict[str, tuple[Release, NicheIndex]]


def _libraries(lab: Lab, niches: Sequence[str], remarks: list[str]) -> Libraries:
    libraries: Libraries = {}
    for niche in niches:
        try:
            release = lab.releases.serving.current(INDEX, niche)
            if release is not None:
                libraries[niche] = (release, NicheIndex.load(release))
        except LabError as error:
            remarks.append(f"{niche} is not searched: {error}")
    if not libraries:
        raise LabError("none of the niches serves an index; `thumblab index status` says what is there")
    return libraries


def _of_video(libraries: Libraries, video_id: str, remarks: list[str]) -> tuple[Libraries, Vectors]:
    for _, index in libraries.values():
        if video_id in index:
            return _alike(libraries, index.encoder, remarks), index.vector_of(video_id)
    raise LabError(f"{video_id} is in none of {', '.join(libraries)}; search by --image instead")


def _alike(libraries: Libraries, encoder: str, remarks: list[str]) -> Libraries:
    others = [niche for niche, (_, index) in libraries.items() if index.encoder != encoder]
    remarks += [f"{niche} is not searched: it was made with {libraries[niche][1].encoder}" for niche in others]
    return {niche: one for niche, one in libraries.items() if niche not in others}
