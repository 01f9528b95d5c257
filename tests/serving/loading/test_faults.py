"""Test the service while a disk or a network fails.

The service continues to serve the releases that it has loaded, reports the fault, and recovers.
"""

import gc
import shutil
import threading
import time
from pathlib import Path

import pytest
from tiny_clip import TinyClip

from thumblab_core.encoders import open_clip
from thumblab_core.encoders.load import new_image_encoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_serving.loading import faults


@pytest.fixture
def at_once(monkeypatch):
    """Make the service retry immediately after a transient error. After other errors, the service waits for an hour."""
    monkeypatch.setattr(faults, "TRANSIENT_WAITS", (0.0, 0.0))
    monkeypatch.setattr(faults, "PERMANENT_WAITS", (3600.0, 3600.0))


@pytest.fixture
def compiled(new_lab, tiny: TinyClip, tmp_path: Path):
    """Return a lab, and the path of the weights of its image encoder.

    The lab's index and model use this encoder. A release of the kind `encoder` contains the model that OpenVINO
    compiled from the weights.
    """
    from thumblab_core.encoders.openvino_runtime import ov

    lab, weights = new_lab(), tmp_path / "weights.pt"
    shutil.copyfile(tiny.weights, weights)
    plain = OpenClipEncoder(tiny.name, str(weights))
    info = {"asked": "float32", "precision": "float32", "preprocessing": plain.preprocessing.as_json(), "dimension": 32}
    release = lab.store.publish(
        "encoder", plain.base, lambda folder: ov.save_model(plain.graph(), folder / "model.xml"), info
    )
    name = f"open_clip:{tiny.name}/{weights}@{release.release_id}"
    lab.promote(lab.index(name=name))
    lab.promote(lab.model(name=name))
    return lab, weights


def test_a_release_that_was_unreadable_at_start_is_served_later_without_a_restart(
    new_lab, run, draw, tmp_path, at_once
):
    lab = new_lab()
    index, model = lab.promote(lab.index()), lab.promote(lab.model())
    for release in (index, model):
        release.path.rename(tmp_path / release.kind)
    with run(lab.settings, wait=False) as service:
        service.app.state.scorer.load()
        health = service.health()
        for served in (health["model"], health["indices"]["tech"]):
            assert served["refused"]["release"] in (model.release_id, index.release_id)
            assert "No such file" in served["refused"]["reason"]
        assert service.upload(draw(1)).status_code == 503
        for release in (index, model):
            (tmp_path / release.kind).rename(release.path)
        assert service.client.get("/ready").status_code == 200  # No score was requested since the files came back.
        answer = service.score(draw(1))
        assert answer["releases"] == {"model": model.release_id, "index": index.release_id}
        assert service.health()["model"]["refused"] is None


def test_transient_errors_are_retried_soon_and_damage_rarely(monkeypatch):
    now = 0.0
    monkeypatch.setattr(faults.time, "monotonic", lambda: now)
    waits = {}
    for error in (OSError(5, "Input/output error"), ValueError("no JSON")):
        backoff = faults.Backoff()
        assert backoff.due
        waits[type(error)] = []
        for _ in range(9):
            backoff.failed(error)
            assert not backoff.due
            waits[type(error)].append(backoff.seconds)
    assert waits[OSError] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert waits[ValueError] == [60, 120, 240, 480, 600, 600, 600, 600, 600]


def test_a_meter_that_failed_at_start_is_made_later_without_a_request(new_lab, run, tmp_path, at_once):
    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model())
    missing = lab.settings.model_copy(update={"face_model": tmp_path / "faces.onnx"})
    with run(missing, wait=False) as service:
        deadline = time.monotonic() + 60
        while service.health()["meter"]["state"] != "failed":
            assert time.monotonic() < deadline
        assert "faces.onnx" in service.client.get("/ready").json()["detail"]
        service.app.state.scorer.measuring._settings = lab.settings  # These settings have no face model.
        while service.client.get("/ready").status_code != 200:
            assert time.monotonic() < deadline


def test_a_failed_rehearsal_is_reported_by_health_and_retried_after_the_backoff(new_lab, run, monkeypatch):
    from thumblab_serving.scoring import scorer
    from thumblab_serving.scoring.scorer import Scorer

    real, tries, warnings = Scorer._score_drawn_pictures, [], []
    # The fixture `caplog` could miss the warning, because other tests of this process may have disabled the logger.
    monkeypatch.setattr(scorer._log, "warning", lambda line, *values: warnings.append(line % values))

    def broken(self):
        tries.append(1)
        raise RuntimeError("the device is lost")

    monkeypatch.setattr(Scorer, "_score_drawn_pictures", broken)
    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings, wait=False) as service:
        deadline = time.monotonic() + 60
        while service.health()["rehearsal"]["state"] != "failed":
            assert time.monotonic() < deadline
        why = "the first answer could not be made (RuntimeError: the device is lost)"
        for _ in range(3):
            assert service.health()["rehearsal"]["reason"] == why
            assert service.client.get("/ready").json()["detail"] == why
        assert tries == [1]
        assert [line for line in warnings if "the device is lost" in line] == [f"{why}; next try in 60 seconds"]
        monkeypatch.setattr(Scorer, "_score_drawn_pictures", real)
        service.app.state.scorer._backoff.reset()
        while not service.health()["ready"]:
            assert time.monotonic() < deadline
        assert service.health()["rehearsal"] == {"state": "done", "reason": None}


