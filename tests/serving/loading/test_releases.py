"""Test that the service loads promoted releases, and refuses damaged and unusable releases."""

import json
import threading

import pytest

from thumblab_serving.dagster_runs.scheduler import SchedulerStatus
from thumblab_serving.routes.health import describe
from thumblab_serving.schemas.health import SharedCacheOut


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_without_a_model_the_service_is_alive_and_not_ready_and_says_what_to_do(new_lab, run, draw):
    lab = new_lab()
    with run(lab.settings, wait=False) as service:
        service.app.state.scorer.load()
        assert service.client.get("/health").status_code == 200
        assert service.health()["ready"] is False
        reply = service.client.get("/ready")
        assert reply.status_code == 503
        assert reply.headers["content-type"] == "application/problem+json"
        assert "thumblab refresh" in reply.json()["detail"]
        reply = service.upload(draw(1))
        assert reply.status_code == 503
        assert reply.json()["type"] == "urn:thumblab:not-ready"
        assert "thumblab refresh" in reply.json()["detail"]
        lab.promote(lab.index())
        assert service.client.get("/ready").status_code == 503
        lab.promote(lab.model())
        assert service.client.get("/ready").status_code == 200
        assert service.score(draw(1))["winner"]


def test_encoders_that_cannot_be_loaded_are_reported_and_do_not_stop_the_service(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.model())
    settings = lab.settings.model_copy(update={"image_encoder": "abacus"})
    with run(settings, wait=False) as service:
        reply = service.upload(draw(1))
        assert reply.status_code == 503
        assert "abacus" in reply.json()["detail"]
        assert service.health()["encoders"]["state"] == "failed"
        assert "abacus" in service.client.get("/ready").json()["detail"]


