"""Add a folder of the user's own pictures, so that people are found in these pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.images import decode, digest
from thumblab_core.images.limits import SUFFIXES, read_file
from thumblab_core.people.pictures import add_given_pictures, forgotten_given_pictures
from thumblab_core.recognition.networks import require_people
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent

_BATCH = 64


@dataclass
class AddedFolder:
    """The result of adding a folder.

    Attributes:
        pictures: number of pictures in the folder that can be read.
        new: number of these pictures that were not in the lab's list before.
        forgotten: number of pictures that were left out, because they show somebody whom the lab was asked to forget.
        problems: a sentence for each file that was left out. The other files were added.
    """

    pictures: int = 0
    new: int = 0
    forgotten: int = 0
    problems: list[str] = field(default_factory=list)


def add_folder(lab: Lab, folder: Path, progress: Progress = silent) -> AddedFolder:
    """Put the pictures of a folder and its subfolders into the image store, and list them to be searched for faces.

    The name of a picture in the list is its path below the folder. A link that leads out of the folder is not followed.
    A picture of somebody whom the lab was asked to forget is not stored again. Raises `LabError` if the setting
    `people` is off, or if the folder has no pictures.
    """
    require_people(lab.settings)
    added = AddedFolder()
    files = _files(folder, added)
    if not files and not added.problems:
        raise LabError(f"{folder} has no pictures; give a folder with files such as .jpg or .png")
    for batch in batches(files, _BATCH, "reading pictures", progress):
        read: dict[str, bytes] = {}
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
                read[name] = data
        _store(lab, read, added)
    return added


def _files(folder: Path, added: AddedFolder) -> list[Path]:
    """Return the pictures in the folder. Add a problem to `added` for each link that is not followed."""
    root = folder.resolve()
    files = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and path.is_dir():
            added.problems.append(
                f"{name}: this is a link to a folder, and such links are not followed; add the linked folder itself"
            )
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            if path.resolve().is_relative_to(root):
                files.append(path)
            else:
                added.problems.append(
                    f"{name}: this link leads out of the folder, so it is not followed; copy the file into the folder"
                )
    return files


def _store(lab: Lab, read: Mapping[str, bytes], added: AddedFolder) -> None:
    """Store the pictures in `read`, except forgotten pictures. `read` has the bytes of each picture by its name."""
    digests = {name: digest(data) for name, data in read.items()}
    with lab.engine.connect() as connection:
        forgotten = forgotten_given_pictures(connection, digests.values())
    kept = {name: data for name, data in read.items() if digests[name] not in forgotten}
    for name in read.keys() - kept.keys():
        added.problems.append(
            f"{name}: the picture shows somebody whom the lab was asked to forget, so the picture is not stored again"
        )
    added.forgotten += len(read) - len(kept)
    stored = [(lab.images.put(data), name) for name, data in kept.items()]
    with lab.engine.begin() as connection:
        added.new += add_given_pictures(connection, stored)
    added.pictures += len(stored)
