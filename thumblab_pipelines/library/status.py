"""Report which index each niche serves, and whether the releases of the niche are undamaged."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import newest_build, was_read_after
from thumblab_pipelines.library.rebuild_requests import as_of, open_rebuild_requests


@dataclass
class IndexStatus:
    """The served index of a niche.

    `changed`: number of videos that were added or removed since the index was built. `kind`: the FAISS factory string
    of the index. `recall`: the share of the true nearest vectors that a search finds. `releases`, `bytes`: number and
    total size of all releases of the niche on the disk.
    """

    niche: str
    release_id: str | None = None
    created_at: str | None = None
    count: int = 0
    changed: int = 0
    encoder: str | None = None
    kind: str = ""
    recall: float = 1.0
    releases: int = 0
    bytes: int = 0
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Verified:
    """A release and its fault. `fault` is None if the release is undamaged."""

    niche: str
    release_id: str
    served: bool
    fault: str | None


def index_status(lab: Lab, niche: str) -> IndexStatus:
    """Return the status of the niche's served index.

    The remarks name everything unusual: for example, that no index is served, that the index is old, or that a rebuild
    is requested.
    """
    releases = lab.releases.all(INDEX, niche)
    status = IndexStatus(niche, releases=len(releases))
    # Releases share files by hard links. A shared file has only one inode, so it is counted only once. Only the files
    # on this disk are counted, because `place` does not download files from an object store.
    sizes = {(s.st_dev, s.st_ino): s.st_size for release in releases for s in _file_stats(release.place)}
    status.bytes = sum(sizes.values())
    try:
        served = lab.releases.serving.current(INDEX, niche)
    except LabError as error:
        status.remarks.append(f"the served release cannot be read: {error}")
        return status
    if served is None:
        status.remarks.append(
            f"nothing is served yet; `thumblab refresh {niche}` builds an index from the videos of the lab"
        )
    else:
        search = served.info.get("search", {})
        status.release_id, status.created_at = served.release_id, served.created_at
        status.count, status.encoder = int(served.info["count"]), str(served.info["encoder"])
        status.changed, status.kind = int(served.info.get("changed_since", 0)), str(served.info["faiss"])
        status.recall = float(search.get("recall", 1.0))
        if search.get("note"):
            status.remarks.append(str(search["note"]))
        age = datetime.now(UTC) - as_of(served)
        if age.days >= 2:
            status.remarks.append(f"the served index is {age.days} days old")
    held = lab.releases.serving.held(INDEX, niche)
    if held is not None:
        status.remarks.append(f"the served index is held: {held}; `thumblab index resume {niche}` ends the hold")
    build = newest_build(lab, niche)
    if build is not None and served is not None and was_read_after(build, served):
        status.remarks.append(f"{build.release_id} is built but not served")
    requests = [request for request in open_rebuild_requests(lab) if request.niche == niche]
    status.remarks += [f"a rebuild is requested: {request.reason}" for request in requests]
    return status


def verify_releases(lab: Lab, niche: str) -> list[Verified]:
    """Load every release of the niche as the service does. Return each release with its fault, or with None.

    The result includes the served release even if its manifest cannot be read.
    """
    served = lab.releases.serving.current_id(INDEX, niche)
    ids = [release.release_id for release in lab.releases.all(INDEX, niche)]
    ids += [served] if served and served not in ids else []
    return [Verified(niche, release_id, release_id == served, _fault(lab, niche, release_id)) for release_id in ids]


def _file_stats(folder: Path) -> list[os.stat_result]:
    """Return the stats of all files of a release, or an empty list if the release is deleted meanwhile."""
    with suppress(FileNotFoundError):
        return [path.stat() for path in folder.rglob("*") if path.is_file()]
    return []


def _fault(lab: Lab, niche: str, release_id: str) -> str | None:
    try:
        NicheIndex.load(lab.releases.get(INDEX, niche, release_id))
    except LabError as error:
        return str(error)
    return None
