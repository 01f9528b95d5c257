"""Find the unreadable lines of a `.env` file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