def test_a_meter_that_failed_is_not_retried_before_the_backoff(lab, monkeypatch):
    from types import SimpleNamespace

    from thumblab_core.errors import LabError
    from thumblab_serving.loading import sub_score_meters

    tries = []

    def broken(*_):
        tries.append(1)
        raise RuntimeError("the device is lost")

    monkeypatch.setattr(sub_score_meters, "Meter", broken)
    meters = sub_score_meters.SubScoreMeters(lab.settings)
    title = SimpleNamespace(fingerprint="t")
    encoders = SimpleNamespace(by_fingerprint=lambda _: None, title=title)
    for _ in range(3):
        with pytest.raises(LabError, match="the device is lost"):
            meters.meter(encoders, "e")
    assert tries == [1]


@pytest.mark.slow
def test_without_the_weights_of_the_text_tower_only_title_match_is_null(compiled, run, draw, at_once):
    lab, weights = compiled
    aside = weights.rename(weights.with_suffix(".aside"))
    with run(lab.settings) as service:
        answer = service.score(draw(1), draw(2))
        assert answer["winner"] in ("p0.jpg", "p1.jpg")
        for thumbnail in answer["thumbnails"]:
            assert thumbnail["error"] is None
            match = thumbnail["sub_scores"]["title_match"]
            assert (match["value"], match["weak"], match["fix"]) == (None, False, None)
            assert str(weights) in match["reason"]
            # Another version of the meter measured the pictures of the index, so there is no percentile.
            assert thumbnail["sub_scores"]["clarity"]["niche_percentile"] is None
        assert [
            sentence
            for sentence in answer["degraded"]
            if "title_match is not measured" in sentence and str(weights) in sentence
        ]
        assert str(weights) in service.health()["meter"]["missing"][-1]
        aside.rename(weights)
        deadline = time.monotonic() + 60
        while service.score(draw(1))["thumbnails"][0]["sub_scores"]["title_match"]["value"] is None:
            assert time.monotonic() < deadline
        assert not [sentence for sentence in service.score(draw(1))["degraded"] if "title_match" in sentence]


@pytest.mark.slow
def test_a_text_tower_that_hangs_does_not_delay_answers(compiled, run, draw, monkeypatch):
    from thumblab_serving.loading import text_tower

    lab, _ = compiled
    loads, hang = [], threading.Event()
    real = open_clip.OpenClipEncoder.encode_texts

    def encode(self, texts):
        loads.append(threading.current_thread().name)
        hang.wait(60)
        return real(self, texts)

    monkeypatch.setattr(open_clip.OpenClipEncoder, "encode_texts", encode)
    monkeypatch.setattr(text_tower, "PATIENCE", 0.01)
    with run(lab.settings) as service:
        answer = service.score(draw(1))
        assert answer["winner"]
        assert [sentence for sentence in answer["degraded"] if "still being loaded" in sentence]
        assert loads == ["text-tower"]
        hang.set()


@pytest.mark.slow
def test_an_encoder_loads_without_blocking_other_niches_and_is_freed_when_unused(
    new_lab, run, draw, tiny: TinyClip, monkeypatch
):
    lab = new_lab()
    lab.promote(lab.index("gaming"))
    first = lab.promote(lab.index("tech"))
    lab.promote(lab.model(niches=("tech", "gaming")))
    loading, go_on = threading.Event(), threading.Event()
    real = open_clip.OpenClipEncoder.encode_images

    def encode(self, images):
        loading.set()
        assert go_on.wait(60)
        return real(self, images)

    other = lab.index("tech", seed=1, name=tiny.setting)
    monkeypatch.setattr(open_clip.OpenClipEncoder, "encode_images", encode)
    with run(lab.settings) as service:
        lab.promote(other)
        waiting = threading.Thread(target=lambda: service.client.get("/health"))
        waiting.start()
        assert loading.wait(60)
        # This answer comes while the new encoder of the niche tech is being loaded.
        assert service.score(draw(77), category="gaming")["winner"]
        go_on.set()
        waiting.join()
        assert service.score(draw(1))["releases"]["index"] == other.release_id
        fingerprint = new_image_encoder(tiny.setting, lab.settings.releases).fingerprint
        assert fingerprint in service.health()["encoders"]["images"]
        lab.promote(first)
        service.score(draw(2))
        gc.collect()
        assert fingerprint not in service.health()["encoders"]["images"]


def test_at_most_one_set_of_engines_is_loaded_per_examining_thread(new_lab, run, draw, monkeypatch):
    from thumblab_core.sub_scores import Meter

    opened = []
    real = Meter._opened
    monkeypatch.setattr(Meter, "_opened", lambda self: opened.append(1) or real(self))
    monkeypatch.setattr("os.cpu_count", lambda: 32)
    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings) as service:
        service.score(*[draw(seed) for seed in range(8)])
    assert len(opened) <= 4
