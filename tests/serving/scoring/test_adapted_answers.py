"""Test answers for a channel.

The tests check which channel adapter is used. If no adapter is used, the answer must give the reason.
"""

import base64
import json

import numpy as np
import pytest

from thumblab_core.errors import LabError
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release import ALL, MODEL

OWN, ADDED, NEW = "UCown", "UCadded", "UCnew"


@pytest.fixture(scope="module")
def service(tmp_path_factory, lab_at, run):
    """A service whose model includes adapters for two channels. For one of the channels, a newer adapter was added."""
    lab = lab_at(tmp_path_factory.mktemp("known"))
    lab.promote(lab.index("tech"))
    model = lab.promote(lab.model(channels=(OWN, ADDED)))
    lab.add_adapter(ADDED, model, videos=9)
    with run(lab.settings) as service:
        service.lab = lab
        yield service


def chances(answer):
    return [t["win_probability"] for t in answer["thumbnails"]]


def test_without_a_channel_in_the_request_the_answer_has_no_channel(service, draw):
    assert service.score(draw(1), draw(2))["channel"] is None


def test_a_known_channel_adapts_the_answer(service, draw):
    pictures = [draw(n) for n in range(4)]
    plain, adapted = service.score(*pictures), service.score(*pictures, channel_id=OWN)
    of_model = {"release": None, "title": None}
    assert adapted["channel"] == {"channel_id": OWN, "adapted": True, "videos": 24, "reason": None, **of_model}
    assert chances(adapted) != chances(plain)
    assert [t["predicted_engagement"] for t in adapted["thumbnails"]] == [
        t["predicted_engagement"] for t in plain["thumbnails"]
    ]
    assert adapted["degraded"] == plain["degraded"]


def test_win_probabilities_use_the_adapted_scores_and_the_adapted_slope(service, draw):
    ranker = TrainedRanker.load(service.lab.store.serving.current(MODEL, ALL))
    trained, quantiles = ranker.calibration, ranker.adapter(OWN).quantiles
    checked = 0
    for first in range(8):
        answer = service.score(draw(first), draw(first + 1), channel_id=OWN)
        low, high = sorted(np.interp([t["score"] for t in answer["thumbnails"]], np.arange(101.0), quantiles))
        assert max(chances(answer)) == pytest.approx(answer["confidence"], abs=1e-6)
        # The answer has each score as a percentile. The test computes the model's score from the percentile. A
        # percentile of 0 or 100 can belong to many scores, so the test leaves out answers with such percentiles.
        if quantiles[0] < low and high < quantiles[-1]:
            odds = np.exp(trained.slope_adapted * (high - low))
            assert answer["confidence"] == pytest.approx(odds / (1 + odds), abs=1e-3)
            checked += 1
    assert checked


def test_an_added_adapter_is_used_before_the_models_own(service, draw):
    answer = service.score(draw(1), draw(2), channel_id=ADDED)
    release = ChannelAdapters(service.lab.store).current_id(ADDED)
    of_adapter = {"release": release, "title": "The UCadded"}
    assert answer["channel"] == {"channel_id": ADDED, "adapted": True, "videos": 9, "reason": None, **of_adapter}


def test_an_unknown_channel_is_repeated_without_hidden_characters_and_not_in_full(service, draw):
    known_by_nobody = "\u202egnp.\u200b" + "x" * 2_000
    answer = service.score(draw(1), draw(2), channel_id=known_by_nobody)
    assert answer["channel"]["channel_id"] == "\\u202egnp.\\u200b" + "x" * 94 + "…"
    assert service.score(draw(1), channel_id="A Café 🙂")["channel"]["channel_id"] == "A Café 🙂"


def test_json_and_forms_accept_a_channel_and_give_the_same_answer(service, draw, alike):
    uploaded = service.score(draw(1), draw(2), channel_id=OWN)
    coded = [{"id": f"p{n}.jpg", "image_base64": base64.b64encode(draw(n + 1)).decode()} for n in range(2)]
    assert alike(service.ask(coded, channel_id=OWN).json(), uploaded)


def test_an_unseen_channel_is_ranked_without_an_adapter_and_the_answer_says_what_to_do(service, draw):
    answer, plain = service.score(draw(1), draw(2), channel_id=NEW), service.score(draw(1), draw(2))
    assert answer["channel"]["adapted"] is False
    assert answer["channel"]["videos"] == 0
    assert "`thumblab channel add UCnew`" in answer["channel"]["reason"]
    assert answer["channel"]["reason"] in answer["degraded"]
    assert answer["thumbnails"] == plain["thumbnails"]
    assert answer["confidence"] == plain["confidence"]


@pytest.mark.parametrize("name", ["The UCadded", " The UCadded ", "https://www.youtube.com/channel/UCadded/videos"])
def test_a_channel_may_be_named_by_its_title_or_its_link(service, draw, name):
    assert service.score(draw(1), draw(2), channel_id=name) == service.score(draw(1), draw(2), channel_id=ADDED)


@pytest.mark.parametrize("name", ["The UCaded", "@handle", "https://www.youtube.com/@handle"])
def test_an_unknown_name_is_ranked_without_an_adapter_and_the_answer_says_what_to_do(service, draw, name):
    answer, plain = service.score(draw(1), draw(2), channel_id=name), service.score(draw(1), draw(2))
    assert answer["channel"]["adapted"] is False
    assert "give its id (UC...), or add the channel with `thumblab channel add`" in answer["channel"]["reason"]
    assert answer["channel"]["reason"] in answer["degraded"]
    assert answer["thumbnails"] == plain["thumbnails"]


