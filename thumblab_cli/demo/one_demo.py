"""Let only one `thumblab demo` run on a lab, and tell other commands which process runs it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from thumblab_core.errors import LabError

_FILE = "demo.lock"


@contextmanager
def only_demo(data_dir: Path) -> Iterator[None]:
    """Lock the data folder for this demo until the block ends. Raise LabError if another demo runs on the folder."""
    with (data_dir / _FILE).open("a+") as lock:
        if not _locked(lock):
            raise LabError(
                f"{data_dir} is in use: another `thumblab demo`{_process(data_dir)} is running on it; wait for it or "
                "stop it"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _locked(lock: TextIO) -> bool:
    """Lock the file, and return whether this succeeded. If this process is killed, the kernel releases the lock.

    `demo_on` locks the file for a moment too. So another try follows for half a second.
    """
    for _ in range(10):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def demo_on(data_dir: Path) -> str | None:
    """Return a clause that names the `thumblab demo` that runs on the lab, and its process. Return None if none runs."""
    try:
        with (data_dir / _FILE).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"`thumblab demo`{_process(data_dir)} runs on {data_dir}"
    except OSError:  # No demo has run on this lab yet.
        pass
    return None


def _process(data_dir: Path) -> str:
    """Return a text with the process id in the lock file, or an empty text if there is none."""
    with suppress(OSError, ValueError):
        return f" (process {int((data_dir / _FILE).read_text())})"
    return ""
