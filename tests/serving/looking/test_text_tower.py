"""Test searches by text with an image encoder that has a text tower.

Test also a service whose libraries have vectors of different encoders.
"""

from typing import Any

import numpy as np
import pytest
from tiny_clip import TinyClip

from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.index import NicheIndex


def test_a_text_is_compared_with_pictures_if_the_encoder_has_a_text_tower(
    new_lab: Any, run: Any, tiny: TinyClip
) -> None:
    lab = new_lab()
    release = lab.promote(lab.index(name=tiny.setting))
    lab.promote(lab.index("news", name="builtin", seed=3))
    lab.promote(lab.model(name=tiny.setting))
    with run(lab.settings) as service:
        asked = {"text": "a red car", "k": 5, "diversity": 0}
        reply = service.client.post("/v1/similar", json=asked)
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        by_title = service.client.post("/v1/similar", json=asked | {"text_by": "title"}).json()
    encoder, index = named_image_encoder(tiny.setting, lab.settings.releases), NicheIndex.load(release)
    vector = encoder.encode_texts(["a red car"])[0]  # type: ignore[attr-defined]
    order = np.argsort(-(index.vectors() @ vector), kind="stable")[:5]
    assert [item["video_id"] for item in answer["items"]] == [index.items[row].video_id for row in order]
    assert [item["similarity"] for item in answer["items"]] == pytest.approx(
        [float(index.vectors()[row] @ vector) for row in order], abs=1e-4
    )
    assert (answer["query"]["kind"], answer["query"]["matched_by"]) == ("text", "picture")
    assert answer["query"]["encoder"] == encoder.fingerprint
    # The library of news has vectors of another encoder, so cosines in news cannot be compared with cosines in tech.
    assert [library["niche"] for library in answer["searched"]] == ["tech"]
    assert "the library of news was not searched" in answer["degraded"][0]
    # A search by title needs the vectors of titles in the database, and this lab has no database.
    assert by_title["items"] == []
    assert any("the titles were not searched, because" in sentence for sentence in by_title["degraded"])
