"""A note on what a lab's library is made of, where that is not real YouTube data. It is shown with the lab's figures.

The note is a file in the data folder, so it stays with the library however the lab is started.
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
    """Return the note of the lab in the folder; None where it has none."""
    try:
        return (data_dir / _FILE).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
