"""What the library of a lab is made of, where that is not what YouTube told: to be said wherever its figures are shown.

It is a file of the data folder, and so stays with the library however the lab is started.
"""

from pathlib import Path

_FILE = "library-note"

DRAWN = (
    "This is the demo's library: its pictures are drawn and their views follow a rule that is planted in the drawings. "
    "What it says of real thumbnails means nothing."
)


def write_note(data_dir: Path, note: str) -> None:
    """Keep the note, a sentence or two, with the lab in the folder."""
    (data_dir / _FILE).write_text(note + "\n", encoding="utf-8")


def read_note(data_dir: Path) -> str | None:
    """The note of the lab in the folder; None where there is nothing to say."""
    try:
        return (data_dir / _FILE).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
