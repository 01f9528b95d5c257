"""Test that the service continues while the folder of the releases is missing, as when a network folder is lost."""

import time


def test_the_service_names_a_lost_store_and_keeps_its_releases_until_it_is_back(new_lab, run, draw):
    lab = new_lab()
    index, model = lab.promote(lab.index()), lab.promote(lab.model())
    served = {"model": model.release_id, "index": index.release_id}
    with run(lab.settings) as service:
        service.score(draw(1))
        away = lab.settings.releases.with_name("away")
        lab.settings.releases.rename(away)
        for mount_point_is_there in (False, True):
            if mount_point_is_there:
                lab.settings.releases.mkdir()
            assert service.score(draw(1), draw(2))["releases"] == served
            health = service.health()
            for slot in (health["model"], health["indices"]["tech"]):
                assert "is gone; promote a release again" in slot["refused"]["reason"]
        lab.settings.releases.rmdir()
        away.rename(lab.settings.releases)
        newer = lab.promote(lab.model(seed=3))
        deadline = time.monotonic() + 60
        while service.score(draw(1))["releases"] != served | {"model": newer.release_id}:
            assert time.monotonic() < deadline, service.health()
        assert service.health()["model"]["refused"] is None
