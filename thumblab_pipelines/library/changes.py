"""Change the served index of a niche without a rebuild: add or remove videos, roll back, and end a hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import (
    embeddings,
    encoding_failures,
    library_exclusions,
    thumbnails,
    videos,
)
from thumblab_core.encoders.load import image_encoder
from thumblab_core.encoders.protocol import NO_VECTOR
from thumblab_core.errors import LabError
from thumblab_core.index import Change, NicheIndex, RebuildRequiredError
from thumblab_core.releases.moves import NoOlderReleaseError, end_hold, serve_older
from thumblab_core.releases.release import INDEX, Release
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import promote_index, prune_indices, publish_changed
from thumblab_pipelines.library.rebuild_requests import request_rebuild
from thumblab_pipelines.library.rows import now, read_library
from thumblab_pipelines.library.trim import without_removed


@dataclass
class Changed:
    """The served release after a change, and what happened to each video.

    `put_in`: ids of the added videos. `taken_out`: ids of the removed videos. `skipped`: why a video was neither added
    nor removed, by video id.
    """

    release: Release | None
    put_in: list[str] = field(default_factory=list)
    taken_out: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def put_in(lab: Lab, niche: str, video_ids: Sequence[str]) -> Changed:
    """Add videos to the served index. If a video is already in the index, update its entry from the database.

    A video that was taken out before is added again. If the thumbnail of a video has no vector yet, the thumbnail is
    encoded first. If a video cannot be added, it is skipped, and the result gives the reason. If the served index
    cannot take the changes, a rebuild is requested and `RebuildRequiredError` is raised. Raises `LabError` if a person
    holds the served release.
    """
    wanted = list(dict.fromkeys(video_ids))
    encoder = image_encoder(lab.settings).fingerprint
    reasons = _not_ready(lab, niche, wanted, encoder)
    if any(reason == _NO_VECTOR for reason in reasons.values()):
        embed(lab, niche, crawl_seconds=0.0, urgent=wanted)
        # The fingerprint is read after `embed`, which may have chosen another precision for the encoder. Another
        # precision means another fingerprint.
        encoder = image_encoder(lab.settings).fingerprint
    with lab.releases.serving.changing(INDEX, niche):
        _require_not_held(lab, niche)
        with lab.engine.begin() as connection:
            of_niche = select(videos.c.video_id).where(videos.c.video_id.in_(wanted), videos.c.niche == niche)
            connection.execute(delete(library_exclusions).where(library_exclusions.c.video_id.in_(of_niche)))
        served, index = _served_index(lab, niche, encoder)
        rows = read_library(lab, niche, encoder, wanted)
        if not rows.items:
            return Changed(served, skipped=_why_skipped(lab, niche, wanted, encoder))
        mark = lab.releases.mark(INDEX, niche)
        changes = [
            (Change(item.video_id, rows.read_at, item, mark), vector)
            for item, vector in zip(rows.items, rows.vectors, strict=True)
        ]
        release = _publish(lab, served, index.changed(changes))
    added = [item.video_id for item in rows.items]
    missing = [video_id for video_id in wanted if video_id not in added]
    return Changed(release, put_in=added, skipped=_why_skipped(lab, niche, missing, encoder))


def take_out(lab: Lab, niche: str, video_ids: Sequence[str]) -> Changed:
    """Remove videos from the served index, and keep them out of every later build until they are added again.

    If the served index cannot take the change, a rebuild is requested and `RebuildRequiredError` is raised. The rebuild
    will leave the removed videos out. Raises `LabError` if a person holds the served release.
    """
    wanted = list(dict.fromkeys(video_ids))
    with lab.releases.serving.changing(INDEX, niche):
        _require_not_held(lab, niche)
        known = _exclude(lab, niche, wanted)
        with lab.engine.connect() as connection:
            # The time is read after the exclusions are committed. A build that read the database before this time may
            # miss the change, so `promote_index` repeats the change in this build.
            at = now(connection)
        mark = lab.releases.mark(INDEX, niche)
        skipped = {video_id: f"no video of {niche} in the lab" for video_id in wanted if video_id not in known}
        served = lab.releases.serving.current(INDEX, niche)
        index = None if served is None else NicheIndex.load(served)
        out = [video_id for video_id in wanted if video_id in known and index is not None and video_id in index]
        skipped |= {
            video_id: "it was not in the served index; later builds leave it out"
            for video_id in wanted
            if video_id in known and video_id not in out
        }
        if served is None or index is None or not out:
            return Changed(served, skipped=skipped)
        changes = [(Change(video_id, at, None, mark), None) for video_id in out]
        release = _publish(lab, served, index.changed(changes))
    return Changed(release, taken_out=out, skipped=skipped)


def roll_back(lab: Lab, niche: str, release_id: str | None = None) -> Release:
    """Serve an older release and hold it, so that no refresh replaces it. Return the older release.

    Without `release_id`, serve the newest release that was served before and is older than the served release. If videos
    of the older release were removed since, a release without these videos is published, served and returned. Raises
    `LabError` if no index is served, if the older release does not exist or is damaged, or if none of its videos is
    left.
    """
    try:
        return serve_older(
            lab.releases, INDEX, niche, release_id, NicheIndex.load, lambda older: without_removed(lab, older)
        )
    except NoOlderReleaseError as error:
        raise LabError(f"{error}; give a release with --to (`thumblab index verify {niche}` lists them)") from None


def resume(lab: Lab, niche: str) -> Release:
    """End the hold of `roll_back`. Serve the release from before the rollback, or a newer build if there is one.

    Raises `LabError` if the release to serve fails its checks.
    """

    # The database also has the changes that were made to the displaced release, so a rebuild includes these changes.
    def rebuild(displaced: str) -> None:
        request_rebuild(lab, niche, f"the release {displaced}, which a rollback replaced, no longer exists")

    end_hold(lab.releases, INDEX, niche, rebuild)
    return promote_index(lab, niche).release


def _exclude(lab: Lab, niche: str, video_ids: Sequence[str]) -> set[str]:
    """Exclude videos from every later index, and return their ids. Ids of videos outside the niche are ignored."""
    with lab.engine.begin() as connection:
        of_niche = select(videos.c.video_id).where(videos.c.video_id.in_(video_ids), videos.c.niche == niche)
        known = set(connection.scalars(of_niche))
        if known:
            rows = [{"video_id": video_id} for video_id in sorted(known)]
            connection.execute(insert(library_exclusions).values(rows).on_conflict_do_nothing())
    return known


def _served_index(lab: Lab, niche: str, encoder: str) -> tuple[Release, NicheIndex]:
    """Return the served release and its index.

    Request a rebuild and raise `RebuildRequiredError` if no index is served, or if the served index was not made with
    the encoder in the settings.
    """
    served = lab.releases.serving.current(INDEX, niche)
    if served is None:
        _require_rebuild(lab, niche, f"{niche} serves no index yet")
    index = NicheIndex.load(served)
    if index.encoder != encoder:
        _require_rebuild(
            lab,
            niche,
            f"the served index was made with the encoder {index.encoder}; the encoder in the settings is {encoder}",
        )
    return served, index


def _require_not_held(lab: Lab, niche: str) -> None:
    held = lab.releases.serving.held(INDEX, niche)
    if held is not None:
        raise LabError(f"the index of {niche} is held: {held}; run `thumblab index resume {niche}` first")


def _publish(lab: Lab, served: Release, index: NicheIndex) -> Release:
    if index.overdue is not None:
        _require_rebuild(lab, served.scope, index.overdue)
    release = publish_changed(lab, served, index)
    # The new release shares most files with the served release. The shared files were verified when the served index
    # was loaded, so they are not verified again.
    lab.releases.serving.promote(release, known=served.files)
    prune_indices(lab, served.scope)
    return release


def _require_rebuild(lab: Lab, niche: str, why: str) -> NoReturn:
    request_rebuild(lab, niche, why)
    raise RebuildRequiredError(
        f"rebuild required: {why}. A rebuild was requested, and starts within half a minute if Dagster runs (`thumblab "
        f"up`); to build it now: `thumblab index rebuild {niche}`"
    )


_NO_VECTOR = "its thumbnail is not encoded; the metadata of embeddings says why"


def _why_skipped(lab: Lab, niche: str, video_ids: Sequence[str], encoder: str) -> dict[str, str]:
    """Return the reason why each video in `video_ids` is not in the library, by video id."""
    reasons = _not_ready(lab, niche, video_ids, encoder)
    days = f"more than {lab.settings.library_days} days before the niche's newest observation"
    other_reason = f"it was first collected or last observed {days}, or is not an ordinary video"
    return {video_id: reasons.get(video_id, other_reason) for video_id in video_ids}


def _not_ready(lab: Lab, niche: str, video_ids: Sequence[str], encoder: str) -> dict[str, str]:
    """Return why each video cannot be added to the niche's index yet, by video id. Leave out videos that can be added.

    The possible reasons: the lab does not know the video, the video belongs to another niche, or its picture or vector
    is missing.
    """
    statement = (
        select(
            videos.c.video_id,
            videos.c.niche,
            thumbnails.c.sha256,
            embeddings.c.video_id.label("vector"),
            encoding_failures.c.video_id.label("failed"),
        )
        .outerjoin(thumbnails, thumbnails.c.video_id == videos.c.video_id)
        .outerjoin(
            embeddings,
            (embeddings.c.video_id == videos.c.video_id)
            & (embeddings.c.encoder == encoder)
            & (embeddings.c.source_digest == thumbnails.c.sha256),
        )
        .outerjoin(
            encoding_failures,
            (encoding_failures.c.video_id == videos.c.video_id)
            & (encoding_failures.c.encoder == encoder)
            & (encoding_failures.c.source_digest == thumbnails.c.sha256),
        )
        .where(videos.c.video_id.in_(video_ids))
    )
    with lab.engine.connect() as connection:
        known = {row.video_id: row for row in connection.execute(statement)}
    reasons = {}
    for video_id in video_ids:
        row = known.get(video_id)
        if row is None:
            reasons[video_id] = (
                "the lab does not know it; `thumblab import` it, or let raw_videos or the crawl collect it"
            )
        elif row.niche != niche:
            reasons[video_id] = f"it is a video of {row.niche}"
        elif row.sha256 is None:
            reasons[video_id] = f"its thumbnail was not downloaded; materialize thumbnails of {niche}"
        elif row.vector is None:
            reasons[video_id] = f"its thumbnail: {NO_VECTOR}" if row.failed else _NO_VECTOR
    return reasons
