"""Encode pictures from a folder, and from an object store whose requests wait for some milliseconds.

The object store is moto's S3 server. The server answers one request at a time, which limits the speed. The pictures are
in the cache only for the last row of the printed table. The encoder is the built-in one, because a slow encoder would
hide the time of reading.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.encoding import synthetic_files
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.image_store import ImageFolder, ImageStore
from thumblab_core.image_store.cache import ImageCache
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_pipelines.features.encoding_work import PictureEncoding, Source

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "object_store"))


class OneByOne(ImageObjects):
    """The pictures of an object store. The lab requests only one picture at a time."""

    reads_at_once = 1


def encoded(images: ImageStore, digests: list[str]) -> float:
    """Encode all pictures, and return the seconds that this takes."""
    work = PictureEncoding(BuiltinEncoder(), "builtin", Path(), images)
    start = time.perf_counter()
    pictures = sum(len(batch.keys) for batch in work(Source(name, name, "", "") for name in digests))
    assert pictures == len(digests)
    return time.perf_counter() - start


def main() -> None:
    from object_store_server import running_s3

    parser = argparse.ArgumentParser(prog="benchmarks.image_store", description=__doc__, allow_abbrev=False)
    parser.add_argument("--pictures", type=int, default=200, help="number of pictures")
    parser.add_argument("--latency-ms", type=float, default=20.0, help="milliseconds that each request waits")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_s3(f"--latency-ms={given.latency_ms}") as server:
        folder = Path(name)
        (folder / "files").mkdir()
        local = ImageFolder(folder / "images")
        digests = [local.put(file.read_bytes()) for file in synthetic_files(folder / "files", given.pictures)]
        bucket = open_bucket(parse_store_url(server.url("benchmark", "images")))
        for digest in digests:
            bucket.write(f"{digest[:2]}/{digest[2:]}", local.get(digest))
        cached = ImageObjects(bucket, ImageCache(folder / "cache", 2**30))
        encoded(local, digests)  # The first encoding also loads libraries, so it is not timed.
        rows = {
            "folder": encoded(local, digests),
            f"store, {given.latency_ms:.0f} ms, one request": encoded(
                OneByOne(bucket, ImageCache(folder / "none", 0)), digests
            ),
            f"store, {given.latency_ms:.0f} ms, {cached.reads_at_once} requests": encoded(cached, digests),
            "store, all in the cache": encoded(cached, digests),
        }
    shown = Table(title=f"encode {len(digests)} pictures", title_justify="left", box=SIMPLE_HEAD)
    for column in ("place", "seconds", "pictures/s", "ratio to the folder"):
        shown.add_column(column, justify="left" if column == "place" else "right")
    for place, seconds in rows.items():
        shown.add_row(place, f"{seconds:.1f}", f"{len(digests) / seconds:.0f}", f"{seconds / rows['folder']:.2f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
