"""The file with the names of the niches. A process without a connection to the database reads this file.

The file is a copy of the table `niches`. Each process that changes the table also writes the file. Each process that
opens the lab's database compares the file with the table, and writes the file again if they differ.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from thumblab_core.durable_files import replace_file
from thumblab_core.niches.names import LARGEST_NICHES, UnknownNicheError, is_niche_name
from thumblab_core.niches.niche import DEFAULT_NAMES

NICHE_FILE = "niches.json"
"""The name of the niche file, which is in the data folder."""

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 0.5
_MOST_BYTES = 100_000


class NicheFile:
    """The names of the lab's niches, from the file in a data folder. Any number of threads may share an object.

    The object checks at most twice a second whether the file has changed. In a data folder without the file, the niches
    are `DEFAULT_NAMES`. If the file cannot be read, the object keeps the names that it read last.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NICHE_FILE
        self._lock = threading.Lock()
        self._names: tuple[str, ...] = DEFAULT_NAMES
        self._restored: dict[str, datetime] = {}
        self._stamp: tuple[int, ...] | None = None
        self._looked_at = float("-inf")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the niches that are not retired, in the order in which they were added."""
        with self._lock:
            self._look_if_due()
            return self._names

    @property
    def restored(self) -> dict[str, datetime]:
        """The name of each restored niche, with the moment at which the niche was restored. A niche is not refreshed
        while it is retired. So its next refresh is late only if too much time has passed since this moment.
        """
        with self._lock:
            self._look_if_due()
            return dict(self._restored)

    def require(self, name: str) -> None:
        """Raise `UnknownNicheError` if the lab has no such niche."""
        if name not in self.names:
            raise UnknownNicheError(name, self.names)

    def _look_if_due(self) -> None:
        if time.monotonic() - self._looked_at >= _LOOK_AGAIN_S:
            self._look()
            self._looked_at = time.monotonic()

    def _look(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._names, self._restored, self._stamp = DEFAULT_NAMES, {}, None
            return
        except OSError:
            return
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return
        names = read_names(self._path)
        if names is None:
            _log.warning("%s cannot be read, so the lab keeps these niches: %s", self._path, ", ".join(self._names))
        else:
            self._names, self._restored = names, read_restored(self._path)
        self._stamp = stamp


def read_names(path: Path) -> tuple[str, ...] | None:
    """Return the names in the file at `path`: `DEFAULT_NAMES` if there is no file, and None if it is damaged."""
    try:
        with path.open("rb") as file:
            names = json.loads(file.read(_MOST_BYTES))["niches"]
    except FileNotFoundError:
        return DEFAULT_NAMES
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(names, list) or not 1 <= len(names) <= LARGEST_NICHES:
        return None
    if not all(isinstance(name, str) and is_niche_name(name) for name in names) or len(set(names)) < len(names):
        return None
    return tuple(names)


def read_restored(path: Path) -> dict[str, datetime]:
    """Return when each niche in the file was restored. The result is empty if a moment cannot be read."""
    try:
        with path.open("rb") as file:
            given = json.loads(file.read(_MOST_BYTES)).get("restored", {})
        return {
            name: moment
            for name, text in given.items()
            if (moment := datetime.fromisoformat(text)).tzinfo is not None and is_niche_name(name)
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def write_names(data_dir: Path, names: Sequence[str], restored: Mapping[str, datetime]) -> None:
    """Write the niche file, either completely or not at all. Every user of the machine may read the file, because it
    contains no secret.

    `restored`: the moments at which retired niches were restored. The caller holds the lock of the niches. Raises
    `OSError` if the file cannot be written.
    """
    moments = {name: moment.isoformat() for name, moment in restored.items()}
    text = json.dumps({"niches": list(names)} | ({"restored": moments} if moments else {}))
    replace_file(data_dir / NICHE_FILE, text + "\n", 0o644)
