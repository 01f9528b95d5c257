"""Find the lab's own API key. The user sets the key, or the lab generates it once and keeps it in a file.

This key has all scopes. `thumblab_core.keys.named_keys` keeps the keys that a person makes for other people and
programs.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from thumblab_core.durable_files import give_to_owner, replace_private_file
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_core.settings import settings as current_settings

_FILE = "api-key"


def api_key(settings: Settings | None = None) -> str:
    """Return `THUMBLAB_API_KEY`, or the key in `data_dir/api-key`.

    If there is no key yet, a key of 43 characters is generated and written to that file. The file has mode 0600.
    Processes that start at the same time get the same key. Raises LabError if the setting is blank or the file cannot
    be used.
    """
    settings = settings or current_settings()
    if settings.api_key is not None:
        return _set_key(settings.api_key.get_secret_value())
    with _locked_file(key_path(settings)) as file:
        key = file.read().strip()
        # The file has no key if it is new, or if the process that made it ended before it wrote a key.
        if not key:
            key = secrets.token_urlsafe(32)
            give_to_owner(file.fileno(), key_path(settings).parent)
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
    return key


def kept_key(settings: Settings) -> str | None:
    """Return the key that `api_key` would return, or None if `api_key` would have to generate one."""
    if settings.api_key is not None:
        return _set_key(settings.api_key.get_secret_value())
    path = key_path(settings)
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


def rotate_generated_key(settings: Settings) -> str:
    """Replace the key in `data_dir/api-key` by a new one, and return the new key. The old key stops working
    immediately.

    Raises LabError if the key comes from `THUMBLAB_API_KEY`, because only the user can change this setting.
    """
    if settings.api_key is not None:
        raise LabError(
            "THUMBLAB_API_KEY sets the key of this lab, so the key cannot be rotated here; change the setting and "
            "restart the service"
        )
    path = key_path(settings)
    key = secrets.token_urlsafe(32)
    with _locked_file(path):
        replace_private_file(path, key + "\n")
    return key


def key_path(settings: Settings) -> Path:
    """Return the path of the file with the generated key."""
    return settings.data_dir / _FILE


@contextmanager
def _locked_file(path: Path) -> Iterator[IO[str]]:
    """Open and lock the file of the key inside the `with` block. A missing file is created. Only one process at a time
    can have the lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:  # noqa: PTH123 - the mode must be 0600 from the start
                fcntl.flock(file, fcntl.LOCK_EX)
                # While this process waited for the lock, another process may have replaced the file.
                if _is_still(path, file):
                    yield file
                    return
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _set_key(value: str) -> str:
    key = value.strip()
    if not key:
        raise LabError(
            "THUMBLAB_API_KEY is blank. Set it to a long random string, or unset it, and the lab generates a key."
        )
    return key


def _unusable(path: Path, error: Exception) -> LabError:
    return LabError(
        f"The file of the API key, {path}, cannot be read or written ({error}). "
        "Make the file readable and writable, or set THUMBLAB_API_KEY."
    )
