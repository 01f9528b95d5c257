"""Make the data folder of a lab, or check that the folder exists."""

import tempfile
from pathlib import Path

from thumblab_core.errors import LabError

RESTORING = "restoring"
"""The file that `thumblab restore` keeps in a data folder until the lab is completely restored."""

EMULATOR_PORT = "emulator-port"
"""A file in the data folder of every demo's lab. The file stores the port of the demo's YouTube emulator."""


def is_demo(folder: Path) -> bool:
    """Return whether the data folder is the lab of a demo, whose videos come from the YouTube emulator."""
    return (folder / EMULATOR_PORT).exists()


def make_data_folder(folder: Path) -> None:
    """Make the data folder if it is missing.

    Raises LabError if the folder cannot be made, or if a lab is being restored into the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise _unusable(folder, "is not a folder") from None
    except OSError as error:
        raise _unusable(folder, f"cannot be made ({error.strerror})") from None
    if (folder / RESTORING).exists():
        raise LabError(
            f"the restore of a lab into {folder} has not ended; wait for it, or run the same `thumblab restore` again"
        )


def require_lab(folder: Path) -> None:
    """Raise LabError if the data folder does not exist, because then there is no lab to read or to change."""
    if not folder.is_dir():
        raise LabError(
            f"there is no lab in {folder}; `thumblab up`, `thumblab import` and `thumblab demo` make a lab. If your "
            "lab is elsewhere, set THUMBLAB_DATA_DIR"
        )


def make_writable_data_folder(folder: Path) -> None:
    """Make the data folder if it is missing, and check that files can be made in it.

    Raises LabError if the folder or a file in it cannot be made.
    """
    make_data_folder(folder)
    try:
        # A file is made as a test, because permission bits may allow writing although the file system is read-only.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unusable(folder, f"cannot be written ({error.strerror})") from None


def _unusable(folder: Path, problem: str) -> LabError:
    return LabError(f"the data folder {folder} {problem}; set THUMBLAB_DATA_DIR to a folder that you can write")
