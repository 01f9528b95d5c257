"""What a forgotten video leaves behind in releases and in the image store, and how it is taken out.

Each function compares what is there with what the `videos` table still has; none needs to know what was forgotten, or when.
"""

import json
import logging
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, select

from thumblab_core.database.tables import channels, thumbnail_versions, thumbnails, videos
from thumblab_core.durable_files import age
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapters
from thumblab_core.releases.release import ALL, INDEX, MODEL, PAIRS, Release, UnreadError, require_damage, unread
from thumblab_pipelines.channels.adapter import refit_channel_adapters
from thumblab_pipelines.dataset.kept_pairs import SCOPES, SUCCEEDED, deleted_in, holding_pairs, is_needed, prune_pairs
from thumblab_pipelines.dataset.load import load_dataset
from thumblab_pipelines.dataset.pairs import publish_successor
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.library.build import prune_indices
from thumblab_pipelines.progress import Progress, silent

_log = logging.getLogger(__name__)

_UNUSED_S = 3_600.0
"""A picture that no row names may belong to a download that is about to write its row."""

_UNFINISHED_S = 7 * 86_400.0
"""A training that goes on writes its state after every epoch; one that wrote nothing for a week was killed and given up."""


def alive_videos(connection: Connection, niche: str | None = None) -> set[str]:
    """Ids of the videos that the lab has, of a niche or of all."""
    statement = select(videos.c.video_id)
    return set(connection.scalars(statement.where(videos.c.niche == niche) if niche else statement))


def stale_indices(lab: Lab, niche: str) -> tuple[list[Release], set[str]]:
    """The index releases of the niche that hold a video which the lab no longer has, or that cannot be read; and the
    videos that it has."""
    with lab.engine.connect() as connection:
        alive = alive_videos(connection, niche)
    return [release for release in lab.releases.all(INDEX, niche) if not _holds_only(release, alive)], alive


def _holds_only(release: Release, alive: set[str]) -> bool:
    try:
        return NicheIndex.video_ids(release) <= alive
    except (LabError, OSError, ValueError, KeyError, TypeError) as error:
        require_damage(release, error)
        return False  # nobody can say what a damaged release holds


def clean_indices(lab: Lab, niche: str, run_id: str | None) -> int:
    """Serve the niche's index without the rows of forgotten videos, and delete every release that has any.

    Raises `UnreadError` where a release cannot be read now, and leaves what is served as it is.
    """
    with lab.releases.serving.changing(INDEX, niche):
        stale, alive = stale_indices(lab, niche)
        served = lab.releases.serving.current_id(INDEX, niche)
        for release in stale:
            if release.release_id != served:
                continue
            left = _without(lab, release, alive, run_id)
            if left is None:
                lab.releases.serving.withdraw(INDEX, niche)
            else:
                lab.releases.serving.promote(left)
        _remove(lab, stale)
        lost = lab.releases.discard_unreadable(INDEX, niche)
        prune_indices(lab, niche)  # what a writer that died left behind may hold anything
    return len(stale) + len(lost)


def _without(lab: Lab, release: Release, alive: set[str], run_id: str | None) -> Release | None:
    """The same index with the rows of living videos only, published; None when hardly anything is left, or it is damaged."""
    try:
        index = NicheIndex.load(release)
    except LabError as error:
        require_damage(release, error)
        return None
    # What was changed since stays a change, so that a build that was read before it is told of it.
    changes = [pair for pair in index.changes.pairs() if pair[0].video_id in alive]
    of_base = alive - {change.video_id for change, _ in changes}
    rows = np.array([row for row, item in enumerate(index.items) if item.video_id in of_base], dtype=np.intp)
    if len(rows) < 2:
        return None
    # Built at once: a change would leave the forgotten rows in the files. The quantiles of sub-scores name nobody.
    trimmed = NicheIndex.build(
        index.vectors()[rows],
        [index.items[row] for row in rows],
        index.encoder,
        index.scores,
        release.info["faiss"],
        lab.settings.index_recall,
    ).changed(changes)
    info = release.info | trimmed.describe()
    info |= {
        "inputs": inputs_digest("retention", release.release_id, [item.video_id for item in trimmed.items]),
    }
    return lab.releases.publish(INDEX, release.scope, trimmed.save, info, run_id)


def clean_pairs(lab: Lab, run_id: str | None = None, rest: timedelta = timedelta(0), successors: bool = True) -> int:
    """Delete the pairs releases that have forgotten videos; one that is needed has a successor without them first.

    A needed one that is younger than `rest` stays until it is older, as a successor may be gigabytes. Without `successors`
    none is made, and the stale ones are deleted. Raises `UnreadError` in the end where a release could not be read now: it
    stays for the next run.
    """
    deleted = 0
    failed: LabError | None = None
    with holding_pairs(lab):
        newest = lab.releases.latest(PAIRS, ALL)
        for release in [release for scope in SCOPES for release in lab.releases.all(PAIRS, scope)]:
            data = None
            try:
                forgotten = deleted_in(lab, release)
                if not forgotten:
                    continue
                if successors and is_needed(lab, release):
                    if _rests(release, rest):
                        continue
                    data = load_dataset(lab, release, forgotten)
            except LabError as error:
                if unread(error):
                    failed = error
                    continue
                _log.warning("%s is deleted without a successor: %s", release, error)  # nobody can say what it holds
            if data is not None:
                publish_successor(lab, data, ALL if release == newest else SUCCEEDED, run_id)
            lab.releases.remove(release)
            deleted += 1
        for scope in SCOPES:
            deleted += len(lab.releases.discard_unreadable(PAIRS, scope))
        prune_pairs(lab)  # what a writer that died left behind may hold anything
    if failed is not None:
        raise UnreadError(str(failed)) from failed
    return deleted


