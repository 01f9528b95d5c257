"""Find the `.env` files of the settings, read them, and find their unreadable lines."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic_settings import BaseSettings, DotEnvSettingsSource

from thumblab_core.errors import LabError


@contextmanager
def without_warnings_of_dotenv() -> Iterator[None]:
    """Silence python-dotenv's warnings about bad lines of `.env`.

    The lab warns about these lines itself, and names the file.
    """
    logger = logging.getLogger("dotenv.main")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def dotenv_files(settings: type[BaseSettings]) -> list[Path]:
    """Return the paths of the `.env` files of the settings, each once. A value in a later file has priority."""
    given = settings.model_config.get("env_file")
    files = [given] if isinstance(given, str | Path) else given or ()
    return list(dict.fromkeys(Path(file).resolve() for file in files))


def variables_in(file: Path, settings: type[BaseSettings]) -> list[str]:
    """Return the names of the variables in a `.env` file. Raises LabError if the file cannot be read."""
    try:
        with without_warnings_of_dotenv():
            names = list(DotEnvSettingsSource(settings, env_file=file).env_vars)
        # A file in UTF-16 can be read as UTF-8 without an error. UTF-16 writes each ASCII letter as two bytes: the byte
        # that UTF-8 has, and a null byte. So a null byte in a name shows that the file is in UTF-16.
        if any("\0" in name for name in names):
            raise UnicodeError
    except UnicodeError:
        raise LabError(f"{file} is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise LabError(f"{file} cannot be read ({error.strerror}); make it readable") from None
    return names


def unreadable_lines(file: Path) -> list[int]:
    """Return the numbers, from 1, of the lines in a `.env` file that are neither a setting nor a comment."""
    from dotenv.parser import parse_stream

    if not file.is_file():
        return []
    with file.open(encoding="utf-8-sig") as stream:
        failed = [binding.original for binding in parse_stream(stream) if binding.error]
    # The parser puts the blank lines above a failed line into the text of this line, and gives the number of the first
    # blank line. So the number of blank lines is added.
    return [text.line + text.string[: -len(text.string.lstrip())].count("\n") for text in failed]
