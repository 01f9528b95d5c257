"""Test adding folders of pictures. Pictures outside the folder, and pictures of a forgotten person, are not stored."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from thumblab_core.database.tables import faces, people_pictures
from thumblab_core.errors import LabError
from thumblab_core.images import digest
from thumblab_core.people.detection import record_detection
from thumblab_core.people.records import SearchedPicture
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.folder import add_folder
from thumblab_pipelines.people.forget import forget_face


def jpeg(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (72, 128, 3), np.uint8)).save(out, "JPEG")
    return out.getvalue()


class Found:
    """A face as a detector returns it."""

    box = (0.2, 0.2, 0.4, 0.5)
    landmarks = tuple(np.linspace(0.2, 0.4, 10))
    confidence = quality = 0.9
    vector = np.eye(4, dtype=np.float32)[0]


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab(people="own")


def listed(lab: Lab) -> set[str]:
    with lab.engine.connect() as connection:
        return set(connection.scalars(select(people_pictures.c.name)))


def test_links_out_of_the_folder_are_not_followed(lab: Lab, tmp_path: Path) -> None:
    folder, outside = tmp_path / "given", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "own.jpg").write_bytes(jpeg(1))
    (folder / "again.jpg").symlink_to(folder / "own.jpg")
    for name, seed in (("secret.jpg", 2), ("other.jpg", 3)):
        (outside / name).write_bytes(jpeg(seed))
    (folder / "link.jpg").symlink_to(outside / "secret.jpg")
    (folder / "all").symlink_to(outside)
    added = add_folder(lab, folder)
    assert (added.pictures, added.new) == (2, 1)
    assert sorted(problem.partition(":")[0] for problem in added.problems) == ["all", "link.jpg"]
    assert all("not followed" in problem for problem in added.problems)
    for seed in (2, 3):
        assert not lab.images.path(digest(jpeg(seed))).exists()
    assert listed(lab) <= {"own.jpg", "again.jpg"}


@pytest.mark.parametrize("name", ["phone.heic", "phone.HEIF", "web.webp", "old.bmp"])
def test_a_picture_of_every_format_is_added(lab: Lab, tmp_path: Path, name: str) -> None:
    if name.lower().endswith((".heic", ".heif")):
        data = (Path(__file__).parents[2] / "core/images/heic/clear.heic").read_bytes()
    else:
        out = io.BytesIO()
        Image.new("RGB", (128, 72)).save(out, name.partition(".")[2])
        data = out.getvalue()
    (tmp_path / name).write_bytes(data)
    added = add_folder(lab, tmp_path)
    assert (added.pictures, added.new, added.problems) == (1, 1, [])
    assert listed(lab) == {name}


def test_a_link_to_the_folder_itself_is_followed(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "own.jpg").write_bytes(jpeg(1))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert add_folder(lab, tmp_path / "link").pictures == 1


def test_a_picture_of_somebody_forgotten_is_not_stored_again(lab: Lab, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    assert add_folder(lab, tmp_path).new == 2
    shown: list[Any] = [SearchedPicture(digest(jpeg(number)), [Found()]) for number in range(2)]
    with lab.engine.begin() as connection:
        record_detection(connection, shown, "detector", "embedder")
        of_first = select(faces.c.face_id).where(faces.c.sha256 == digest(jpeg(0)))
        face_id = str(connection.scalar(of_first))
    assert forget_face(lab, face_id).pictures == 1
    again = add_folder(lab, tmp_path)
    assert (again.pictures, again.new, again.forgotten) == (1, 0, 1)
    assert again.problems == [
        "0.jpg: the picture shows somebody whom the lab was asked to forget, so the picture is not stored again"
    ]
    assert not lab.images.path(digest(jpeg(0))).exists()
    assert listed(lab) == {"1.jpg"}


def test_a_folder_without_pictures_is_refused(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="has no pictures"):
        add_folder(lab, tmp_path)
