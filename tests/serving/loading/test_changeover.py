"""Test the service while the lab changes its image encoder.

The service uses each release with the encoder that the release names.
"""

import numpy as np
import pytest
from tiny_clip import TinyClip

from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.images import decode
from thumblab_core.index import NicheIndex


def fingerprint(lab, name):
    return named_image_encoder(name, lab.settings.releases).fingerprint


def test_an_index_with_a_new_encoder_is_served_together_with_a_model_of_the_old_one(new_lab, run, draw, tiny: TinyClip):
    lab = new_lab()
    lab.promote(lab.index(name="builtin"))
    lab.promote(lab.model(name="builtin"))
    pictures = [draw(n) for n in range(3)]
    with run(lab.settings) as service:
        before = service.score(*pictures)
        release = lab.promote(lab.index(seed=0, name=tiny.setting))
        after = service.score(*pictures)
        assert after["releases"]["index"] == release.release_id
        assert set(service.health()["encoders"]["images"]) == {fingerprint(lab, n) for n in ("builtin", tiny.setting)}
        # The model still gets vectors of the old encoder, so the model's figures are the same as before.
        for key in ("rank", "score", "win_probability", "predicted_engagement"):
            assert [t[key] for t in after["thumbnails"]] == [t[key] for t in before["thumbnails"]]
        # The service finds the neighbours of a picture with vectors of the new encoder. The test encodes the pictures
        # with this encoder too, and compares their vectors with all vectors of the index. The service must have found
        # the same neighbours as the test.
        encoder, index = named_image_encoder(tiny.setting, lab.settings.releases), NicheIndex.load(release)
        vectors = encoder.encode_images([decode(data, encoder.decode_size).pixels for data in pictures])
        for vector, thumbnail in zip(vectors, after["thumbnails"], strict=True):
            assert thumbnail["similarity_score"] == pytest.approx(index.percentile(vector))
            nearest = [index.items[row] for row in np.argsort(-(index.vectors() @ vector))]
            expected = [item.video_id for item in nearest if item.winner][:5]
            assert [n["video_id"] for n in thumbnail["neighbours"]] == expected
        # The new encoder also encodes texts, so title_match is measured now.
        assert after["thumbnails"][0]["sub_scores"]["title_match"]["value"] is not None


@pytest.mark.slow
def test_with_index_and_model_of_the_new_encoder_only_that_encoder_is_loaded(new_lab, run, draw, tiny: TinyClip):
    lab = new_lab()
    lab.promote(lab.index(name=tiny.setting))
    model = lab.promote(lab.model(name=tiny.setting))
    with run(lab.settings) as service:  # The settings name the built-in encoder, and the releases name another encoder.
        assert service.score(draw(1))["releases"]["model"] == model.release_id
        assert service.health()["encoders"]["images"] == [fingerprint(lab, tiny.setting)]


def test_a_restart_with_other_settings_serves_the_promoted_releases(new_lab, run, draw):
    lab = new_lab()
    index, model = lab.promote(lab.index(name="builtin")), lab.promote(lab.model(name="builtin"))
    elsewhere = lab.settings.model_copy(update={"image_encoder": "open_clip:ViT-B-32//no/such/file"})
    with run(elsewhere) as service:
        answer = service.score(draw(1))
        assert answer["releases"] == {"model": model.release_id, "index": index.release_id}
        assert not any("similarity" in sentence for sentence in answer["degraded"])


def refusal(lab, run, draw, encoder):
    """Promote an index whose release names the wrong encoder: another encoder made the vectors of the index. Return why
    the service refuses this index.
    """
    old = lab.promote(lab.index(name="builtin"))
    lab.promote(lab.model(name="builtin"))
    with run(lab.settings) as service:
        service.score(draw(1))
        built = lab.index(seed=1)
        info = built.info | {"encoder_name": encoder}
        lab.promote(lab.store.publish("index", "tech", NicheIndex.load(built).save, info))
        assert service.score(draw(1))["releases"]["index"] == old.release_id
        return service.health()["indices"]["tech"]["refused"]["reason"]


@pytest.mark.slow
def test_a_release_whose_encoder_cannot_be_loaded_is_refused(new_lab, run, draw):
    assert "/no/such/file" in refusal(new_lab(), run, draw, "open_clip:ViT-B-32//no/such/file")


@pytest.mark.slow
def test_a_release_made_with_another_encoder_than_it_names_is_refused(new_lab, run, draw, tiny: TinyClip):
    reason = refusal(new_lab(), run, draw, tiny.setting)
    assert "made with the image encoder builtin-768-v3" in reason
    assert tiny.name in reason
