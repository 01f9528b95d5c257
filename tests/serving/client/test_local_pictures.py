"""Test which local files an assistant may send: pictures in the formats that the service reads, and nothing else."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from thumblab_client.errors import PictureError
from thumblab_client.mcp_server.local_pictures import read_pictures


def box(*brands: bytes) -> bytes:
    """Return the box `ftyp` at the start of a file. The first brand is the main brand."""
    body = b"ftyp" + brands[0] + b"\0\0\0\0" + b"".join(brands[1:])
    return (4 + len(body)).to_bytes(4, "big") + body


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_a_picture_of_each_format_is_read(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 36), "red").save(out, kind)
    path = tmp_path / "picture"
    path.write_bytes(out.getvalue())
    assert read_pictures([str(path)])[0].data == out.getvalue()


@pytest.mark.parametrize("brands", [(b"heic", b"mif1", b"heic"), (b"mif1",), (b"XXXX", b"heic"), (b"avis", b"msf1")])
def test_a_heif_is_known_by_its_main_brand_or_a_compatible_brand(brands: tuple[bytes, ...], tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(box(*brands) + b"\0" * 40)
    assert len(read_pictures([str(path)])) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"abcdftyp private text",
        b"abcdftypheic private text",
        b"a secretWEBP private text",
        b"RIFF0000WAVEfmt ",
        b"GIF8 is not a version",
        b"BM is my name",
        box(b"isom", b"iso2", b"avc1", b"mp41") + b"moov" * 9,
        box(b"qt  ") + b"heicheic",
        b"\0\0\0\x14ftyp",
        b"",
    ],
)
def test_a_file_with_only_some_bytes_of_a_picture_is_not_sent(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=re.escape("the file is not a picture and was not sent")):
        read_pictures([str(path)])
