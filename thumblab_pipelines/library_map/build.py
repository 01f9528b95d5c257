"""Build the map of a library, check it, and promote it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thumblab_core.encoders.load import image_encoder, image_encoder_name
from thumblab_core.errors import LabError
from thumblab_core.index.files import items_json
from thumblab_core.library_map.atlases import PICTURES, read_atlases, read_pictures
from thumblab_core.library_map.clusters import CLUSTERS, read_clusters
from thumblab_core.library_map.files import LIBRARY_MAP, MapContent, write_map
from thumblab_core.library_map.points import POINTS, MapFileError, Points, read_points
from thumblab_core.releases.release import ALL, Release, ReleaseError, require_damage, was_not_read
from thumblab_core.releases.scope import Hold
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.library.empty import why_empty
from thumblab_pipelines.library_map.clustering import NONE, Clusters, find_clusters, renumbered
from thumblab_pipelines.library_map.describe import describe
from thumblab_pipelines.library_map.layout import Earlier, Layout, is_finite, lay_out, reduced
from thumblab_pipelines.library_map.pictures import assign_tiles, reader
from thumblab_pipelines.library_map.quality import NEIGHBOURS, Quality, neighbourhoods
from thumblab_pipelines.library_map.read import MappedVideos, published_days, read_videos
from thumblab_pipelines.library_map.trim import mappable_videos, prune_maps, publish_trimmed

LEAST_TRUSTWORTHINESS = 0.85
MOST_DRIFT = 0.05
_VERSION = 2
"""Version of the code that makes maps. Raise this number if a change of the code would give the same library a
different map. Otherwise an unchanged library keeps its old map."""


@dataclass(frozen=True)
class BuiltMap:
    """A release of a map. `reused`: whether the release already existed. `library`: ids of the videos that the map must
    show.
    """

    release: Release
    reused: bool
    library: frozenset[str]


@dataclass(frozen=True)
class ServedMap:
    """The served release. `held`: why a person holds the release, or None if no person holds it."""

    release: Release
    held: Hold | None


def build_map(lab: Lab, scope: str, run_id: str | None = None) -> BuiltMap:
    """Publish a map of a niche's library, or of all libraries for the scope `ALL`.

    If the newest map was made from the same inputs, it is returned and nothing is published. The layout of a new map
    starts from the served map, if both maps have the same encoder. Raises `LabError` if the library is empty.
    """
    encoder = image_encoder(lab.settings).fingerprint
    videos = read_videos(lab, scope, encoder)
    if not len(videos):
        raise LabError("the libraries of all niches are empty" if scope == ALL else why_empty(lab, scope, encoder))
    library = frozenset(item.video_id for item in videos.items)
    facts = videos.facts.to_json(orient="values").encode()
    inputs = inputs_digest(
        _VERSION, encoder, videos.niches, blobs=[b"".join(items_json(videos.items)), facts, videos.vectors.data]
    )
    release = lab.releases.unchanged(LIBRARY_MAP, scope, inputs)
    if release is not None:
        return BuiltMap(release, True, library)
    earlier = _EarlierMap.read(lab, scope, encoder)
    layout = lay_out(videos.vectors, None if earlier is None else earlier.start(videos))
    found = find_clusters(layout.places)
    clusters = found if earlier is None else earlier.renumber(videos, found)
    tiles, pictures = assign_tiles(
        videos.facts.sha256.tolist(), () if earlier is None else earlier.pictures, layout.places
    )
    points = _points(videos, layout, clusters, tiles)
    described = describe(videos, layout.places, clusters)
    content = MapContent(points, described, pictures)
    quality = neighbourhoods(videos.vectors, layout.places)
    by_components = neighbourhoods(videos.vectors, reduced(videos.vectors, 2))
    info = {
        "inputs": inputs,
        "videos": len(videos),
        "clusters": len(described),
        "rising": sum(cluster.growth.rising for cluster in described),
        "encoder": encoder,
        "encoder_name": image_encoder_name(lab.settings),
        "spread": layout.spread,
        "continued": layout.continued,
        "drift": layout.drift,
        "quality": _figures(quality),
        "quality_of_pca": _figures(by_components),
    }

    def write(folder: Path) -> None:
        # The served map may have been deleted since it was read. In this case, all its pages are drawn again. From here
        # on, no process can delete the map, because `publish` keeps the scope locked while it writes.
        pages = None if earlier is None or not earlier.folder.is_dir() else earlier.folder
        write_map(folder, content, reader(lab.images), pages)

    return BuiltMap(lab.releases.publish(LIBRARY_MAP, scope, write, info, run_id), False, library)


def check_map(built: BuiltMap) -> list[CheckResult]:
    """Verify the release, and return the checks of the map. A map may be served if all checks pass, except advisory
    checks.
    """
    release = built.release
    try:
        release.verify()
        points = read_points(release.path / POINTS)
        read_clusters(release.read(CLUSTERS))
        atlases = read_atlases(release.read("atlases.json"))
    except (LabError, ValueError) as error:
        require_damage(release, error)
        return [CheckResult("intact", False, str(error))]
    shown = set(points.video_id)
    missing = len(built.library - shown)
    finite = is_finite(points.x) and is_finite(points.y)
    with_picture = int((points.tile >= 0).sum())
    return [
        CheckResult("intact", True, f"{len(points)} points, {atlases.tiles} tiles", figures={"points": len(points)}),
        CheckResult("finite", finite, "all places are numbers from 0 to 1" if finite else "a place is outside the map"),
        CheckResult(
            "placed",
            shown == built.library and len(points) == len(shown),
            f"{missing} of {len(built.library)} videos of the library are not on the map; the map has {len(points)} points, "
            f"{with_picture} with a picture",
            figures={"missing": missing, "with_picture": with_picture},
        ),
        _trustworthiness(release),
        _drift(release),
    ]


def promote_map(lab: Lab, built: BuiltMap, checks: list[CheckResult], run_id: str | None = None) -> ServedMap | None:
    """Serve the release if its checks passed and no person holds an older map. Delete old releases.

    Videos that were deleted or taken out of the library since the build are first removed from the map. Return None if
    no map is served, for example because a check of the first map failed.
    """
    scope = built.release.scope
    with lab.releases.serving.changing(LIBRARY_MAP, scope):
        held = lab.releases.serving.held(LIBRARY_MAP, scope)
        served = lab.releases.serving.current(LIBRARY_MAP, scope)
        passed = all(check.passed or check.advisory for check in checks)
        if passed and (held is None or served is None):
            release: Release | None = built.release
            allowed = mappable_videos(lab, scope)
            if not built.library <= allowed:
                release = publish_trimmed(lab, built.release, allowed, run_id)
            if release is not None and release != served:
                lab.releases.serving.promote(release)
            served = release or served
        prune_maps(lab, scope)
    return None if served is None else ServedMap(served, held)


@dataclass(frozen=True)
class _EarlierMap:
    """The parts of the served map that a new map reuses."""

    folder: Path
    points: Points
    pictures: list[str | None]
    spread: float

    @classmethod
    def read(cls, lab: Lab, scope: str, encoder: str) -> _EarlierMap | None:
        """Return the served map. Return None if no map is served, or if the served map is damaged, has another encoder
        or is deleted while it is read.
        """
        try:
            release = lab.releases.serving.current(LIBRARY_MAP, scope)
            if release is None or release.info["encoder"] != encoder:
                return None
            # The new map shares files with the served map, so a damaged file would be published again.
            release.verify()
            pictures = read_pictures(release.read(PICTURES))
            return cls(release.path, read_points(release.path / POINTS), pictures, float(release.info["spread"]))
        except (ReleaseError, MapFileError, OSError, ValueError) as error:
            if was_not_read(error):
                raise
            return None

    def start(self, videos: MappedVideos) -> Earlier:
        rows, earlier_rows = self._common(videos)
        places = np.stack([self.points.x, self.points.y], axis=1).astype(np.float64)
        return Earlier(rows, places[earlier_rows], self.spread)

    def renumber(self, videos: MappedVideos, found: Clusters) -> Clusters:
        rows, earlier_rows = self._common(videos)
        levels = []
        for numbers, column in ((found.coarse, self.points.cluster), (found.fine, self.points.fine_cluster)):
            earlier = np.full(len(numbers), NONE, np.intp)
            earlier[rows] = column[earlier_rows]
            levels.append(renumbered(numbers, earlier))
        return Clusters(*levels)

    def _common(self, videos: MappedVideos) -> tuple[np.ndarray, np.ndarray]:
        """Return two arrays about the videos that both maps have: their rows in the new map, and their rows in the
        earlier map.
        """
        row_of = {video_id: row for row, video_id in enumerate(self.points.video_id)}
        pairs = [(new, row_of[item.video_id]) for new, item in enumerate(videos.items) if item.video_id in row_of]
        both = np.array(pairs, np.intp).reshape(-1, 2)
        return both[:, 0], both[:, 1]


def _points(videos: MappedVideos, layout: Layout, clusters: Clusters, tiles: np.ndarray) -> Points:
    def float32(values: list[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], np.float32)

    # Without `clip`, a rounding error could put a place outside the square from 0 to 1.
    places = np.clip(layout.places, 0, 1).astype(np.float32)
    return Points(
        x=places[:, 0],
        y=places[:, 1],
        video_id=[item.video_id for item in videos.items],
        title=[item.title for item in videos.items],
        channel=[item.channel for item in videos.items],
        niche=list(videos.niches),
        published_day=published_days(videos.items),
        outlier_multiple=float32([item.outlier_multiple for item in videos.items]),
        views_per_hour=float32([item.views_per_hour for item in videos.items]),
        cluster=clusters.coarse.astype(np.int32),
        fine_cluster=clusters.fine.astype(np.int32),
        sub_scores={name: videos.facts[name].to_numpy(np.float32) for name in NAMES},
        tile=tiles,
    )


def _figures(quality: Quality | None) -> dict[str, float] | None:
    return None if quality is None else {name: round(value, 4) for name, value in vars(quality).items()}


def _trustworthiness(release: Release) -> CheckResult:
    quality = release.info["quality"]
    if quality is None or quality["neighbours"] < NEIGHBOURS:
        return CheckResult("trustworthiness", True, "there are too few videos to compare 15 neighbours", advisory=True)
    value, of_pca = quality["trustworthiness"], release.info["quality_of_pca"]["trustworthiness"]
    return CheckResult(
        "trustworthiness",
        value >= LEAST_TRUSTWORTHINESS,
        f"trustworthiness {value:.3f} for {NEIGHBOURS} neighbours; a map of two principal components has {of_pca:.3f}",
        advisory=True,
        figures={"trustworthiness": value, "continuity": quality["continuity"], "of_pca": of_pca},
    )


def _drift(release: Release) -> CheckResult:
    value = release.info["drift"]
    if value is None:
        return CheckResult("drift", True, "there was no earlier map with which to compare the places", advisory=True)
    return CheckResult(
        "drift",
        value <= MOST_DRIFT,
        f"half of the videos moved by at most {100 * value:.2f} % of the map's width",
        advisory=True,
        figures={"drift": value},
    )
