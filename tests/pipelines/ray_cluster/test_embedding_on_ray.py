"""Tests of embedding and measuring on a cluster of two nodes.

The vectors and sub-scores must be the same as without a cluster.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import slow_work
from slow_work import encode_slowly, noted
from sqlalchemy import select

from thumblab_core.database.tables import embeddings, visual_features
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.defs.library.embeddings import embeddings as embeddings_asset
from thumblab_pipelines.defs.library.visual_features import visual_features as visual_features_asset
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features import encoding, encoding_work
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.features.sub_scores import measure_features
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.ray_cluster import computed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NICHE = "tech"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the few pictures of the test lab into many blocks."""
    monkeypatch.setattr(computed, "_BLOCK", 4)
    monkeypatch.setattr(encoding, "_SAVED_AT_ONCE", 32)
    # MiniLM encodes several titles together. The last digits of a vector depend on the longest of these titles, so both
    # labs must encode the same number of titles together.
    monkeypatch.setattr(encoding_work, "_TITLES_AT_ONCE", 4)


def vectors(lab: Lab) -> dict[tuple[str, str, str], bytes]:
    columns = embeddings.c.video_id, embeddings.c.encoder, embeddings.c.source_digest, embeddings.c.vector
    with lab.engine.connect() as connection:
        rows = connection.execute(select(*columns)).all()
    return {
        (row.video_id, row.encoder, row.source_digest): np.asarray(row.vector, np.float32).tobytes() for row in rows
    }


def sub_scores(lab: Lab) -> dict[str, list[Any]]:
    with lab.engine.connect() as connection:
        rows = connection.execute(select(visual_features)).mappings().all()
    return {row["video_id"]: [row["version"], *(row[name] for name in NAMES)] for row in rows}


def test_two_nodes_save_the_vectors_and_sub_scores_of_one_process(
    address: str, copies: Callable[[], Callable[..., Lab]]
) -> None:
    alone, on_ray = copies()(), copies()(ray_address=address)
    alone_embedded, embedded = embed(alone, NICHE), embed(on_ray, NICHE)
    assert embedded.images == alone_embedded.images > 20
    assert (embedded.titles, embedded.unreadable) == (alone_embedded.titles, alone_embedded.unreadable)
    assert vectors(on_ray) == vectors(alone)
    assert set(alone_embedded.places) == {"this process"}

    alone_measured, measured = measure_features(alone, NICHE), measure_features(on_ray, NICHE)
    assert measured.measured == alone_measured.measured == embedded.images
    assert measured.matched == alone_measured.matched
    for places in (embedded.places, measured.places):
        assert places
        assert all(place.startswith(f"{socket.gethostname()} process ") for place in places)
    expected, found = sub_scores(alone), sub_scores(on_ray)
    assert found.keys() == expected.keys()
    for video_id, values in expected.items():
        # `title_match` is computed from vectors of texts. The meter encodes the texts of a block together, so the last
        # digits of `title_match` may depend on the block.
        assert found[video_id] == pytest.approx(values, abs=1e-5), video_id
    again = embed(on_ray, NICHE)
    assert (again.images, again.titles, again.had) == (0, 0, embedded.images + embedded.titles)
    assert not again.places


def test_the_assets_say_which_processes_did_the_work(
    address: str, copies: Callable[[], Callable[..., Lab]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = copies()(ray_address=address)
    # Dagster copies the resource, and the copy would open another lab. With this patch, `open` returns this lab.
    monkeypatch.setattr(LabResource, "open", lambda self: lab)
    for asset in (embeddings_asset, visual_features_asset):
        with dg.build_asset_context(partition_key=NICHE) as context:
            result = asset(context, LabResource())
        places = result.metadata["computed_by"].value
        assert places, asset
        assert all(place.startswith(f"{socket.gethostname()} process ") for place in places)


def test_a_killed_worker_costs_only_the_blocks_that_it_had_begun(
    address: str, copies: Callable[[], Callable[..., Lab]], tmp_path: Path
) -> None:
    alone, on_ray = copies()(), copies()(ray_address=address)
    killed: list[int] = []

    def kill_one(what: str, done: int, total: int) -> None:
        while done >= 4 and not killed:
            ended = noted(log, "end")
            begun = [event for event in noted(log, "begin") if event not in ended]
            # Kill a worker that has begun a block and has not ended it. If no worker is inside a block, the loop looks
            # again.
            for process, _ in begun[:1]:
                os.kill(process, signal.SIGKILL)
                killed.append(process)

    log = tmp_path / "blocks"
    made = encode_slowly(on_ray, NICHE, log, kill_one)
    assert killed
    embed(alone, NICHE)
    only_pictures = {key: vector for key, vector in vectors(alone).items() if key[1] == "builtin-768-v3"}
    assert vectors(on_ray) == only_pictures
    assert len(only_pictures) == made
    assert len({process for process, _ in noted(log, "begin")}) >= 2, "both nodes must encode"
    blocks = Counter(block for _, block in noted(log, "begin"))
    again = {block: times for block, times in blocks.items() if times > 1}
    by_the_killed = {block for process, block in noted(log, "begin") if process == killed[0]}
    ended_by_the_killed = {block for process, block in noted(log, "end") if process == killed[0]}
    print(f"{len(blocks)} blocks, computed again: {again}, the killed worker had ended {len(ended_by_the_killed)}")
    assert set(again.values()) <= {2}
    assert set(again) <= by_the_killed, "no other worker may compute a block again"
    # A killed worker loses the block that it was computing. It may also lose one finished block if it has not yet
    # handed over the result.
    assert 1 <= len(again) <= 2
    assert len(blocks) == -(-made // 2)


def test_a_killed_driver_costs_only_the_blocks_that_were_not_saved(
    address: str, copies: Callable[[], Callable[..., Lab]], tmp_path: Path
) -> None:
    open_copy = copies()
    lab = open_copy(ray_address=address)
    fields = ("data_dir", "database_url", "ray_address", "image_encoder")
    environment = os.environ | lab.settings.as_environment(fields)
    log = tmp_path / "blocks"
    command = [sys.executable, slow_work.__file__, NICHE, str(log)]
    with subprocess.Popen(command, env=environment) as driver:
        while not vectors(lab):
            assert driver.poll() is None
            time.sleep(0.1)
        driver.kill()
    saved = {video_id for video_id, *_ in vectors(lab)}
    print(f"{len(saved)} pictures were saved when the driver was killed")
    log.unlink()
    made = encode_slowly(lab, NICHE, log)
    total = len(vectors(lab))
    assert 0 < len(saved) < total
    assert made == total - len(saved)
    assert len(noted(log, "end")) == -(-made // 2)
    alone = open_copy()
    assert embed(alone, NICHE).images == 0
