"""Build the index release of a niche from its reference library, and judge and promote it."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import ColumnElement, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import index_rebuilds, library_exclusions, videos
from thumblab_core.encoders.load import image_encoder, image_encoder_name
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.index import Change, NicheIndex
from thumblab_core.index.files import items_json
from thumblab_core.releases.release import INDEX, Release
from thumblab_core.releases.serving import Hold
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.features.sub_scores import meter_version
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.library.rows import now, read_library, read_scores

_SAMPLE = 100
_LEAST_SHARE = 0.5
"""A library that lost more than half of what is served is a failed collection until a person says otherwise."""


@dataclass(frozen=True)
class Built:
    """The release, and whether it was there already because nothing had changed."""

    release: Release
    reused: bool


@dataclass(frozen=True)
class Served:
    """The release that is served, and why nothing newer is, where a person holds it."""

    release: Release
    held: Hold | None


def build_index(lab: Lab, niche: str, run_id: str | None = None) -> Built:
    """Publish an index release of the niche's library, unless one of the same content is there.

    Raises `LabError` when the library is empty.
    """
    encoder = image_encoder(lab.settings).fingerprint
    # Before it is read: what is marked later may be missing from it, and who asked by now is answered by it.
    mark, asked = lab.releases.mark(INDEX, niche), _asked(lab, niche)
    rows = read_library(lab, niche, encoder)
    if not rows.items:
        raise LabError(_why_empty(lab, niche, encoder))
    scores = read_scores(lab, [item.video_id for item in rows.items], meter_version(lab))
    wanted = (lab.settings.index_factory, lab.settings.index_recall)
    blobs: list[bytes | memoryview] = [items_json(rows.items), rows.vectors.data]
    inputs = inputs_digest(encoder, wanted, vars(scores), blobs=blobs)
    release = lab.releases.unchanged(INDEX, niche, inputs)
    reused = release is not None
    if release is None:
        index = NicheIndex.build(rows.vectors, rows.items, encoder, scores, *wanted)
        info = index.describe() | {
            "inputs": inputs,
            "as_of": rows.as_of.isoformat(),
            "mark": mark,
            "answers": asked.isoformat() if asked else None,
            "encoder_name": image_encoder_name(lab.settings),
            "measured": scores.count,
        }
        release = lab.releases.publish(INDEX, niche, index.save, info, run_id)
    else:
        _answered(lab, niche, index_rebuilds.c.asked_at == asked)
    return Built(release, reused)


_LACKING = text("""
SELECT count(*) AS videos, count(t.sha256) AS pictures, count(e.video_id) AS vectors,
       count(*) FILTER (WHERE e.video_id IS NOT NULL AND x.video_id IS NULL) AS wanted,
       count(*) FILTER (WHERE r.video_id IS NOT NULL AND x.video_id IS NULL) AS counted
