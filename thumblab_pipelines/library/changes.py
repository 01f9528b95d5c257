"""Change what a niche serves without building it anew: put videos in, take them out, roll back, hold and resume."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import (
    embeddings,
    encoding_failures,
    index_rebuilds,
    library_exclusions,
    thumbnails,
    videos,
)
from thumblab_core.encoders.load import image_encoder
from thumblab_core.encoders.protocol import NO_VECTOR
from thumblab_core.errors import LabError
from thumblab_core.index import Change, NicheIndex, RebuildRequiredError
from thumblab_core.releases.release import INDEX, Release, ReleaseError
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import ask_for_rebuild, promote_index, prune_indices, publish_changed
from thumblab_pipelines.library.rows import now, read_library


@dataclass
class Changed:
    """The release that is served after a change, and what became of each video.

    `put`: searched from now on. `out`: not any more. `left`: nothing was done, with the reason.
    """

    release: Release | None
    put: list[str] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def put_in(lab: Lab, niche: str, video_ids: Sequence[str], run_id: str | None = None) -> Changed:
    """Serve these videos of the library as they stand in the database, from now on; also those that were taken out.

    A thumbnail without a vector is encoded first. One that cannot be put in is left with its reason and stops no other.
    Raises `RebuildRequiredError` where the served index cannot take them, and asks for the rebuild.
    """
    wanted = list(dict.fromkeys(video_ids))
    encoder = image_encoder(lab.settings).fingerprint
    reasons = _not_ready(lab, niche, wanted, encoder)
    if any(reason == _NO_VECTOR for reason in reasons.values()):
        embed(lab, niche)
        encoder = image_encoder(lab.settings).fingerprint  # a precision may have been settled just now
    with lab.releases.serving.changing(INDEX, niche):
        _check_held(lab, niche)
        with lab.engine.begin() as connection:
            mine = select(videos.c.video_id).where(videos.c.video_id.in_(wanted), videos.c.niche == niche)
            connection.execute(delete(library_exclusions).where(library_exclusions.c.video_id.in_(mine)))
        served, index = _served(lab, niche, encoder)
        rows = read_library(lab, niche, encoder, wanted)
        if not rows.items:
            return Changed(served, left=_left(lab, niche, wanted, encoder))
        mark = lab.releases.mark(INDEX, niche)
        changes = [
            (Change(item.video_id, rows.read_at, item, mark), vector)
            for item, vector in zip(rows.items, rows.vectors, strict=True)
        ]
        release = _publish(lab, served, index.changed(changes), run_id)
    put = [item.video_id for item in rows.items]
    return Changed(release, put=put, left=_left(lab, niche, [v for v in wanted if v not in put], encoder))


def take_out(lab: Lab, niche: str, video_ids: Sequence[str], run_id: str | None = None) -> Changed:
    """Serve these videos no more, in this release and in every one that is built, until they are put in again.

    Raises `RebuildRequiredError` where the served index cannot take that in place; the rebuild, which is asked for, will.
    """
    wanted = list(dict.fromkeys(video_ids))
    with lab.releases.serving.changing(INDEX, niche):
        _check_held(lab, niche)
        known = _exclude(lab, niche, wanted)
        with lab.engine.connect() as connection:
            # After the commit: a build that was read before it lacks it, and is brought up to date when it is served.
            at = now(connection)
        mark = lab.releases.mark(INDEX, niche)
        left = {video_id: f"no video of {niche} in the lab" for video_id in wanted if video_id not in known}
        served = lab.releases.serving.current(INDEX, niche)
        index = None if served is None else NicheIndex.load(served)
        out = [video_id for video_id in wanted if video_id in known and index is not None and video_id in index]
        left |= {
            video_id: "it was not in what is served, and will not be in what is built"
            for video_id in wanted
            if video_id in known and video_id not in out
        }
        if served is None or index is None or not out:
            return Changed(served, left=left)
        changes = [(Change(video_id, at, None, mark), None) for video_id in out]
        release = _publish(lab, served, index.changed(changes), run_id)
    return Changed(release, out=out, left=left)


def roll_back(lab: Lab, niche: str, release_id: str | None = None) -> Release:
    """Serve an older release, the newest one before the served where none is named, and hold it: no refresh replaces it.

    Raises `LabError` when there is none, or when it is damaged.
    """
    with lab.releases.serving.changing(INDEX, niche):
        served = lab.releases.serving.current_id(INDEX, niche)
        if served is None:
            raise LabError(f"nothing of {niche} is served, so there is nothing to roll back from")
        if release_id is None:
            older = lab.releases.serving.served_before(INDEX, niche)
            if not older:
                raise LabError(
                    f"{niche} served no release before {served} that is still there; name one by --to "
                    f"(`thumblab index verify {niche}` lists them)"
                )
            release = older[-1]
        else:
            try:
                release = lab.releases.get(INDEX, niche, release_id)
            except ReleaseError as error:
                raise LabError(f"{error}; `thumblab index verify {niche}` lists the releases of {niche}") from None
        NicheIndex.load(release)
        # Held first: killed in between, the niche serves what it served, and says why it does not move.
        lab.releases.serving.hold(release, f"rolled back from {served} to {release.release_id}")
        lab.releases.serving.promote(release)
    return release


def resume(lab: Lab, niche: str) -> Release:
    """Serve again what was rolled back, or what was built since. Raises `LabError` where that does not pass its checks."""
    with lab.releases.serving.changing(INDEX, niche):
        held = lab.releases.serving.held(INDEX, niche)
        if held is not None and held.displaced is not None:
            try:
                lab.releases.serving.promote(lab.releases.get(INDEX, niche, held.displaced))
            except ReleaseError as error:
                if error.transient:
                    raise
                # Forgotten by the retention, or damaged: what was put into it is in the database.
                ask_for_rebuild(lab, niche, f"{held.displaced}, which was rolled back, is gone")
        lab.releases.serving.resume(INDEX, niche)
    return promote_index(lab, niche).release


@dataclass(frozen=True)
class Asked:
    """A niche whose index is to be built anew."""

    niche: str
    asked_at: datetime
    reason: str


def rebuilds_asked_for(lab: Lab) -> list[Asked]:
    """Those that no build has answered yet."""
    statement = select(index_rebuilds.c.niche, index_rebuilds.c.asked_at, index_rebuilds.c.reason)
    with lab.engine.connect() as connection:
        return [Asked(*row) for row in connection.execute(statement.order_by(index_rebuilds.c.niche))]


def _exclude(lab: Lab, niche: str, video_ids: Sequence[str]) -> set[str]:
    """Have no index hold those of these that are videos of the niche; which ones they are."""
    with lab.engine.begin() as connection:
        mine = select(videos.c.video_id).where(videos.c.video_id.in_(video_ids), videos.c.niche == niche)
        known = set(connection.scalars(mine))
        if known:
            rows = [{"video_id": video_id} for video_id in sorted(known)]
            connection.execute(insert(library_exclusions).values(rows).on_conflict_do_nothing())
    return known


def _served(lab: Lab, niche: str, encoder: str) -> tuple[Release, NicheIndex]:
    """What is served, where it can take a vector of that encoder."""
    served = lab.releases.serving.current(INDEX, niche)
    if served is None:
        _require_rebuild(lab, niche, f"nothing of {niche} is served yet")
    index = NicheIndex.load(served)
    if index.encoder != encoder:
        _require_rebuild(lab, niche, f"what is served was made with {index.encoder}, the settings say {encoder}")
    return served, index


def _check_held(lab: Lab, niche: str) -> None:
    held = lab.releases.serving.held(INDEX, niche)
    if held is not None:
        raise LabError(f"{niche} is held: {held}. `thumblab index resume {niche}` first")


def _publish(lab: Lab, served: Release, index: NicheIndex, run_id: str | None) -> Release:
    if index.overdue is not None:
        _require_rebuild(lab, served.scope, index.overdue)
    release = publish_changed(lab, served, index, run_id)
    lab.releases.serving.promote(release, served.files)  # which were verified a moment ago, and are shared
    prune_indices(lab, served.scope)
    return release


def _require_rebuild(lab: Lab, niche: str, why: str) -> NoReturn:
    ask_for_rebuild(lab, niche, why)
    raise RebuildRequiredError(
        f"rebuild required: {why}. It is asked for and starts within half a minute where Dagster runs (`thumblab up`); "
        f"to build now: `thumblab index rebuild {niche}`"
    )


_NO_VECTOR = "its thumbnail is not encoded; the metadata of embeddings says why"


def _left(lab: Lab, niche: str, video_ids: Sequence[str], encoder: str) -> dict[str, str]:
    """Why each of these is not in the library."""
    reasons = _not_ready(lab, niche, video_ids, encoder)
    days = f"more than {lab.settings.library_days} days before the niche's newest observation"
    rest = f"it was first collected or last observed {days}, or is no plain video"
    return {video_id: reasons.get(video_id, rest) for video_id in video_ids}


def _not_ready(lab: Lab, niche: str, video_ids: Sequence[str], encoder: str) -> dict[str, str]:
    """What the database lacks of each of these; those that lack nothing are left out."""
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
    found = {}
    for video_id in video_ids:
        row = known.get(video_id)
        if row is None:
            found[video_id] = (
                "the lab does not know it; `thumblab import` it, or let raw_videos or the crawl collect it"
            )
        elif row.niche != niche:
            found[video_id] = f"it is a video of {row.niche}"
        elif row.sha256 is None:
            found[video_id] = f"its thumbnail was not downloaded; materialize thumbnails of {niche}"
        elif row.vector is None:
            found[video_id] = f"its thumbnail: {NO_VECTOR}" if row.failed else _NO_VECTOR
    return found
