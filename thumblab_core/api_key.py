"""Find the API key of the scoring service. The user sets the key, or the lab generates it once and keeps it in a file."""

import fcntl
import os
import secrets
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_core.settings import settings as current_settings

_FILE = "api-key"


def api_key(settings: Settings | None = None) -> str:
    """Return `THUMBLAB_API_KEY`, or the key in `data_dir/api-key`.

    If there is no key yet, a key of 43 characters is generated and written to that file, which has mode 0600. Processes
    that start at the same time get the same key. Raises LabError if the setting is blank or the file cannot be used.
    """
    settings = settings or current_settings()
    if settings.api_key is not None:
        return _set_key(settings.api_key.get_secret_value())
    path = settings.data_dir / _FILE
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:  # noqa: PTH123 - the mode must be 0600 from the start
            fcntl.flock(file, fcntl.LOCK_EX)
            key = file.read().strip()
            # The file has no key if it is new, or if the process that made it ended before it wrote a key.
            if not key:
                key = secrets.token_urlsafe(32)
                file.write(key + "\n")
                file.flush()
                os.fsync(file.fileno())
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error
    return key


def kept_key(settings: Settings) -> str | None:
    """Return the key that `api_key` would return, or None if `api_key` would have to generate one."""
    if settings.api_key is not None:
        return _set_key(settings.api_key.get_secret_value())
    path = settings.data_dir / _FILE
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


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