FROM videos v
LEFT JOIN thumbnails t ON t.video_id = v.video_id AND t.sha256 IS NOT NULL
LEFT JOIN embeddings e ON e.video_id = v.video_id AND e.encoder = :encoder AND e.source_digest = t.sha256
LEFT JOIN ref_thumbnails r ON r.video_id = v.video_id AND r.encoder = :encoder
LEFT JOIN library_exclusions x ON x.video_id = v.video_id
WHERE v.niche = :niche
""")


def _why_empty(lab: Lab, niche: str, encoder: str) -> str:
    """Which step of the library has made nothing yet, and what makes it."""
    with lab.engine.connect() as connection:
        found = connection.execute(_LACKING, {"niche": niche, "encoder": encoder}).one()
    empty = f"the library of {niche} is empty"
    if not found.videos:
        return f"{empty}: the lab has no video of it; `thumblab import` a catalogue, or collect it with an API key"
    if not found.pictures:
        return (
            f"{empty}: none of its {found.videos} videos has a thumbnail; materialize thumbnails of it (`thumblab up`)"
        )
    if not found.vectors:
        return (
            f"{empty}: none of its {found.pictures} thumbnails is encoded with {encoder}; `thumblab refresh {niche}` does "
            "that and what follows"
        )
    if not found.wanted:
        return (
            f"{empty}: each of its {found.vectors} encoded videos was taken out; `thumblab index upsert` puts one back"
        )
    if not found.counted:
        return f"{empty}: none of its {found.vectors} encoded videos is a plain video with a count of views"
    return (
        f"{empty}: all of its {found.counted} videos were first collected or last observed more than "
        f"{lab.settings.library_days} days before the newest observation; collect it again (`thumblab up`)"
    )


def check_index(lab: Lab, release: Release) -> list[CheckResult]:
    """What a person would look at before serving an index. Loads and verifies the release."""
    expected = image_encoder(lab.settings).fingerprint
    served = lab.releases.serving.current(INDEX, release.scope)
    before = int(served.info["count"]) if served is not None else 0
    try:
        index = NicheIndex.load(release)
    except LabError as error:
        return [CheckResult("intact", False, str(error))]
    rows = np.random.default_rng(0).permutation(len(index))[:_SAMPLE]
    sampled = [index.items[row].video_id for row in rows]
    lost = [video_id for video_id in sampled if index.search(index.vector_of(video_id), 1)[0].similarity < 0.999]
    same_encoder = index.encoder == expected
    # Another encoder is another library: its size says nothing of this one's.
    comparable = served is not None and served.info["encoder"] == index.encoder
    shrunk = comparable and len(index) < before * _LEAST_SHARE
    return [
        CheckResult("intact", True, f"{len(release.files)} files match their checksums; {len(index)} vectors"),
        CheckResult("encoder", same_encoder, f"made with {index.encoder}, the settings say {expected}"),
        CheckResult(
            "finds_itself", not lost, f"{len(rows) - len(lost)} of {len(rows)} sampled videos are their own nearest"
        ),
        CheckResult("size", not shrunk, f"{len(index)} thumbnails; {before} are served now"),
    ]


def promote_index(lab: Lab, niche: str) -> Served:
    """Serve the newest build of the niche, judged once more, with what was put in or taken out since it was read.

    Where a person holds the served release (`roll_back`), it stays. Raises `LabError` when the build does not pass, or
    holds a video that was forgotten since.
    """
    with lab.releases.serving.changing(INDEX, niche):
        served, held = lab.releases.serving.current(INDEX, niche), lab.releases.serving.held(INDEX, niche)
        if held is not None and served is not None:
            prune_indices(lab, niche)
            return Served(served, held)
        build = newest_build(lab, niche)
        newer = build is not None and (served is None or was_read_after(build, served))
        release = build if newer else served
        if release is None:
            raise LabError(f"{niche} has no index release; `thumblab refresh {niche}` makes one")
        bad = [verdict for verdict in check_index(lab, release) if not verdict.passed]
        if bad:
            raise LabError(f"{release} is not promoted: {'; '.join(v.explanation for v in bad)}")
        if newer:
            _check_nothing_forgotten(lab, release)
        current = _caught_up(lab, release, served if newer else None)
        if current != served:
            lab.releases.serving.promote(current)
        _answered(lab, niche, _answers(current))
        prune_indices(lab, niche)
    return Served(current, None)


def prune_indices(lab: Lab, niche: str) -> list[str]:
    """Delete old releases of the niche; which ones.

    The newest few of any sort stay, and as many that were built at once: small changes must crowd out neither a build that
    waits to be served nor what one might roll back to. So does what a person displaced by a rollback.
    """
    builds = [release.release_id for release in lab.releases.all(INDEX, niche) if not release.info.get("changed_since")]
    held = lab.releases.serving.held(INDEX, niche)
    spare = {*builds[-lab.settings.releases_kept :], *([held.displaced] if held and held.displaced else [])}
    return lab.releases.prune(INDEX, niche, lab.settings.releases_kept, spare)


def ask_for_rebuild(lab: Lab, niche: str, reason: str) -> None:
    """Have the index of the niche built anew as soon as Dagster looks (the sensor `index_rebuilds`)."""
    statement = insert(index_rebuilds).values(niche=niche, reason=reason)
    changed = {"reason": reason, "asked_at": func.now()}
    with lab.engine.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["niche"], set_=changed))


def newest_build(lab: Lab, niche: str) -> Release | None:
    """The release of the niche that was read last of those that were built at once, and not made of another by a change."""
    builds = [release for release in lab.releases.all(INDEX, niche) if not release.info.get("changed_since")]
    return max(builds, key=_when_read, default=None)


def was_read_after(release: Release, other: Release) -> bool:
    """Whether the build that a release is, or was made of by changes, read the database after that of the other one."""
    return _when_read(release) > _when_read(other)


def _when_read(release: Release) -> tuple[int, datetime]:
    """By the counter of the store; by the clock for releases that were made before there was one."""
    return int(release.info.get("mark", 0)), as_of(release)


def as_of(release: Release) -> datetime:
    """Up to when the database is in what the release was built of, by the clock of the database."""
    return datetime.fromisoformat(release.info.get("as_of", release.created_at))


def _caught_up(lab: Lab, release: Release, served: Release | None) -> Release:
    """The release with what was changed in the served one since it was read, and without what is excluded: nothing that was
    acknowledged is lost."""
    with lab.engine.connect() as connection:
        excluded = set(connection.scalars(select(library_exclusions.c.video_id)))
        at = now(connection)
    marked = lab.releases.mark(INDEX, release.scope)
    index = NicheIndex.load(release)
    mark = int(release.info.get("mark", 0))
    missed = [] if served is None else NicheIndex.load(served).changes.since(as_of(release), mark)
    puts = [(change, vector) for change, vector in missed if vector is not None]
    if puts and served is not None and served.info["encoder"] != release.info["encoder"]:
        ask_for_rebuild(lab, release.scope, "videos were put in while it was built for another encoder")
        puts = []
    index_now = index.changed(puts)
    out: list[tuple[Change, Vectors | None]] = [
        (Change(video_id, at, None, marked), None) for video_id in sorted(excluded) if video_id in index_now
    ]
    if not puts and not out:
        return release
    return publish_changed(lab, release, index_now.changed(out))


def _check_nothing_forgotten(lab: Lab, release: Release) -> None:
    """A video that left the lab while the index was built must not be served, nor stay in a file of it."""
    with lab.engine.connect() as connection:
        alive = set(connection.scalars(select(videos.c.video_id).where(videos.c.niche == release.scope)))
    gone = NicheIndex.video_ids(release) - alive
    if gone:
        ask_for_rebuild(lab, release.scope, f"{len(gone)} videos were forgotten while it was built")
        raise LabError(f"{release} is not promoted: {len(gone)} of its videos were forgotten since; it is built anew")


def _asked(lab: Lab, niche: str) -> datetime | None:
    """When a rebuild of the niche was last asked for, if no build has answered that yet."""
    with lab.engine.connect() as connection:
        return connection.scalar(select(index_rebuilds.c.asked_at).where(index_rebuilds.c.niche == niche))


def _answers(release: Release) -> ColumnElement[bool]:
    """What was asked for before the release was read."""
    if "answers" not in release.info:  # it was built when only clocks told
        return index_rebuilds.c.asked_at <= as_of(release)
    asked = release.info["answers"]
    return index_rebuilds.c.asked_at == (datetime.fromisoformat(asked) if asked else None)


def _answered(lab: Lab, niche: str, asked: ColumnElement[bool]) -> None:
    with lab.engine.begin() as connection:
        connection.execute(delete(index_rebuilds).where(index_rebuilds.c.niche == niche, asked))


def publish_changed(lab: Lab, of: Release, index: NicheIndex, run_id: str | None = None) -> Release:
    """The release `of` with the changes of `index`, which was loaded from it."""
    inputs = inputs_digest("changes", of.info["inputs"], [vars(entry) for entry in index.changes.entries])
    info = of.info | index.describe() | {"inputs": inputs}
    return lab.releases.publish(INDEX, of.scope, index.save_changes, info, run_id, sharing=of)


def check_served_index(lab: Lab, expected: Release) -> list[CheckResult]:
    """Does the pointer name the release that was promoted, or one that a change has made of it since?"""
    found = lab.releases.serving.current_id(INDEX, expected.scope)
    order = {release.release_id: release.order for release in lab.releases.all(INDEX, expected.scope)}
    return [
        CheckResult("pointer", found in order and order[found] >= expected.order, f"{expected.scope} serves {found}")
    ]