@pytest.mark.parametrize(
    "hostile",
    ["../all", "..", "a/b", "/etc/passwd", "a\\b", "UC own", "x" * 65, "UC\x00", "<b>", "UC\nx", "ÜC", "%2e%2e"],
)
def test_a_hostile_channel_name_opens_no_file_and_is_refused_by_the_store(service, draw, hostile):
    picture = base64.b64encode(draw(1)).decode()
    replies = [
        service.upload(draw(1), channel_id=hostile),
        service.ask([{"id": "a", "image_base64": picture}], channel_id=hostile),
    ]
    for reply in replies:
        if hostile.isprintable():
            assert reply.json()["channel"]["adapted"] is False
            assert "the lab knows no channel, or several channels, called" in reply.json()["channel"]["reason"]
        else:
            assert reply.status_code == 422
            assert "channel_id: " in reply.json()["detail"]
    store = ChannelAdapters(service.lab.store)
    for method in (store.current_id, store.remove):
        with pytest.raises(LabError, match="is not a channel id"):
            method(hostile)
    with pytest.raises(LabError, match="is not a channel id"):
        store.load(hostile, service.lab.store.serving.current_id(MODEL, ALL))


def test_an_adapter_with_too_few_videos_is_not_used_and_the_answer_says_so(service, draw):
    service.lab.add_adapter("UCfew", service.lab.store.serving.current(MODEL, ALL), videos=3)
    answer = service.score(draw(1), channel_id="UCfew")
    assert answer["channel"]["adapted"] is False
    assert "3 of the 5 videos" in answer["channel"]["reason"]


def test_an_adapter_that_was_unreadable_for_a_moment_is_used_by_the_next_request(service, draw, tmp_path):
    release = service.lab.add_adapter("UCmoment", service.lab.store.serving.current(MODEL, ALL), videos=8)
    file = release.path / "adapters.safetensors"
    file.rename(tmp_path / file.name)
    adaptation = service.score(draw(1), channel_id="UCmoment")["channel"]
    assert (adaptation["adapted"], "cannot be read" in adaptation["reason"]) == (False, True)
    (tmp_path / file.name).rename(file)
    assert service.score(draw(1), channel_id="UCmoment")["channel"]["release"] == release.release_id


def damage(release, fault):
    if fault == "flipped byte":
        path = release.path / "adapters.safetensors"
        data = bytearray(path.read_bytes())
        data[-2] ^= 1
        path.write_bytes(data)
    elif fault == "file gone":
        (release.path / "adapters.safetensors").unlink()
    elif fault == "manifest edited":
        path = release.path / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["info"]["model"] = "another"
        path.write_text(json.dumps(manifest))
    elif fault == "pointer astray":
        (release.path.parent / "CURRENT").write_text("../../model")
    elif fault == "pointer unreadable":
        (release.path.parent / "CURRENT").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    "fault", ["flipped byte", "file gone", "manifest edited", "pointer astray", "pointer unreadable"]
)
@pytest.mark.parametrize("channel", [OWN, NEW])
def test_a_damaged_adapter_is_reported_and_does_not_stop_the_answer(service, draw, fault, channel):
    model = service.lab.store.serving.current(MODEL, ALL)
    damage(service.lab.add_adapter(channel, model, videos=8), fault)
    answer = service.score(draw(1), draw(2), channel_id=channel)
    adaptation = answer["channel"]
    # For the channel OWN, the service uses the adapter in the model instead of the damaged adapter.
    assert adaptation["adapted"] is (channel == OWN)
    assert adaptation["videos"] == (24 if channel == OWN else 0)
    assert "cannot be used" in adaptation["reason"]
    assert f"thumblab channel add {channel}" in adaptation["reason"]
    assert adaptation["reason"] in answer["degraded"]
    mended = service.lab.add_adapter(channel, model, videos=8)
    assert service.score(draw(1), channel_id=channel)["channel"]["release"] == mended.release_id
    ChannelAdapters(service.lab.store).remove(channel)
    assert service.score(draw(1), channel_id=channel)["channel"]["adapted"] is (channel == OWN)


def test_adapters_that_were_added_for_another_model_are_not_used(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.index())
    old = lab.promote(lab.model())
    for channel in (OWN, NEW):
        lab.add_adapter(channel, old)
    with run(lab.settings) as service:
        assert service.score(draw(1), channel_id=OWN)["channel"]["adapted"] is True
        new = lab.promote(lab.model(seed=1, channels=(OWN,)))
        taken_over, foreign = (service.score(draw(1), draw(2), channel_id=name) for name in (OWN, NEW))
        assert taken_over["channel"]["adapted"] is True
        assert foreign["channel"]["adapted"] is False
        for answer in (taken_over, foreign):
            assert answer["channel"]["release"] is None
            assert "was made for another model" in answer["channel"]["reason"]
            assert "`thumblab channel add" in answer["degraded"][0]
        lab.add_adapter(NEW, new)
        assert service.score(draw(1), channel_id=NEW)["channel"]["reason"] is None


def test_an_adapter_is_read_once_and_not_for_every_request(service, draw):
    model = service.lab.store.serving.current(MODEL, ALL)
    service.lab.add_adapter("UCgood", model)
    damage(service.lab.add_adapter("UCbad", model), "flipped byte")
    added, loads = service.app.state.scorer.adapters._store, []
    load = added.load
    added.load = lambda *asked: loads.append(asked) or load(*asked)
    try:
        for _ in range(3):
            service.score(draw(1), channel_id="UCgood")
            service.score(draw(1), channel_id="UCbad")
    finally:
        del added.load
    assert [channel for channel, _ in loads] == ["UCgood", "UCbad"]