def _rests(release: Release, rest: timedelta) -> bool:
    """By this machine's clock, which dated the release too. One from the future was dated by a clock that was wrong."""
    return timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(release.created_at) < rest


def _remove(lab: Lab, releases: Iterable[Release]) -> None:
    for release in releases:
        lab.releases.remove(release)


def clean_images(lab: Lab, ahead: float = 0.0) -> int:
    """Delete the pictures that neither a thumbnail nor an earlier version of one names.

    `ahead`: by how many seconds this machine's clock may be ahead, which makes a new file look old.
    """
    with lab.engine.connect() as connection:
        named = set(connection.scalars(select(thumbnails.c.sha256).where(thumbnails.c.sha256.is_not(None))))
        named |= set(connection.scalars(select(thumbnail_versions.c.sha256)))
    return sum(lab.images.remove(sha256) for sha256 in lab.images.older_than(_UNUSED_S + ahead) if sha256 not in named)


@dataclass(frozen=True)
class CleanedHistories:
    """How many added histories no longer hold what is forgotten, and why others still do, by channel."""

    cleaned: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def stale_histories(lab: Lab) -> list[str]:
    """The channels with an added history that the lab has forgotten, or of which it has forgotten a video, and those whose
    history cannot be read."""
    folder = lab.releases.root / ADAPTER
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    with lab.engine.connect() as connection:
        alive, known = alive_videos(connection), set(connection.scalars(select(channels.c.channel_id)))
    return [name for name in names if _is_stale(lab, name, name in known, alive)]


def _is_stale(lab: Lab, channel_id: str, known: bool, alive: set[str]) -> bool:
    releases = lab.releases.all(ADAPTER, channel_id)
    try:
        served = ChannelAdapters(lab.releases).current_id(channel_id)
        named = {name for release in releases for name in json.loads(release.read("videos.json"))}
    except (LabError, ValueError, TypeError) as error:
        if unread(error):
            raise
        return True  # nobody can say what a damaged one holds
    if served is None and not releases:
        return False  # removed: what is left is a folder with its locks
    return not known or not named <= alive or served not in {None, *(release.release_id for release in releases)}


def clean_histories(lab: Lab, progress: Progress = silent) -> CleanedHistories:
    """Learn the added histories anew that hold forgotten videos, and remove those of forgotten channels.

    Where no model is served they are removed, as nothing can be learnt for it. What fails is told and raises nothing: the
    next run tries again.
    """
    stale = stale_histories(lab)
    if not stale:
        return CleanedHistories()
    histories = ChannelAdapters(lab.releases)
    failed = {}
    try:
        if lab.releases.serving.current_id(MODEL, ALL) is None:
            for channel_id in stale:
                histories.remove(channel_id)
        else:
            failed = refit_channel_adapters(lab, progress=progress).failed
    except Exception as error:  # noqa: BLE001  whatever is wrong with the model: the rest of retention does not wait for it
        failed = dict.fromkeys(stale, str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}")
    for channel_id in stale:
        with suppress(LabError):
            _remove_unserved(lab, channel_id)
    left = sorted({*stale} & {*stale_histories(lab)})
    return CleanedHistories(len(stale) - len(left), {name: failed.get(name, "it is as it was") for name in left})


def _remove_unserved(lab: Lab, channel_id: str) -> None:
    """Delete what a publication that was killed left of the channel: it may name anything."""
    histories = ChannelAdapters(lab.releases)
    with histories.changing(channel_id):
        served = histories.current_id(channel_id)
        _remove(lab, [one for one in lab.releases.all(ADAPTER, channel_id) if one.release_id != served])
        lab.releases.discard_unreadable(ADAPTER, channel_id)


def clean_unfinished(lab: Lab, ahead: float = 0.0) -> int:
    """Delete what trainings and fine-tunings that were killed and never called again left behind: vectors, weights and
    prepared pictures, which nobody else knows of. `ahead`: as in `clean_images`."""
    places = [lab.settings.data_dir / name for name in ("training", "fine-tuning")]
    folders = [path for place in places if place.is_dir() for path in place.iterdir() if path.is_dir()]
    old = [folder for folder in folders if not folder.is_symlink() and _idle(folder) > _UNFINISHED_S + ahead]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)  # what cannot be deleted now is tried again by the next run
    return sum(not folder.exists() for folder in old)


def _idle(folder: Path) -> float:
    """Seconds since anything in it was last written: a big file that grows leaves the folder's own time as it is."""
    try:
        return min(age(path) for path in [folder, *folder.rglob("*")])
    except FileNotFoundError:  # somebody writes there just now
        return 0.0
