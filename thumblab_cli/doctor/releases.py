"""Check that no file of the served releases is damaged, which releases are held, and that a ranking model is served."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, error, fine, skipped, warning
from thumblab_core.errors import LabError
from thumblab_core.library_map.holds import END_OF_MAP_HOLD, held_releases
from thumblab_core.niches import NicheFile
from thumblab_core.ranking.channel_adapters import ADAPTER
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import ALL, FACE_HEAD, INDEX, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore

SECONDS = 60.0
"""Seconds that the check of all served files may take."""
_RESERVE_S = 5.0
_MODEL_DAYS = 9
"""The model is trained every Monday. If the served model is older than this number of days, a training was missed."""


def served_releases(examined: Examined) -> list[Release]:
    """Return the served releases of all kinds and scopes. Leave out releases whose manifest cannot be read."""
    releases: list[Release] = []
    try:
        scopes = _scopes(examined)
    except LabError:
        return releases
    for kind, scope in scopes:
        with suppress(LabError):
            release = ReleaseStore(release_place(examined.settings)).serving.current(kind, scope)
            if release is not None:
                releases.append(release)
    return releases


def _scopes(examined: Examined) -> list[tuple[str, str]]:
    """Return the kind and the scope of every pointer in the release store."""
    store = ReleaseStore(release_place(examined.settings))
    return [(kind, scope) for kind, scope in store.scopes() if store.serving.has_pointer(kind, scope)]


def releases(examined: Examined) -> Iterator[Finding]:
    """Compare every file of the served releases with its checksum."""
    deadline = time.monotonic() + SECONDS - _RESERVE_S
    try:
        store, scopes = ReleaseStore(release_place(examined.settings)), _scopes(examined)
    except LabError as problem:
        yield error(str(problem), "check THUMBLAB_RELEASE_STORE, its credentials and the network")
        return
    verified = damaged = 0
    for kind, scope in scopes:
        if time.monotonic() > deadline:
            yield skipped(
                f"the time limit has ended; {len(scopes) - verified} of {len(scopes)} served releases are not verified"
            )
            break
        try:
            release = store.serving.current(kind, scope)
            if release is not None:
                release.verify()
            verified += release is not None
        except (LabError, UnicodeDecodeError) as problem:
            damaged += 1
            yield error(str(problem), _repair(examined, kind, scope))
    if not damaged:
        yield fine(f"{verified} served releases, none with a damaged file")


def holds(examined: Examined) -> Iterator[Finding]:
    """Check whether a person holds an index or a map after a rollback. A hold is no fault, but it is easily forgotten."""
    try:
        store = ReleaseStore(release_place(examined.settings))
        held = held_releases(store, NicheFile(examined.settings.data_dir).names)
    except (LabError, OSError, ValueError) as problem:
        yield skipped(f"the holds cannot be read: {problem}")
        return
    for one in held:
        yield warning(str(one), END_OF_MAP_HOLD if one.ends is None else examined.up(one.ends))
    if not held:
        yield fine("no index and no map is held")


def _repair(examined: Examined, kind: str, scope: str) -> str:
    if kind == INDEX:
        return examined.command(f"index rebuild {scope}")
    if kind == ADAPTER:
        return examined.command(f"channel add {scope}")
    if kind == FACE_HEAD:
        return examined.command("people train")
    return examined.command("refresh")


def model(examined: Examined) -> Iterator[Finding]:
    """Check which ranking model is served."""
    store = ReleaseStore(release_place(examined.settings))
    try:
        served = store.serving.current(MODEL, ALL)
    except (LabError, UnicodeDecodeError):
        yield skipped("the served model cannot be read; see the check of the releases")
        return
    if served is None:
        if examined.exists:
            # A lab without videos has nothing to train on.
            mend = examined.command("refresh") + (
                "" if examined.demo else "; in a lab without videos, first thumblab import FOLDER"
            )
            yield warning("no ranking model is served, so nothing can be ranked", mend)
        else:
            yield skipped("there is no lab yet")
        return
    faults = list(_faults_of_model(examined, served))
    yield from faults
    if not faults:
        yield fine(f"release {served.release_id}, {_days(examined, served)} days old")


def _faults_of_model(examined: Examined, served: Release) -> Iterator[Finding]:
    name, chosen = str(served.info.get("image_encoder_name", "")), examined.settings.image_encoder
    if name and name.partition("@")[0] != chosen:
        yield warning(
            f"the served model was trained with the encoder {name}, but THUMBLAB_IMAGE_ENCODER is {chosen}",
            f"{examined.command('refresh')}, or set THUMBLAB_IMAGE_ENCODER={name.partition('@')[0]}",
        )
    held = ReleaseStore(release_place(examined.settings)).serving.held(MODEL, ALL)
    if _days(examined, served) > _MODEL_DAYS and held is None and examined.is_scheduled:
        yield warning(
            f"the served model is {_days(examined, served)} days old, and a newer model is due every Monday",
            examined.command("refresh"),
        )


def _days(examined: Examined, release: Release) -> int:
    return (examined.machine.now() - datetime.fromisoformat(release.created_at)).days
