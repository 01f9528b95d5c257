"""What an answer promises about the channel that the request names."""

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
def known(tmp_path_factory, lab_at, run):
    """A service whose model learnt two channels, of which one was added anew."""
    lab = lab_at(tmp_path_factory.mktemp("known"))
    lab.promote(lab.index("tech"))
    model = lab.promote(lab.model(channels=(OWN, ADDED)))
    lab.history(ADDED, model, videos=9)
    with run(lab.settings) as service:
        service.lab = lab
        yield service


def chances(answer):
    return [t["win_probability"] for t in answer["thumbnails"]]


def test_without_a_channel_nothing_is_said_of_one(known, draw):
    assert known.score(draw(1), draw(2))["channel"] is None


def test_a_channel_that_the_model_learnt_adapts_the_answer_and_is_said(known, draw):
    pictures = [draw(n) for n in range(4)]
    plain, adapted = known.score(*pictures), known.score(*pictures, channel_id=OWN)
    assert adapted["channel"] == {"channel_id": OWN, "adapted": True, "videos": 24, "reason": None, "release": None}
    assert chances(adapted) != chances(plain)
    assert [t["predicted_engagement"] for t in adapted["thumbnails"]] == [
        t["predicted_engagement"] for t in plain["thumbnails"]
    ]
    assert adapted["degraded"] == plain["degraded"]


def test_the_chances_are_of_the_adapted_scores_by_the_slope_for_known_channels(known, draw):
    ranker = TrainedRanker.load(known.lab.store.serving.current(MODEL, ALL))
    trained, quantiles = ranker.calibration, ranker.adapter(OWN).quantiles
    checked = 0
    for first in range(8):
        answer = known.score(draw(first), draw(first + 1), channel_id=OWN)
        low, high = sorted(np.interp([t["score"] for t in answer["thumbnails"]], np.arange(101.0), quantiles))
        assert max(chances(answer)) == pytest.approx(answer["confidence"], abs=1e-6)
        if quantiles[0] < low and high < quantiles[-1]:  # a score outside of the channel's range is cut off
            odds = np.exp(trained.slope_adapted * (high - low))
            assert answer["confidence"] == pytest.approx(odds / (1 + odds), abs=1e-3)
            checked += 1
    assert checked


def test_a_history_that_was_added_comes_before_the_models_own(known, draw):
    answer = known.score(draw(1), draw(2), channel_id=ADDED)
    release = ChannelAdapters(known.lab.store).current_id(ADDED)
    assert answer["channel"] == {"channel_id": ADDED, "adapted": True, "videos": 9, "reason": None, "release": release}


def test_every_way_in_takes_a_channel_and_gives_the_same_answer(known, draw, alike):
    uploaded = known.score(draw(1), draw(2), channel_id=OWN)
    coded = [{"id": f"p{n}.jpg", "image_base64": base64.b64encode(draw(n + 1)).decode()} for n in range(2)]
    assert alike(known.ask(coded, channel_id=OWN).json(), uploaded)


def test_a_channel_that_is_not_known_is_ranked_as_without_one_and_told_what_to_do(known, draw):
    answer, plain = known.score(draw(1), draw(2), channel_id=NEW), known.score(draw(1), draw(2))
    assert answer["channel"]["adapted"] is False
    assert answer["channel"]["videos"] == 0
    assert "`thumblab channel add UCnew`" in answer["channel"]["reason"]
    assert answer["channel"]["reason"] in answer["degraded"]
    assert answer["thumbnails"] == plain["thumbnails"]
    assert answer["confidence"] == plain["confidence"]


