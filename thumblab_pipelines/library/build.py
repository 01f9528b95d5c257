"""Build the index release of a niche from its library, check it, and promote it."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import select

from thumblab_core.database.tables import library_exclusions, videos
from thumblab_core.encoders.load import image_encoder, image_encoder_name
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.index import Change, NicheIndex
from thumblab_core.index.factories import check_factory
from thumblab_core.index.files import items_json
from thumblab_core.releases.release import IN_PLACE_OF, INDEX, Release
from thumblab_core.releases.scope import Hold
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.features.sub_scores import meter_version
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.library.empty import why_empty
from thumblab_pipelines.library.rebuild_requests import (
    as_of,
    close_request_answered_by,
    close_request_made_at,
    request_rebuild,
    request_time,
)
from thumblab_pipelines.library.rows import now, read_library, read_scores

_SAMPLE = 100
"""A check searches for this number of videos of a new index. Each search uses the video's own vector, and should find
the video."""
_LEAST_SHARE = 0.5
"""Minimum size of a new library, divided by the size of the served library.

A smaller library probably means that the collection of videos has failed.
"""


@dataclass(frozen=True)
class Built:
    """A build of the index. `reused`: whether a release with the same content already existed."""

    release: Release
    reused: bool


@dataclass(frozen=True)
class Served:
    """The served release. `held`: why a person holds the release, or None if no person holds it."""

    release: Release
    held: Hold | None


def build_index(lab: Lab, niche: str, run_id: str | None = None, factory: str | None = None) -> Built:
    """Publish an index release of the niche's library, unless the newest release has the same content.

    `factory`: the FAISS factory string of this build. If `factory` is None, the setting `index_factory` is used. Raises
    `LabError` if the library is empty, or if the factory string is unknown or beyond its limits.
    """
    index_settings = (factory or lab.settings.index_factory, lab.settings.index_recall)
    check_factory(index_settings[0])
    encoder = image_encoder(lab.settings).fingerprint
    # `mark` is the number of this build. Later releases and changes get higher numbers. A change with a higher number
    # may be missing in this build, so `promote_index` repeats the change. The time of the open rebuild request is read
    # before the library, so this build answers the request.
    mark, asked_at = lab.releases.mark(INDEX, niche), request_time(lab, niche)
    rows = read_library(lab, niche, encoder)
    if not rows.items:
        raise LabError(why_empty(lab, niche, encoder))
    scores = read_scores(lab, [item.video_id for item in rows.items], meter_version(lab))
    blobs: list[bytes | memoryview] = [b"".join(items_json(rows.items)), rows.vectors.data]
    inputs = inputs_digest(encoder, index_settings, vars(scores), blobs=blobs)
    release = lab.releases.unchanged(INDEX, niche, inputs)
    if release is not None:
        close_request_made_at(lab, niche, asked_at)
        return Built(release, reused=True)
    index = NicheIndex.build(rows.vectors, rows.items, encoder, scores, *index_settings)
    info = index.describe() | {
        "inputs": inputs,
        "as_of": rows.as_of.isoformat(),
        "mark": mark,
        "answers": asked_at.isoformat() if asked_at else None,
        "encoder_name": image_encoder_name(lab.settings),
        "measured": scores.count,
    }
    return Built(lab.releases.publish(INDEX, niche, index.save, info, run_id), reused=False)


def check_index(lab: Lab, release: Release) -> list[CheckResult]:
    """Load and verify the release, and return the checks that it must pass before it is served."""
    expected = image_encoder(lab.settings).fingerprint
    served = lab.releases.serving.current(INDEX, release.scope)
    served_count = int(served.info["count"]) if served is not None else 0
    try:
        index = NicheIndex.load(release)
    except LabError as error:
        return [CheckResult("intact", False, str(error))]
    rows = np.random.default_rng(0).permutation(len(index))[:_SAMPLE]
    sampled = [index.items[row].video_id for row in rows]
    lost = [video_id for video_id in sampled if index.search(index.vector_of(video_id), 1)[0].similarity < 0.999]
    same_encoder = index.encoder == expected
    # An index contains only videos with a vector from its encoder. So the sizes of two indices can be compared only if
    # both have the same encoder.
    comparable = served is not None and served.info["encoder"] == index.encoder
    shrunk = comparable and len(index) < served_count * _LEAST_SHARE
    return [
        CheckResult(
            "intact",
            True,
            f"{len(release.files)} files match their checksums; {len(index)} vectors",
            figures={"files": len(release.files), "vectors": len(index)},
        ),
        CheckResult(
            "encoder", same_encoder, f"made with the encoder {index.encoder}; the encoder in the settings is {expected}"
        ),
        CheckResult(
            "finds_itself",
            not lost,
            f"for {len(rows) - len(lost)} of {len(rows)} videos, a search with the video's own vector finds it first",
            figures={"sampled": len(rows), "lost": len(lost)},
        ),
        CheckResult(
            "size",
            not shrunk,
            f"this index has {len(index)} thumbnails; the served index has {served_count}",
            figures={"thumbnails": len(index), "served_now": served_count},
        ),
    ]


def promote_index(lab: Lab, niche: str) -> Served:
    """Serve the newest build of the niche. Before that, repeat the changes that the build misses.

    A change adds a video to the served index, or removes a video from it. A build misses the changes that were made
    while it ran. The checks of `check_index` are run again. If a person holds the served release (see `roll_back`),
    this release stays. Raises `LabError` if there is no release, if the build fails a check, or if the lab has
    meanwhile deleted a video of the build.
    """
    with lab.releases.serving.changing(INDEX, niche):
        served, held = lab.releases.serving.current(INDEX, niche), lab.releases.serving.held(INDEX, niche)
        if held is not None and served is not None:
            prune_indices(lab, niche)
            return Served(served, held)
        build = newest_build(lab, niche)
        build_is_newer = build is not None and (served is None or was_read_after(build, served))
        release = build if build_is_newer else served
        if release is None:
            raise LabError(f"{niche} has no index release; make the release with `thumblab refresh {niche}`")
        failed = [check.explanation for check in check_index(lab, release) if not check.passed]
        if failed:
            raise LabError(f"{release} is not promoted: {'; '.join(failed)}")
        if build_is_newer:
            _require_no_deleted_videos(lab, release)
        current = _caught_up(lab, release, served if build_is_newer else None)
        if current != served:
            lab.releases.serving.promote(current)
        close_request_answered_by(lab, current)
        prune_indices(lab, niche)
    return Served(current, None)


def prune_indices(lab: Lab, niche: str) -> list[str]:
    """Delete old releases of the niche and return their ids.

    Every build from the database and every change of the served index makes a release. The newest `releases_kept`
    releases are kept, and so are the newest `releases_kept` builds. So even after many changes, the build that waits to
    be served and a build for a rollback still exist. The release that was served before a rollback is kept too.

    A rollback may publish a build again without removed videos. All copies of a build count as one build, and of them
    only the newest is kept.
    """
    builds = {release.place_in_history: release.release_id for release in _builds(lab, niche)}
    newest = [builds[place] for place in sorted(builds)[-lab.settings.releases_kept :]]
    held = lab.releases.serving.held(INDEX, niche)
    spare = {*newest, *([held.displaced] if held and held.displaced else [])}
    return lab.releases.prune(INDEX, niche, lab.settings.releases_kept, spare)


def newest_build(lab: Lab, niche: str) -> Release | None:
    """Return the release whose build read the database last, or None if the niche has no build."""
    return max(_builds(lab, niche), key=_reading_order, default=None)


def was_read_after(release: Release, other: Release) -> bool:
    """Return whether the build of `release` read the database later than the build of `other`."""
    return _reading_order(release) > _reading_order(other)


def publish_changed(lab: Lab, of: Release, index: NicheIndex) -> Release:
    """Publish `index`, which was loaded from the release `of` and then changed. The two releases share files."""
    inputs = inputs_digest("changes", of.info["inputs"], [vars(entry) for entry in index.changes.entries])
    info = {name: entry for name, entry in of.info.items() if name != IN_PLACE_OF} | index.describe()
    info |= {"inputs": inputs}
    return lab.releases.publish(INDEX, of.scope, index.save_changes, info, sharing=of)


def check_served_index(lab: Lab, expected: Release) -> list[CheckResult]:
    """Check that the served release is `expected` or a newer release, which a change of the index may have made."""
    served = lab.releases.serving.current_id(INDEX, expected.scope)
    order = {release.release_id: release.order for release in lab.releases.all(INDEX, expected.scope)}
    passed = served in order and order[served] >= expected.order
    behind = sum(place > expected.order for place in order.values())
    return [CheckResult("pointer", passed, f"{expected.scope} serves {served}", figures={"newer_releases": behind})]


def _builds(lab: Lab, niche: str) -> list[Release]:
    """Return the releases that were built from the database, oldest first.

    A release that was made by adding or removing single videos is left out.
    """
    return [release for release in lab.releases.all(INDEX, niche) if not release.info.get("changed_since")]


def _reading_order(release: Release) -> tuple[int, datetime]:
    # Builds are ordered by the numbers that they got in `build_index`. Releases of an early version of the lab have no
    # number. Releases without a number are ordered by the time at which their build read the database.
    return int(release.info.get("mark", 0)), as_of(release)


def _caught_up(lab: Lab, release: Release, served: Release | None) -> Release:
    """Return a release with all changes that the build `release` misses, or `release` itself if it misses no change.

    The result also has the videos that were added to the `served` release after the build had read the database. If
    `served` has another encoder, its added videos cannot be copied, so a rebuild is requested. Videos that a person
    took out of the library are left out.
    """
    with lab.engine.connect() as connection:
        excluded = set(connection.scalars(select(library_exclusions.c.video_id)))
        at = now(connection)
    new_mark = lab.releases.mark(INDEX, release.scope)
    index = NicheIndex.load(release)
    mark = int(release.info.get("mark", 0))
    missed = [] if served is None else NicheIndex.load(served).changes.since(as_of(release), mark)
    added = [(change, vector) for change, vector in missed if vector is not None]
    if added and served is not None and served.info["encoder"] != release.info["encoder"]:
        request_rebuild(
            lab, release.scope, "videos were added to the served index while an index with another encoder was built"
        )
        added = []
    with_added = index.changed(added)
    taken_out: list[tuple[Change, Vectors | None]] = [
        (Change(video_id, at, None, new_mark), None) for video_id in sorted(excluded) if video_id in with_added
    ]
    if not added and not taken_out:
        return release
    return publish_changed(lab, release, with_added.changed(taken_out))


def _require_no_deleted_videos(lab: Lab, release: Release) -> None:
    """Raise `LabError`, and request a rebuild, if a file of the release contains a video that the lab has deleted."""
    with lab.engine.connect() as connection:
        existing = set(connection.scalars(select(videos.c.video_id).where(videos.c.niche == release.scope)))
    deleted = NicheIndex.video_ids(release) - existing
    if deleted:
        request_rebuild(lab, release.scope, f"{len(deleted)} videos were deleted while the index was built")
        raise LabError(
            f"{release} is not promoted, because the lab has deleted some of its videos ({len(deleted)}); "
            "a rebuild was requested"
        )
