"""Tests of a catalogue's pictures.

Only files inside the folder of the catalogue are read. If a picture cannot be read, only its row is left out.
"""

import io
import os
import socket
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from catalogue_folder import CatalogueFolder, Draw
from lab_setup import stored
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from thumblab_core.images import decode
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(emptied_lab: Lab) -> Lab:
    return emptied_lab


def test_pictures_of_phones_and_screenshots_are_read_without_a_remark(lab: Lab, table: CatalogueFolder) -> None:
    phone, png = io.BytesIO(), io.BytesIO()
    image = Image.new("RGB", (640, 360), "navy")
    image.save(phone, "MPO", save_all=True, append_images=[Image.new("RGB", (320, 180))])
    notes = PngInfo()
    notes.add_text("note", "x" * 2**21, zip=True)
    image.save(png, "PNG", pnginfo=notes)
    table.add("phone", phone.getvalue())
    table.add("screen", png.getvalue(), name="images/screen.png")
    table.write()
    report = table.read(lab)
    assert report.video_ids == {"phone", "screen"}
    assert report.problems == []


def test_no_image_outside_the_catalogue_is_read(lab: Lab, table: CatalogueFolder, tmp_path: Path, drawn: Draw) -> None:
    (tmp_path / "secret.jpg").write_bytes(drawn(9))
    (table.folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (table.folder / "loop.jpg").symlink_to("loop.jpg")
    table.add("good")
    outside = ["../../etc/passwd", "/etc/passwd", "../secret.jpg", "link.jpg", "images/../../secret.jpg"]
    for number, name in enumerate(outside):
        table.add(f"out{number}", b"none", name)
    table.add("loop", b"none", "loop.jpg")
    table.add("folder", b"none", "images")
    table.write()
    report = table.read(lab)
    assert stored(lab) == {"good"}
    assert [p.video_id for p in report.problems] == [*(f"out{n}" for n in range(len(outside))), "loop", "folder"]
    assert all("is outside the catalogue" in p.problem for p in report.problems[: len(outside)])


def test_a_picture_is_found_by_a_windows_path_inside_the_folder(
    lab: Lab, table: CatalogueFolder, drawn: Draw, tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(drawn(9))
    (table.folder / "images" / "w.jpg").write_bytes(drawn(1))
    table.add("windows", b"none", "images\\w.jpg")
    table.add("outside", b"none", "..\\secret.jpg")
    table.write()
    report = table.read(lab)
    assert stored(lab) == {"windows"}
    assert "is outside the catalogue" in report.problems[0].problem


@pytest.mark.parametrize("raised", [KeyError("MPO"), MemoryError(), RecursionError("deep"), SystemError("codec")])
def test_the_other_pictures_are_read_after_any_error_of_a_decoder(
    lab: Lab, table: CatalogueFolder, monkeypatch: pytest.MonkeyPatch, drawn: Draw, raised: Exception
) -> None:
    from thumblab_pipelines.collection import catalogue as module

    def read(data: bytes) -> Any:
        if data == drawn(1):
            raise raised
        return decode(data)

    monkeypatch.setattr(module, "decode", read)
    for number in range(3):
        table.add(f"v{number}", drawn(number))
    table.write()
    report = table.read(lab)
    assert stored(lab) == {"v0", "v2"}
    assert [(p.line, p.video_id) for p in report.problems] == [(3, "v1")]
    assert type(raised).__name__ in report.problems[0].problem


def test_a_picture_file_with_a_second_picture_is_read(lab: Lab, table: CatalogueFolder) -> None:
    first, second = (Image.new("RGB", (320, 180), color) for color in ("red", "blue"))
    out = io.BytesIO()
    first.save(out, "MPO", save_all=True, append_images=[second])
    table.add("phone", out.getvalue())
    table.add("plain")
    table.write()
    assert table.read(lab).good == 2


def test_a_device_a_pipe_or_a_huge_file_is_named_before_it_is_read(
    lab: Lab, table: CatalogueFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = table.folder
    with (folder / "huge.jpg").open("wb") as file:
        file.truncate(2**40)  # This sparse file of 1 TiB does not fit into memory.
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    monkeypatch.chdir(folder)  # The path of a Unix socket must be short, so the socket is bound to a relative path.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        for name in ("huge", "pipe", "zero", "socket"):
            table.add(name, b"none", f"{name}.jpg")
        table.add("good")
        table.write()
        report = table.read(lab)
    (folder / "huge.jpg").unlink()
    assert stored(lab) == {"good"}
    problems = {p.video_id: p.problem for p in report.problems}
    assert "1,048,576.0 MiB; at most" in problems["huge"]
    assert "it is a pipe or a device, not a file" in problems["pipe"]
    assert "is outside" in problems["zero"]
    assert "cannot be read" in problems["socket"]


def test_memory_does_not_grow_with_the_number_of_large_pictures(lab: Lab, table: CatalogueFolder) -> None:
    for number in range(4):
        out = io.BytesIO()
        Image.new("RGB", (3840, 2160), (number, 0, 0)).save(out, "JPEG")
        table.add(f"v{number}", out.getvalue())
    table.write()
    tracemalloc.start()
    try:
        assert table.read(lab).good == 4
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 * 2**20, f"the import used {peak / 2**20:.0f} MiB, although one decoded picture takes only 24 MiB"
