"""The API key of the scoring service: set by the user, or generated once and kept in the data folder."""

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

    A missing key is generated: 43 characters, in a file of mode 0600. Processes that start at once get the same key.
    Raises LabError when the setting is blank, or the file cannot be used.
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
            if not key:  # the file is new, or the process that made it ended before writing
                key = secrets.token_urlsafe(32)
                file.write(key + "\n")
                file.flush()
                os.fsync(file.fileno())
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error
    return key


def kept_key(settings: Settings) -> str | None:
    """Return the key as `api_key` does, but None instead of generating a missing one."""
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
            "THUMBLAB_API_KEY is blank. Set it to a long random string, or unset it to have a key generated."
        )
    return key


def _unusable(path: Path, error: Exception) -> LabError:
    return LabError(
        f"The API key cannot be read from or kept in {path} ({error}). Make it writable, or set THUMBLAB_API_KEY."
    )
