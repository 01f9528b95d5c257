"""Tests of the index releases of a niche.

A release is built only once for each state of the library. A release is promoted only if it is intact and was made with
the encoder in the settings. If the served release was made with the same encoder, the new release must have at least
half as many videos.
"""

import dataclasses

import pytest
from bench import NICHE, Bench, CountingPictures, passed
from sqlalchemy import delete, insert, text, update

from thumblab_core.database.tables import library_exclusions, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX, Release
from thumblab_core.settings import Settings
from thumblab_pipelines.library import build


def test_an_index_holds_the_whole_library_and_is_built_once(bench: Bench) -> None:
    bench.ready()
    first, again = build.build_index(bench.lab, NICHE, "run"), build.build_index(bench.lab, NICHE)
    assert (first.reused, again.reused) == (False, True)
    assert again.release == first.release
    assert len(bench.lab.releases.all(INDEX, NICHE)) == 1
    index = NicheIndex.load(first.release)
    assert sorted(item.video_id for item in index.items) == bench.ids()
    assert all(item.outlier_multiple for item in index.items)
    assert all(verdict.passed for verdict in build.check_index(bench.lab, first.release))
    assert bench.lab.releases.serving.current(INDEX, NICHE) is None


def test_a_new_observation_makes_a_new_release(bench: Bench) -> None:
    first = build.build_index(bench.ready().lab, NICHE)
    bench.do(update(video_stats).where(video_stats.c.video_id == bench.ids()[0]).values(view_count=10**7))
    assert not build.build_index(bench.lab, NICHE).reused
    assert len(bench.lab.releases.all(INDEX, NICHE)) == 2
    assert bench.lab.releases.get(INDEX, NICHE, first.release.release_id) == first.release


def test_a_video_that_was_not_observed_for_91_days_leaves_the_library(bench: Bench) -> None:
    bench.ready()
    bench.do(text("UPDATE video_stats SET observed_at = observed_at - interval '91 days'"))
    latest = bench.ids()[:4]
    bench.do(
        text("UPDATE video_stats SET observed_at = observed_at + interval '91 days' WHERE video_id = ANY(:ids)")
        .bindparams(ids=latest)
    )  # fmt: skip
    assert build.build_index(bench.lab, NICHE).release.info["count"] == 4
    bench.do(insert(library_exclusions).values([{"video_id": name} for name in latest]))
    with pytest.raises(LabError, match="first collected or last observed more than 90 days before the newest"):
        build.build_index(bench.lab, NICHE)


def test_the_error_of_an_empty_library_says_what_to_do(bench: Bench) -> None:
    with pytest.raises(LabError, match="library of tech is empty: none of its"):
        build.build_index(bench.lab, NICHE)
    with pytest.raises(LabError, match="has no index release; make the release with `thumblab refresh tech`"):
        build.promote_index(bench.lab, NICHE)


def served(bench: Bench) -> Release:
    build.build_index(bench.ready().lab, NICHE)
    return build.promote_index(bench.lab, NICHE).release


def keeps(bench: Bench, release: Release) -> bool:
    return bench.lab.releases.serving.current(INDEX, NICHE) == release


def test_promoting_serves_the_newest_release_and_promoting_again_changes_nothing(bench: Bench) -> None:
    release = served(bench)
    assert keeps(bench, release)
    assert passed(build.check_served_index(bench.lab, release)) == {"pointer": True}
    pointer = release.path.parent / "CURRENT"
    before = pointer.stat().st_mtime_ns
    assert build.promote_index(bench.lab, NICHE).release == release
    assert pointer.stat().st_mtime_ns == before


def test_a_damaged_release_is_not_promoted_and_the_old_one_is_still_served(bench: Bench) -> None:
    release = served(bench)
    bench.do(update(video_stats).values(view_count=77))
    newer = build.build_index(bench.lab, NICHE).release
    data = bytearray((newer.path / "index.faiss").read_bytes())
    data[len(data) // 2] ^= 1
    (newer.path / "index.faiss").write_bytes(data)
    assert passed(build.check_index(bench.lab, newer)) == {"intact": False}
    with pytest.raises(LabError, match=r"is not promoted: .*checksum"):
        build.promote_index(bench.lab, NICHE)
    assert keeps(bench, release)


def test_a_release_of_a_different_encoder_than_the_settings_name_is_not_promoted(bench: Bench) -> None:
    release = served(bench)
    bench.pictures = CountingPictures("another-768")
    with pytest.raises(
        LabError, match="made with the encoder builtin-768-v3; the encoder in the settings is another-768"
    ):
        build.promote_index(bench.lab, NICHE)
    assert keeps(bench, release)


def test_a_library_that_lost_more_than_half_is_not_promoted(bench: Bench) -> None:
    release = served(bench)
    half = len(bench.ids()) // 2
    bench.do(delete(videos).where(videos.c.video_id.in_(bench.ids()[: half + 1])))
    build.build_index(bench.lab, NICHE)
    with pytest.raises(LabError, match=r"is not promoted: this index has \d+ thumbnails; the served index has \d+"):
        build.promote_index(bench.lab, NICHE)
    assert keeps(bench, release)


def test_a_library_that_lost_a_few_is_promoted(bench: Bench) -> None:
    release = served(bench)
    bench.do(delete(videos).where(videos.c.video_id.in_(bench.ids()[:3])))
    build.build_index(bench.lab, NICHE)
    assert build.promote_index(bench.lab, NICHE).release != release


def test_the_size_is_not_compared_after_a_change_of_encoder(bench: Bench) -> None:
    served(bench)
    bench.do(delete(videos).where(videos.c.video_id.in_(bench.ids()[4:])))
    bench.pictures = CountingPictures("another-768")
    build.build_index(bench.ready().lab, NICHE)
    assert build.promote_index(bench.lab, NICHE).release.info["encoder"] == "another-768"


def test_old_releases_are_deleted_except_for_the_number_in_the_settings(bench: Bench) -> None:
    bench.ready()
    kept = dataclasses.replace(
        bench.lab, settings=Settings(**(bench.lab.settings.model_dump(exclude_unset=True) | {"releases_kept": 2}))
    )
    for views in range(100, 105):
        bench.do(update(video_stats).values(view_count=views))
        build.build_index(kept, NICHE)
        build.promote_index(kept, NICHE)
    assert len(kept.releases.all(INDEX, NICHE)) == 2
