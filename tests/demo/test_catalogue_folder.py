"""Test catalogues that are read from a folder with a file `videos.csv` and pictures.

The last test serves the catalogue of real videos, which is not in the repository.
"""

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from emulated import client, get, size_of, walk
from PIL import Image

from demo.catalogues.catalogue import read_catalogue
from demo.emulator import Emulator
from thumblab_core.errors import LabError

THUMBNAILS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "thumbnails"


def test_reading_a_folder_skips_and_counts_invalid_rows(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((36, 64, 3), np.uint8))
    (tmp_path / "empty.jpg").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "webp.jpg.png"), np.zeros((36, 64, 3), np.uint8))
    header = "video_id,niche,channel,title,views,published_on,observed_at,duration_s,tags,image\n"
    valid = 'aaaaaaaaaaa,tech,One,T,5,2025-02-01,2025-03-05T12:00:00Z,61,"x, y",a.jpg\n'
    invalid = "".join(
        valid.replace("aaaaaaaaaaa", name).replace(old, new)
        for name, old, new in [
            ("aaaaaaaaaaa", "T", "again"),
            ("bbbbbbbbbbb", ",5,", ",-5,"),
            ("ccccccccccc", "tech", "cooking"),
            ("ddddddddddd", "a.jpg", "none.jpg"),
            ("eeeeeeeeeee", "a.jpg", "empty.jpg"),
            ("fffffffffff", "2025-02-01", "soon"),
            ("ggggggggggg", "a.jpg", "webp.jpg.png"),
        ]
    )
    (tmp_path / "videos.csv").write_text(header + valid + invalid + "hhhhhhhhhhh,tech\n", encoding="utf-8")
    catalogue = read_catalogue(tmp_path)
    assert (list(catalogue.videos), catalogue.skipped) == (["aaaaaaaaaaa"], 8)
    video = catalogue.videos["aaaaaaaaaaa"]
    assert (video.tags, video.published_at) == (("x", "y"), datetime(2025, 2, 1, tzinfo=UTC))
    assert video.aspect_ratio is None
    assert catalogue.observed_at == datetime(2025, 3, 5, 12, tzinfo=UTC)
    assert catalogue.image_size("aaaaaaaaaaa") == (64, 36)


def test_a_jpeg_that_contains_a_second_picture_is_accepted(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 36))
    picture.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[picture])
    (tmp_path / "videos.csv").write_text(
        "video_id,niche,channel,title,views,published_on,observed_at,image,duration_s,tags\n"
        "aaaaaaaaaaa,tech,C,T,5,2025-02-01,2025-03-05T12:00:00Z,a.jpg,600,x\n",
        encoding="utf-8",
    )
    assert read_catalogue(tmp_path).skipped == 0


def test_a_folder_without_videos_csv_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no videos\.csv.*Give a folder"):
        read_catalogue(tmp_path)


@pytest.mark.skipif(not THUMBNAILS.is_dir(), reason="the real catalogue is not available")
def test_the_real_catalogue_is_served_completely() -> None:
    catalogue = read_catalogue(THUMBNAILS)
    assert (len(catalogue.videos), len(catalogue.channels), catalogue.skipped) == (2252, 371, 0)
    largest = max(catalogue.channels.values(), key=lambda channel: len(channel.videos))
    with Emulator(catalogue) as emulator:
        entries = client(emulator).playlistItems()
        request = entries.list(part="contentDetails", playlistId=largest.uploads_playlist, maxResults=50)
        video_ids = [entry["contentDetails"]["videoId"] for entry in walk(entries, request)]
        assert video_ids == [video.video_id for video in largest.videos]
        assert emulator.counts.spent["units"] == -(-len(video_ids) // 50)
        for video_id in video_ids[::100]:
            assert size_of(get(emulator, f"/vi/{video_id}/mqdefault.jpg")[2]) == (320, 180)
