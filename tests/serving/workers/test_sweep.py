"""Test what a worker of the service deletes at its start and every hour."""

import asyncio
import os
import time

from thumblab_core.image_store import ImageFolder
from thumblab_core.image_store.cache import ImageCache
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_serving.app import _sweep
from thumblab_serving.channels.export_store import ExportStore


def leave_unfinished(folder):
    """Write the files that a process killed two hours ago would have left in a folder of pictures."""
    unfinished = folder / "aa" / ".new-1"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"half a picture")
    os.utime(unfinished, (time.time() - 7_200,) * 2)
    return unfinished


def sweep_once(settings, images):
    async def start_and_stop():
        sweeping = asyncio.create_task(_sweep(ExportStore(settings), images))
        await asyncio.sleep(0.5)
        assert not sweeping.done()
        sweeping.cancel()

    asyncio.run(start_and_stop())


def test_a_worker_sweeps_the_copies_of_an_object_store_but_not_the_whole_folder_of_pictures(new_lab, tmp_path):
    settings = new_lab().settings
    in_folder, in_cache = leave_unfinished(tmp_path / "pictures"), leave_unfinished(tmp_path / "cache")
    sweep_once(settings, ImageFolder(tmp_path / "pictures"))
    assert in_folder.exists(), "each worker would read the whole folder every hour"
    bucket = open_bucket(parse_store_url("s3://nobody/pictures"))  # The sweep sends no request to this object store.
    sweep_once(settings, ImageObjects(bucket, ImageCache(tmp_path / "cache", 1_000)))
    assert not in_cache.exists()
