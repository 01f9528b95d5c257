"""Store a note about a library that is not made of real YouTube data. The note is shown with the lab's figures.

The note is a file in the data folder, so it stays with the library, no matter how the lab is started.
"""

from pathlib import Path

_FILE = "library-note"

DRAWN = (
    "This is the demo's library: its pictures are drawn and their views follow a rule that is planted in the drawings. "
    "Its results say nothing about real thumbnails."
)


def write_note(data_dir: Path, note: str) -> None:
    """Write the note, one or two sentences, into the lab's data folder."""
    (data_dir / _FILE).write_text(note + "\n", encoding="utf-8")


def read_note(data_dir: Path) -> str | None:
    """Return the note of the lab in `data_dir`, or None if the lab has no note."""
    try:
        return (data_dir / _FILE).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
