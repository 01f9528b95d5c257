"""Test the release of a library map: what the map shows, when it is served, and how it is rolled back."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from mapped_lab import NICHES, library, plant_libraries
from PIL import Image
from sqlalchemy import delete, insert, text

from thumblab_core.database.tables import library_exclusions, videos
from thumblab_core.errors import LabError
from thumblab_core.library_map.atlases import page_name, read_atlases, read_pictures
from thumblab_core.library_map.clusters import read_clusters
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.library_map.points import read_points
from thumblab_core.releases.release import ALL, Release
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map import build
from thumblab_pipelines.library_map.build import BuiltMap, ServedMap, build_map, check_map, promote_map
from thumblab_pipelines.library_map.clustering import Clusters, find_clusters
from thumblab_pipelines.library_map.rollback import resume_map, roll_back_map
from thumblab_pipelines.library_map.trim import clean_maps, stale_maps
from thumblab_pipelines.previews.library_map import map_preview


@pytest.fixture(scope="module")
def lab(open_lab: Callable[..., Lab], drawn: Callable[..., bytes]) -> Iterator[Lab]:
    lab = open_lab(library_days=90)
    plant_libraries(lab, drawn)
    yield lab


def make(lab: Lab, scope: str) -> tuple[BuiltMap, ServedMap]:
    built = build_map(lab, scope)
    checks = check_map(built)
    assert [check.explanation for check in checks if not check.passed and not check.advisory] == []
    served = promote_map(lab, built, checks)
    assert served is not None
    return built, served


def shown(release: Release) -> set[str]:
    return set(read_points(release.path / "points.arrow").video_id)


def tile_of(release: Release, video_id: str) -> np.ndarray | None:
    """Return the mean colour of a video's tile in the map, as floats [3].

    The map stores the tiles in several sizes, on pages of many tiles. The largest size is read.
    """
    points, atlases = read_points(release.path / "points.arrow"), read_atlases(release.read("atlases.json"))
    level = atlases.levels[-1]
    tile = int(points.tile[points.video_id.index(video_id)])
    page, position = divmod(tile, level.columns * level.rows)
    row, column = divmod(position, level.columns)
    box = (column * 128, row * 72, column * 128 + 128, row * 72 + 72)
    with Image.open(release.path / page_name(level.pages[page])) as image:
        return np.asarray(image.crop(box), float).mean((0, 1))


@pytest.fixture(scope="module")
def first(lab: Lab) -> dict[str, Release]:
    """The first maps of a niche and of all niches."""
    return {scope: make(lab, scope)[1].release for scope in ("tech", ALL)}


def test_a_map_shows_each_video_of_its_libraries_once_with_its_picture(lab: Lab, first: dict[str, Release]) -> None:
    expected = {"tech": library(lab.engine, "tech"), ALL: library(lab.engine, "tech") | library(lab.engine, "beauty")}
    for scope, release in first.items():
        points = read_points(release.path / "points.arrow")
        assert sorted(points.video_id) == sorted(expected[scope])
        assert (points.tile >= 0).all()
        assert set(points.niche) == ({"tech"} if scope == "tech" else set(NICHES))
        assert points.x.min() >= 0 and points.y.max() <= 1
        stored = read_pictures(release.read("pictures.json"))
        for number in (0, 57, 100):
            sha256 = stored[int(points.tile[number])]
            assert sha256 is not None
            with Image.open(lab.images.path(sha256)) as picture:
                colour = np.asarray(picture.convert("RGB"), float).mean((0, 1))
            assert np.abs(tile_of(release, points.video_id[number]) - colour).max() < 6


def test_clusters_are_parts_of_the_map_and_name_a_video_of_it(first: dict[str, Release]) -> None:
    points, clusters = read_points(first[ALL].path / "points.arrow"), read_clusters(first[ALL].read("clusters.json"))
    coarse = {cluster.id for cluster in clusters if cluster.level == 0}
    assert coarse == set(points.cluster[points.cluster >= 0].tolist())
    assert coarse
    for cluster in clusters:
        column = points.cluster if cluster.level == 0 else points.fine_cluster
        rows = np.flatnonzero(column == cluster.id)
        assert cluster.videos == len(rows)
        assert cluster.medoid in {points.video_id[row] for row in rows.tolist()}
        assert (cluster.parent is None) == (cluster.level == 0)
        assert cluster.parent is None or (points.cluster[rows] == cluster.parent).all()


def test_an_unchanged_library_is_not_mapped_again(lab: Lab, first: dict[str, Release]) -> None:
    built, served = make(lab, "tech")
    assert built.reused
    assert served.release == first["tech"]


def test_the_preview_shows_the_map_and_names_no_video(first: dict[str, Release]) -> None:
    text = map_preview(first["tech"])
    assert "data:image/png;base64," in text
    assert len(text) < 300_000
    assert not any(video_id in text for video_id in shown(first["tech"]))


def test_a_map_whose_file_is_damaged_is_not_served(lab: Lab, first: dict[str, Release]) -> None:
    with lab.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET title = 'Another' WHERE video_id = 'v000003'"))
    built = build_map(lab, "beauty")
    path = built.release.path / "clusters.json"
    path.write_bytes(path.read_bytes() + b" ")
    checks = check_map(built)
    assert [check.name for check in checks if not check.passed] == ["intact"]
    assert promote_map(lab, built, checks) is None
    assert lab.releases.serving.current_id(LIBRARY_MAP, "beauty") is None
    lab.releases.remove(built.release)


def test_an_empty_library_is_an_error_that_says_what_to_do(lab: Lab) -> None:
    with pytest.raises(LabError, match="the library of news is empty"):
        build_map(lab, "news")


def test_a_deleted_video_leaves_all_maps_at_once_with_its_title_and_tile(lab: Lab, first: dict[str, Release]) -> None:
    victim, other = "v000010", "v000012"
    before = {scope: tile_of(first[scope], other) for scope in first}
    old_places = read_points(first["tech"].path / "points.arrow")
    clusters = read_clusters(first["tech"].read("clusters.json"))
    page_of_victim = {name for name in first["tech"].files if name.startswith("atlases/")}
    picture = read_pictures(first["tech"].read("pictures.json"))[
        int(old_places.tile[old_places.video_id.index(victim)])
    ]
    with lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.video_id == victim))
    assert {release.scope for scope in first for release in stale_maps(lab, scope)[0]} == {"tech", ALL}
    assert clean_maps(lab, ("tech", ALL)) == 2
    for scope in first:
        release = lab.releases.serving.current(LIBRARY_MAP, scope)
        assert release is not None
        release.verify()
        assert shown(release) == shown_before(old_places.video_id if scope == "tech" else None, lab) - {victim}
        assert not first[scope].path.exists()
        assert np.abs(tile_of(release, other) - before[scope]).max() < 2
        assert picture not in read_pictures(release.read("pictures.json"))
        content = b"".join((release.path / name).read_bytes() for name in release.files if not name.endswith(".jpg"))
        assert victim.encode() not in content
        assert stale_maps(lab, scope)[0] == []
    served = lab.releases.serving.current(LIBRARY_MAP, "tech")
    assert served is not None
    # The map has so few pictures that each page of tiles showed the picture of the deleted video. All pages are
    # therefore replaced.
    assert not page_of_victim & set(served.files)
    left = read_points(served.path / "points.arrow")
    assert left.x[left.video_id.index(other)] == old_places.x[old_places.video_id.index(other)]
    kept = {(cluster.level, cluster.id): cluster for cluster in read_clusters(served.read("clusters.json"))}
    assert {key: one.label for key, one in kept.items()} == {(c.level, c.id): c.label for c in clusters}


def shown_before(tech: list[str] | None, lab: Lab) -> set[str]:
    return set(tech) if tech is not None else library(lab.engine, "tech") | library(lab.engine, "beauty")


def test_a_later_map_starts_from_the_served_one_and_keeps_its_places_and_tiles(lab: Lab) -> None:
    before = lab.releases.serving.current(LIBRARY_MAP, "tech")
    assert before is not None
    with lab.engine.begin() as connection:
        connection.execute(insert(library_exclusions).values(video_id="v000014"))
        connection.execute(text("UPDATE videos SET title = 'A new title' WHERE video_id = 'v000016'"))
    _, served = make(lab, "tech")
    assert served.release != before
    assert served.release.info["continued"]
    assert served.release.info["drift"] < 0.02
    old, new = read_points(before.path / "points.arrow"), read_points(served.release.path / "points.arrow")
    assert set(new.video_id) == set(old.video_id) - {"v000014"}
    assert new.title[new.video_id.index("v000016")] == "A new title"
    for video_id in new.video_id:
        assert new.tile[new.video_id.index(video_id)] == old.tile[old.video_id.index(video_id)]
    # The earlier map still shows the video that was taken out of the library, so `clean_maps` must delete this map.
    assert clean_maps(lab, ("tech",)) == 1
    assert not before.path.exists()


def test_a_person_can_serve_an_older_map_and_no_build_replaces_it(lab: Lab) -> None:
    older = lab.releases.serving.current(LIBRARY_MAP, "tech")
    assert older is not None
    with lab.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET title = 'Newer' WHERE video_id = 'v000018'"))
    _, newer = make(lab, "tech")
    assert newer.release != older
    assert roll_back_map(lab, "tech") == older
    with lab.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET title = 'Newest' WHERE video_id = 'v000018'"))
    built, served = make(lab, "tech")
    assert served.release == older
    assert "rolled back" in str(served.held)
    assert resume_map(lab, "tech") == newer.release
    _, served = make(lab, "tech")
    assert served.release == built.release
    assert served.held is None


def test_a_rollback_serves_no_map_with_a_video_that_was_taken_out_since(lab: Lab) -> None:
    older = lab.releases.serving.current(LIBRARY_MAP, "tech")
    assert older is not None
    with lab.engine.begin() as connection:
        connection.execute(insert(library_exclusions).values(video_id="v000020"))
    make(lab, "tech")
    rolled_back = roll_back_map(lab, "tech")
    assert rolled_back == lab.releases.serving.current(LIBRARY_MAP, "tech")
    assert shown(rolled_back) == shown(older) - {"v000020"}
    resume_map(lab, "tech")


def test_a_map_is_made_although_the_served_one_is_deleted_meanwhile(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = lab.releases.serving.current(LIBRARY_MAP, "tech")
    assert earlier is not None
    with lab.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET title = 'Newest of all' WHERE video_id = 'v000018'"))

    def find_after_the_deletion(places: np.ndarray) -> Clusters:
        lab.releases.serving.withdraw(LIBRARY_MAP, "tech")
        lab.releases.remove(earlier)
        return find_clusters(places)

    monkeypatch.setattr(build, "find_clusters", find_after_the_deletion)
    built, served = make(lab, "tech")
    assert served.release == built.release
    assert built.release.info["continued"]
    assert not earlier.path.exists()
    for video_id in ("v000016", "v000018"):
        tile = tile_of(built.release, video_id)
        assert tile is not None and tile.max() > 0


def test_a_map_of_which_no_video_is_left_is_not_served(lab: Lab) -> None:
    with lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.niche == "tech"))
    assert clean_maps(lab, ("tech",)) >= 1
    assert lab.releases.serving.withdrawn(LIBRARY_MAP, "tech")
    assert lab.releases.all(LIBRARY_MAP, "tech") == []