def test_new_releases_are_served_without_a_restart_or_a_failed_request(new_lab, run, draw, alike):
    lab = new_lab()
    indices = [lab.promote(lab.index(seed=seed, count=12)) for seed in range(2)]
    models = [lab.promote(lab.model(seed=seed)) for seed in range(2)]
    # `expected` maps each pair of a model and an index to the expected answer. `expected` is complete before the
    # threads start.
    expected, stop, seen, failures = {}, threading.Event(), set(), []
    pictures = [draw(1), draw(2)]
    with run(lab.settings) as service:
        for index in indices:
            for model in models:
                lab.promote(index)
                lab.promote(model)
                answer = service.score(*pictures)
                assert answer["releases"] == {"model": model.release_id, "index": index.release_id}
                expected[model.release_id, index.release_id] = answer

        def hammer():
            while not stop.is_set():
                reply = service.upload(*pictures)
                answer = reply.json()
                if reply.status_code != 200:
                    failures.append(answer)
                    continue
                pair = (answer["releases"]["model"], answer["releases"]["index"])
                seen.add(pair)
                if not alike(answer, expected[pair]):
                    failures.append("an answer names other releases than those that produced it")

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(20):
            lab.promote(indices[turn % 2])
            model = lab.promote(models[(turn // 2) % 2])
            assert service.score(*pictures)["releases"]["model"] == model.release_id
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(seen) > 1


def test_a_damaged_release_is_refused_and_the_old_one_stays_served(new_lab, run, draw, alike):
    lab = new_lab()
    index, model = lab.promote(lab.index()), lab.promote(lab.model())
    with run(lab.settings) as service:
        before = service.score(draw(1), draw(2))
        bad_index, bad_model = lab.index(seed=1), lab.model(seed=1)
        flip(bad_index.path / "index.faiss")
        flip(bad_model.path / "model.safetensors")
        lab.point(bad_index)
        lab.point(bad_model)
        assert alike(service.score(draw(1), draw(2)), before)
        health = service.health()
        assert health["ready"] is True
        assert health["model"]["release"] == model.release_id
        assert health["model"]["refused"]["release"] == bad_model.release_id
        assert "checksum" in health["model"]["refused"]["reason"]
        assert health["indices"]["tech"]["release"] == index.release_id
        assert health["indices"]["tech"]["refused"]["release"] == bad_index.release_id
        assert 'thumblab_release_refused{kind="model",scope="all"} 1.0' in service.client.get("/metrics").text
        # After a good release was promoted, the service no longer reports that it refused the damaged release.
        good = lab.promote(lab.model(seed=2))
        assert service.score(draw(1))["releases"]["model"] == good.release_id
        assert service.health()["model"]["refused"] is None


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("flipped byte", "index.faiss does not match its checksum"),
        ("wrong dimension", "holds vectors of 30x768, but its manifest says 30x767"),
        ("another encoder", "made with the image encoder clip-of-elsewhere"),
        ("newer format", "has format 99; this version reads up to"),
        ("edited manifest", "the manifest has changed since it was published"),
    ],
)
def test_a_faulty_index_is_refused_with_its_fault_and_the_old_one_stays_served(new_lab, run, draw, fault, named):
    lab = new_lab()
    good, _ = lab.promote(lab.index()), lab.promote(lab.model())
    with run(lab.settings) as service:
        service.score(draw(1))
        bad = lab.index(seed=1, encoder="clip-of-elsewhere" if fault == "another encoder" else None)
        manifest = json.loads((bad.path / "manifest.json").read_text())
        if fault == "flipped byte":
            flip(bad.path / "index.faiss")
        elif fault == "wrong dimension":
            bad = lab.store.publish("index", "tech", lambda folder: None, bad.info | {"dimension": 767}, sharing=bad)
        elif fault == "newer format":
            (bad.path / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
        elif fault == "edited manifest":
            manifest["info"]["count"] = 29
            (bad.path / "manifest.json").write_text(json.dumps(manifest))
        lab.point(bad)
        answer = service.score(draw(1))
        assert answer["releases"]["index"] == good.release_id
        assert {t["similarity_source"] for t in answer["thumbnails"]} == {"faiss"}
        assert named in service.health()["indices"]["tech"]["refused"]["reason"]


def test_a_withdrawn_index_is_not_served_from_memory(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings) as service:
        assert service.score(draw(1))["thumbnails"][0]["similarity_source"] == "faiss"
        lab.store.serving.withdraw("index", "tech")
        answer = service.score(draw(1))
        assert answer["releases"]["index"] is None
        assert answer["thumbnails"][0]["similarity_source"] != "faiss"
        assert service.health()["indices"]["tech"]["release"] is None


def test_a_refused_release_is_not_read_for_every_request(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings) as service:
        bad = lab.model(seed=1)
        flip(bad.path / "model.safetensors")
        lab.point(bad)
        service.score(draw(1))
        slot, loads = service.app.state.scorer.releases.model, []
        load = slot._load
        slot._load = lambda release: loads.append(release) or load(release)
        for _ in range(5):
            service.score(draw(1))
            service.health()
        assert loads == []


def test_a_release_of_another_encoder_is_refused_and_the_old_one_stays_served(new_lab, run, draw):
    lab = new_lab()
    index, model = lab.promote(lab.index()), lab.promote(lab.model())
    with run(lab.settings) as service:
        for encoder in ("image", "title"):
            other = lab.promote(lab.model(seed=1, fingerprints={encoder: "of-elsewhere"}))
            assert service.score(draw(1))["releases"]["model"] == model.release_id
            refused = service.health()["model"]["refused"]
            assert refused["release"] == other.release_id
            assert "of-elsewhere" in refused["reason"]
        lab.promote(lab.index(seed=1, encoder="clip-of-elsewhere"))
        assert service.score(draw(1))["releases"]["index"] == index.release_id
        assert "clip-of-elsewhere" in service.health()["indices"]["tech"]["refused"]["reason"]


def test_a_release_with_valid_checksums_and_an_incomplete_manifest_is_refused(new_lab, run, draw):
    lab = new_lab()
    index = lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings) as service:
        lab.promote(lab.store.publish("index", "tech", lambda folder: None, {"encoder": "builtin-768-v3"}))
        assert service.score(draw(1))["releases"]["index"] == index.release_id
        assert "the manifest has no 'dimension'" in service.health()["indices"]["tech"]["refused"]["reason"]


def test_the_answer_names_an_index_that_was_refused_at_start(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.model())
    lab.promote(lab.index("gaming"))
    lab.promote(lab.index("tech", encoder="clip-of-elsewhere"))
    with run(lab.settings) as service:
        answer = service.score(draw(1))
        assert answer["releases"]["index"] is None
        assert "clip-of-elsewhere" in answer["degraded"][0]


def test_a_rollback_serves_the_older_release_again(new_lab, run, draw, alike):
    lab = new_lab()
    lab.promote(lab.index())
    old = lab.promote(lab.model(seed=0))
    with run(lab.settings) as service:
        before = service.score(draw(1), draw(2))
        new = lab.promote(lab.model(seed=1))
        after = service.score(draw(1), draw(2))
        assert after["releases"]["model"] == new.release_id
        assert after["thumbnails"] != before["thumbnails"]
        lab.promote(old)
        assert alike(service.score(draw(1), draw(2)), before)


def test_a_deleted_pointer_is_reported_and_the_old_release_stays_served(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.index())
    model = lab.promote(lab.model())
    with run(lab.settings) as service:
        (model.path.parent / "CURRENT").unlink()
        assert service.score(draw(1))["releases"]["model"] == model.release_id
        assert "gone" in service.health()["model"]["refused"]["reason"]
        lab.promote(model)
        assert service.health()["model"]["refused"] is None


def test_a_service_whose_only_index_is_refused_says_why_it_is_not_ready(new_lab, run):
    lab = new_lab()
    lab.promote(lab.model())
    lab.promote(lab.index(encoder="another"))
    with run(lab.settings, wait=False) as service:
        service.app.state.scorer.load()
        detail = service.client.get("/ready").json()["detail"]
    assert detail.startswith("the promoted indices were refused (tech: it was made with the image encoder another")


def test_a_service_that_reads_its_index_again_stays_ready(lab, run):
    with run(lab.settings) as service:
        scorer = service.app.state.scorer
        assert scorer.releases.forget_indices()
        unknown, one_worker = SchedulerStatus("unknown", None), SharedCacheOut(state="one_worker", reason=None)
        health = describe(scorer, None, unknown, [], one_worker, {})
        assert (health.ready, health.indices["tech"].state) == (True, "none")
