"""What each niche serves, and whether every release that is kept is whole."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import as_of, newest_build, was_read_after
from thumblab_pipelines.library.changes import rebuilds_asked_for


@dataclass
class IndexStatus:
    """One niche. `changed`: videos put in or taken out since all others were built at once. `bytes`: on the disk."""

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
    """A release, and what is wrong with it."""

    niche: str
    release_id: str
    served: bool
    fault: str | None


def index_status(lab: Lab, niche: str) -> IndexStatus:
    """What the niche serves; whatever is out of the ordinary is a remark."""
    releases = lab.releases.all(INDEX, niche)
    found = IndexStatus(niche, releases=len(releases))
    files = {(s.st_dev, s.st_ino): s.st_size for release in releases for s in _stats(release.path)}
    found.bytes = sum(files.values())
    try:
        served = lab.releases.serving.current(INDEX, niche)
    except LabError as error:
        found.remarks.append(f"what is served cannot be read: {error}")
        return found
    if served is None:
        found.remarks.append(f"nothing is served yet; `thumblab refresh {niche}` builds it of what the lab holds")
    else:
        search = served.info.get("search", {})
        found.release_id, found.created_at = served.release_id, served.created_at
        found.count, found.encoder = int(served.info["count"]), str(served.info["encoder"])
        found.changed, found.kind = int(served.info.get("changed_since", 0)), str(served.info["faiss"])
        found.recall = float(search.get("recall", 1.0))
        if search.get("note"):
            found.remarks.append(str(search["note"]))
        age = datetime.now(UTC) - as_of(served)
        if age.days >= 2:
            found.remarks.append(f"it is {age.days} days old")
    held = lab.releases.serving.held(INDEX, niche)
    if held is not None:
        found.remarks.append(f"held: {held}; `thumblab index resume {niche}`")
    build = newest_build(lab, niche)
    if build is not None and served is not None and was_read_after(build, served):
        found.remarks.append(f"{build.release_id} is built and not served")
    found.remarks += [f"a rebuild is asked for: {a.reason}" for a in rebuilds_asked_for(lab) if a.niche == niche]
    return found


def verify_releases(lab: Lab, niche: str) -> list[Verified]:
    """Read every release that is kept as a service would; also the served one when its manifest cannot be read."""
    served = lab.releases.serving.current_id(INDEX, niche)
    names = [release.release_id for release in lab.releases.all(INDEX, niche)]
    names += [served] if served and served not in names else []
    return [Verified(niche, name, name == served, _fault(lab, niche, name)) for name in names]


def _stats(folder: Path) -> list[os.stat_result]:
    """Of its files, which several releases may share; a release may be pruned meanwhile."""
    with suppress(FileNotFoundError):
        return [path.stat() for path in folder.rglob("*") if path.is_file()]
    return []


def _fault(lab: Lab, niche: str, release_id: str) -> str | None:
    try:
        NicheIndex.load(lab.releases.get(INDEX, niche, release_id))
    except LabError as error:
        return str(error)
    return None
