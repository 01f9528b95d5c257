"""Test the pages of `/v1/similar` with an approximate index, which misses some of the nearest videos."""

from typing import Any

import numpy as np

from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.encoders.protocol import unit
from thumblab_core.index import Item, NicheIndex
from thumblab_core.releases.release import INDEX

COUNT = 1_200


def test_the_pages_of_an_approximate_index_neither_repeat_nor_leave_out_videos(new_lab: Any, run: Any) -> None:
    lab = new_lab()
    encoder = named_image_encoder("builtin", lab.settings.releases)
    vectors = unit(np.random.default_rng(1).standard_normal((COUNT, encoder.dimension)).astype(np.float32))
    items = [Item(f"v{n}", f"Title {n}", "Channel", None, 1.0, 1.0) for n in range(COUNT)]
    index = NicheIndex.build(vectors, items, encoder.fingerprint, factory="IVF16,Flat", recall=0.5)
    assert index.kind.recall < 0.95
    lab.promote(lab.store.publish(INDEX, "tech", index.save, index.describe() | {"encoder_name": "builtin"}))
    query = {"vector": vectors[0].tolist(), "niche": "tech", "k": 100}
    seen: list[str] = []
    offset: int | None = 0
    with run(lab.settings, wait=False) as service:
        while offset is not None:
            reply = service.client.post("/v1/similar", json=query | {"offset": offset})
            assert reply.status_code == 200, reply.text
            seen += [item["video_id"] for item in reply.json()["items"]]
            offset = reply.json()["next_offset"]
    assert len(seen) == len(set(seen)) == 1_000
    # The first 200 videos come from the approximate index, so they may push the farthest 200 out of the 1,000.
    assert {f"v{n}" for n in np.argsort(-(vectors @ vectors[0]))[:800]} <= set(seen)
