"""Test a service whose releases are in an object store.

The service must load newly promoted releases, continue with loaded releases during a fault, and report the fault.
"""

import os
import signal
import time

import pytest
from object_store_server import SECRET, running_s3

from thumblab_core.releases.moves import end_hold, serve_older
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_core.settings import variable


@pytest.fixture
def s3():
    with running_s3() as server:
        yield server


@pytest.fixture
def host(lab_at, s3, tmp_path):
    """Return a function that makes a lab on another host. All labs have the same object store."""
    url = s3.url("lab-releases")
    return lambda name, **settings: lab_at(tmp_path / name, release_store=url, **settings)


def wait_for(service, model, index=None):
    """Wait until the service has loaded a model and an index. No request is sent that could make the service load them."""
    deadline = time.monotonic() + 60
    while True:
        [worker] = service.health()["workers"]
        if worker["model"] == model.release_id and index in (None, worker["indices"].get("tech")):
            return
        assert time.monotonic() < deadline, service.health()
        time.sleep(0.05)


@pytest.mark.slow
def test_the_service_follows_promotions_rollbacks_and_prunes_of_another_host(host, run, draw):
    maker, reader = host("maker"), host("reader")
    index, old = maker.promote(maker.index()), maker.promote(maker.model())
    with run(reader.settings) as service:
        assert service.score(draw(1), draw(2))["releases"] == {"model": old.release_id, "index": index.release_id}
        new = maker.promote(maker.model(seed=1))
        wait_for(service, new)
        assert service.score(draw(1), draw(2))["releases"]["model"] == new.release_id
        serve_older(maker.store, MODEL, ALL, None, Release.verify)
        wait_for(service, old)
        end_hold(maker.store, MODEL, ALL)
        wait_for(service, new)
        unserved = [maker.model(seed=seed) for seed in range(2, 5)]
        assert maker.store.prune(MODEL, ALL, keep=2) == [old.release_id, unserved[0].release_id]
        assert service.score(draw(1), draw(2))["releases"]["model"] == new.release_id
        newest = maker.promote(maker.store.latest(MODEL, ALL))
        newer_index = maker.promote(maker.index(seed=3))
        wait_for(service, newest, newer_index.release_id)
        assert service.health()["model"]["refused"] is None


@pytest.mark.slow
def test_the_service_keeps_its_releases_while_the_store_is_away_and_health_says_so(host, run, draw, s3, caplog):
    maker, reader = host("maker"), host("reader")
    maker.promote(maker.index())
    old = maker.promote(maker.model())
    with run(reader.settings) as service:
        served = service.score(draw(1))["releases"]
        s3.process.send_signal(signal.SIGSTOP)  # The store accepts connections and does not answer.
        try:
            reason = refusal(service)
            assert "s3://lab-releases/lab/releases" in reason
            assert "no answer in time" in reason
            assert service.score(draw(1), draw(2))["releases"] == served
        finally:
            s3.process.send_signal(signal.SIGCONT)
        new = maker.promote(maker.model(seed=1))
        wait_for(service, new)
        assert service.health()["model"]["refused"] is None
        s3.process.kill()
        assert "no connection" in refusal(service)
        assert service.score(draw(1), draw(2))["releases"]["model"] == new.release_id != old.release_id
        shown = service.client.get("/health").text + service.client.get("/metrics").text + caplog.text
    assert SECRET not in shown
    assert SECRET not in repr(reader.settings)


def refusal(service):
    """Wait until `/health` reports that the promoted model is refused, and return the reason."""
    deadline = time.monotonic() + 60
    while service.health()["model"]["refused"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return service.health()["model"]["refused"]["reason"]


@pytest.mark.slow
def test_a_service_whose_copy_is_damaged_fetches_it_again(host, run, draw, caplog):
    maker, reader = host("maker"), host("reader")
    maker.promote(maker.index())
    model = maker.promote(maker.model())
    copy = reader.store.get(MODEL, ALL, model.release_id).path / "model.safetensors"
    content, times = copy.read_bytes(), copy.stat()
    copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    with run(reader.settings) as service:
        assert service.score(draw(1))["releases"]["model"] == model.release_id
    assert "does not match its checksum; fetching it again" in caplog.text
    assert copy.read_bytes() == content


def test_the_url_can_be_given_in_a_file_of_a_secret(tmp_path, monkeypatch):
    from thumblab_core.releases.place import shown_place
    from thumblab_core.settings import Settings

    file = tmp_path / "store-url"
    file.write_text(f"s3://key:{SECRET}@bucket/lab\n")
    monkeypatch.setenv(variable("release_store") + "_FILE", str(file))
    settings = Settings(_env_file=None)
    assert shown_place(settings) == "s3://bucket/lab"
    assert SECRET not in repr(settings)
