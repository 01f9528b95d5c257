"""Copy releases, and the record of what was served, from one place to another."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from thumblab_core.durable_files import sync
from thumblab_core.releases.release import Release, ReleaseError, read_release
from thumblab_core.releases.scope import Scope, ScopeRecord, readable_releases

_MOMENTS = 10
"""A scope is read at most this number of times. It is read again if its served release was deleted meanwhile."""


def bring(place: Scope, release_id: str, copy: Path) -> None:
    """Make a release from a copy of its folder, unless `place` has the release already.

    Call this inside `place.writing`.

    Raises `ReleaseError` unless the copy is the complete and undamaged release that was published.
    """
    if place.has(release_id):
        return
    with place.staging() as staging:
        shutil.copytree(copy, staging, dirs_exist_ok=True)
        try:
            release = read_release(place.kind, place.scope, release_id, staging)
            release.verify()
        except ReleaseError:
            shutil.rmtree(staging)
            raise
        # The copy may come from another store, whose numbers may be higher than the numbers of `place`.
        place.next_number(above=release.number)
        for path in (*staging.rglob("*"), staging):
            sync(path)
        place.publish(staging, release_id)


@dataclass(frozen=True)
class ReadScope:
    """What `read_scope` has found. `left_out`: sorted ids of the damaged releases, which were left out."""

    record: ScopeRecord
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class CopiedScope:
    """What `copy_scope` has done. `copied`: number of copied releases. `left_out`: see `ReadScope`."""

    copied: int
    left_out: tuple[str, ...]


def read_scope(source: Scope, take: Callable[[Release], None]) -> ReadScope:
    """Call `take` with every release of a scope, oldest first. Return the record of the scope.

    Damaged releases, and releases that are deleted meanwhile, are left out. The release that the record names as served
    is never left out. Raises `ReleaseError` if it is damaged.
    """
    for _ in range(_MOMENTS):
        # The record is read before the ids. So the ids include the served release of the record, unless this release
        # is deleted in between.
        record, before, taken = source.record(), set(source.release_ids()), set()
        for release in readable_releases(source):
            try:
                take(release)
            except ReleaseError as error:
                if release.release_id == record.pointer and source.has(release.release_id):
                    raise
                if error.transient and source.has(release.release_id):
                    raise
            else:
                taken.add(release.release_id)
        if not record.pointer or record.pointer in taken:
            left_out = (before - taken).intersection(source.release_ids())
            return ReadScope(record, tuple(sorted(left_out)))
    raise ReleaseError(f"{source} serves {record.pointer}, which cannot be read; promote another release")


def copy_scope(source: Scope, target: Scope) -> CopiedScope:
    """Copy from `source` to `target` the releases that `target` lacks, and the pointer, history, hold and number.

    Nothing is deleted in the target. Raises `ReleaseError` if the target has a release with a higher number than the
    source has ever given. Such a number shows that the source does not have the newest releases of the scope.
    """
    release_ids, number = set(source.release_ids()), source.record().number
    for release in readable_releases(target):
        # A release that the source has deleted since an earlier copy has at most this number. It stays in `target`.
        if release.release_id not in release_ids and release.number > number:
            raise ReleaseError(
                f"{release} is newer than the last copy to {target}, so nothing was changed there; name an empty place "
                "or copy in the other direction"
            )
    copied = 0

    def take(release: Release) -> None:
        nonlocal copied
        if not target.has(release.release_id):
            folder = release.path
            with target.writing():
                bring(target, release.release_id, folder)
            copied += 1

    read = read_scope(source, take)
    with target.writing():
        target.write_record(read.record)
    return CopiedScope(copied, read.left_out)