@pytest.mark.parametrize(
    "hostile",
    ["../all", "..", "a/b", "/etc/passwd", "a\\b", "UC own", "x" * 65, "UC\x00", "<b>", "UC\nx", "ÜC", "%2e%2e"],
)
def test_what_is_no_id_of_a_channel_is_refused_by_the_schema_and_by_the_store(known, draw, hostile):
    replies = [
        known.upload(draw(1), channel_id=hostile),
        known.ask([{"id": "a", "url": "https://a"}], channel_id=hostile),
    ]
    for reply in replies:
        assert reply.status_code == 422
        assert "channel_id: give the id of a channel" in reply.json()["detail"]
    store = ChannelAdapters(known.lab.store)
    for method in (store.current_id, store.about, store.videos, store.remove):
        with pytest.raises(LabError, match="no id of a channel"):
            method(hostile)
    with pytest.raises(LabError, match="no id of a channel"):
        store.load(hostile, known.lab.store.serving.current_id(MODEL, ALL))


def test_too_few_videos_are_counted(known, draw):
    known.lab.history("UCfew", known.lab.store.serving.current(MODEL, ALL), videos=3)
    answer = known.score(draw(1), channel_id="UCfew")
    assert answer["channel"]["adapted"] is False
    assert "3 of the 5 videos" in answer["channel"]["reason"]


def test_a_history_that_could_not_be_opened_for_a_moment_is_used_by_the_next_request(known, draw, tmp_path):
    release = known.lab.history("UCmoment", known.lab.store.serving.current(MODEL, ALL), videos=8)
    file = release.path / "adapters.safetensors"
    file.rename(tmp_path / file.name)
    said = known.score(draw(1), channel_id="UCmoment")["channel"]
    assert (said["adapted"], "cannot be read" in said["reason"]) == (False, True)
    (tmp_path / file.name).rename(file)
    assert known.score(draw(1), channel_id="UCmoment")["channel"]["release"] == release.release_id


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
def test_a_damaged_history_never_stops_an_answer_and_is_said(known, draw, fault, channel):
    model = known.lab.store.serving.current(MODEL, ALL)
    damage(known.lab.history(channel, model, videos=8), fault)
    answer = known.score(draw(1), draw(2), channel_id=channel)
    said = answer["channel"]
    assert said["adapted"] is (channel == OWN)  # the model's own stands in, where it has one
    assert said["videos"] == (24 if channel == OWN else 0)
    assert "not usable" in said["reason"]
    assert f"thumblab channel add {channel}" in said["reason"]
    assert said["reason"] in answer["degraded"]
    mended = known.lab.history(channel, model, videos=8)
    assert known.score(draw(1), channel_id=channel)["channel"]["release"] == mended.release_id
    ChannelAdapters(known.lab.store).remove(channel)
    assert known.score(draw(1), channel_id=channel)["channel"]["adapted"] is (channel == OWN)


def test_after_another_model_was_promoted_its_own_histories_take_over_and_the_added_say_so(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.index())
    old = lab.promote(lab.model())
    for channel in (OWN, NEW):
        lab.history(channel, old)
    with run(lab.settings) as service:
        assert service.score(draw(1), channel_id=OWN)["channel"]["adapted"] is True
        new = lab.promote(lab.model(seed=1, channels=(OWN,)))
        taken_over, foreign = (service.score(draw(1), draw(2), channel_id=name) for name in (OWN, NEW))
        assert taken_over["channel"]["adapted"] is True
        assert foreign["channel"]["adapted"] is False
        for answer in (taken_over, foreign):
            assert answer["channel"]["release"] is None
            assert "is of another model" in answer["channel"]["reason"]
            assert "`thumblab channel add" in answer["degraded"][0]
        lab.history(NEW, new)
        assert service.score(draw(1), channel_id=NEW)["channel"]["reason"] is None


def test_a_history_is_read_once_and_not_for_every_request(known, draw):
    model = known.lab.store.serving.current(MODEL, ALL)
    known.lab.history("UCgood", model)
    damage(known.lab.history("UCbad", model), "flipped byte")
    added, loads = known.app.state.engine.histories._added, []
    load = added.load
    added.load = lambda *asked: loads.append(asked) or load(*asked)
    try:
        for _ in range(3):
            known.score(draw(1), channel_id="UCgood")
            known.score(draw(1), channel_id="UCbad")
    finally:
        del added.load
    assert [channel for channel, _ in loads] == ["UCgood", "UCbad"]
