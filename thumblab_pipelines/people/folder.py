"""Add a folder of the user's own pictures, in which people are to be found."""

from dataclasses import dataclass, field
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.images import decode
from thumblab_core.images.limits import read_file
from thumblab_core.people.pictures import add_given_pictures
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.networks import require_people
from thumblab_pipelines.progress import Progress, batches, silent

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp"}
_BATCH = 64


@dataclass
class AddedFolder:
    """The result of adding a folder.

    Attributes:
        pictures: number of pictures in the folder that can be read.
        new: number of them that the lab did not have in its list before.
        problems: a sentence for each file that cannot be read. The other files were added.
    """

    pictures: int = 0
    new: int = 0
    problems: list[str] = field(default_factory=list)


def add_folder(lab: Lab, folder: Path, progress: Progress = silent) -> AddedFolder:
    """Put the pictures of a folder and its subfolders into the image store, and list them to be searched for faces.

    The name of a picture in the list is its path below the folder. Raises `LabError` if people are switched off, or if
    the folder has no pictures.
    """
    require_people(lab.settings)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not files:
        raise LabError(f"{folder} has no pictures; give a folder with files such as .jpg or .png")
    added = AddedFolder()
    for batch in batches(files, _BATCH, "reading pictures", progress):
        stored: list[tuple[str, str]] = []
        for path in batch:
            name = path.relative_to(folder).as_posix()
            try:
                data = read_file(path)
                decode(data)
            except OSError as error:
                added.problems.append(f"{name}: the file cannot be read ({error.strerror}); make it readable")
            except LabError as error:
                added.problems.append(f"{name}: {error}")
            else:
                stored.append((lab.images.put(data), name))
        with lab.engine.begin() as connection:
            added.new += add_given_pictures(connection, stored)
        added.pictures += len(stored)
    return added
