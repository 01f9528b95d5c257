"""Test the requests by which the scoring service starts runs in the Dagster of a running lab.

The pages in docs/ about the service, the FAISS library and the index lifecycle show these requests. The tests send the
requests with `curl`. A request that changes something is a POST request.
"""

import time
from dataclasses import dataclass
from typing import Any

import pytest
from backfills import begin_backfill, end_of_backfill, runs_of_backfill
from curl_requests import CURL, curl, post
from real_processes import RunningLab, niche_of

from thumblab_core.index import NicheIndex
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.releases.release import INDEX, Release
from thumblab_core.releases.release_store import ReleaseStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CURL is None, reason="there is no curl"),
]

NICHE = "news"


@dataclass(frozen=True)
class OverHttp:
    """The answers to two requests for a refresh over HTTP, while the runs of a backfill wait in Dagster's queue.

    The first request is for the two niches in `niches`, and does not wait for the end of its runs. `started` is the
    answer to this request. When the request was sent, the backfill had a running run of the first niche, and a queued
    run of the second niche.

    The second request is for all niches, and waits for the end of its runs. `done` is the answer to this request.

    Each answer is a tuple of the HTTP status and the JSON. `served` maps each niche to the release that was served
    after both requests. `of_backfill` has the ids of the runs of the backfill.
    """

    niches: list[str]
    started: tuple[int, dict[str, Any]]
    done: tuple[int, dict[str, Any]]
    served: dict[str, Release]
    of_backfill: set[str]


@pytest.fixture(scope="module")
def over_http(lab: RunningLab, refreshed: dict[str, Any]) -> OverHttp:
    """The answers to the requests that were sent while a second backfill ran."""
    backfill_id = begin_backfill(lab)
    runs = {niche_of(run): run["status"] for run in runs_of_backfill(lab, backfill_id)["runs"]}
    begun = next(niche for niche in DEFAULT_NAMES if runs[niche] == "STARTED")
    niches = [begun, next(niche for niche in reversed(DEFAULT_NAMES) if runs[niche] == "QUEUED")]
    started = post(lab, "/internal/refresh-library", {"niches": niches})
    done = curl(lab, "curl -X POST 'http://localhost:8000/internal/refresh-library?wait=true'")
    ended = end_of_backfill(lab, backfill_id)
    served_then = {niche: served(lab, niche) for niche in DEFAULT_NAMES}
    return OverHttp(niches, started, done, served_then, {run["runId"] for run in ended["runs"]})


def served(lab: RunningLab, niche: str = NICHE) -> Release:
    release = ReleaseStore(lab.data_dir / "releases").serving.current(INDEX, niche)
    assert release is not None
    return release


def test_the_scheduler_of_the_health_check_is_the_one_of_dagster(lab: RunningLab, refreshed: dict[str, Any]) -> None:
    deadline = time.monotonic() + 60
    while True:
        status, health = curl(lab, "curl http://localhost:8000/health")
        scheduler = health["scheduler"]
        # The fixture `schedules` has turned off every schedule. The service reads the state of the schedules from
        # Dagster only every 15 seconds. The test therefore repeats its request until the service reports the new state.
        if scheduler["state"] == "stopped" or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert (status, scheduler["state"]) == (200, "stopped"), scheduler
    assert scheduler["reason"] == "every schedule is turned off in Dagster"
    by_name = {schedule["name"]: schedule for schedule in scheduler["schedules"]}
    daily = by_name["daily_refresh"]
    assert (daily["job"], daily["cron"], daily["timezone"]) == ("refresh_library", "0 3 * * *", "Australia/Hobart")


def test_a_refresh_of_every_niche_answers_run_ids_and_then_results(lab: RunningLab, over_http: OverHttp) -> None:
    status, started = over_http.started
    assert (status, started["status"]) == (202, "started")
    assert [run["niche"] for run in started["runs"]] == over_http.niches
    run_ids = {run["run_id"] for run in started["runs"]}
    assert started["index_results"] == dict.fromkeys(over_http.niches)
    assert {run["url"] for run in started["runs"]} == {f"{lab.up.url('dagster')}/runs/{id_}" for id_ in run_ids}
    status, done = over_http.done
    assert (status, done["status"]) == (200, "ok"), done
    assert done["message"] == "Reference library and FAISS indices refreshed successfully (7/7 indices)"
    assert done["index_results"] == dict.fromkeys(DEFAULT_NAMES, True)
    assert {run["state"] for run in done["runs"]} == {"success"}
    # The request reused the run of the second niche, because this run still waited in the queue. The run of the first
    # niche had already begun, so the request started a new run of this niche.
    assert [run["run_id"] in over_http.of_backfill for run in started["runs"]] == [False, True]
    assert [run["reused"] for run in started["runs"]] == [False, True]
    reused = {run["run_id"] for run in done["runs"] if run["reused"]}
    assert run_ids <= reused <= run_ids | over_http.of_backfill
    for niche, stats in done["library_stats"].items():
        release = over_http.served[niche]
        assert (stats["release"], stats["num_vectors"]) == (release.release_id, release.info["count"])
        assert stats["videos_seen"] > 0
        assert stats["images_encoded"] is not None
    assert {"status", "message", "library_stats", "index_results", "timestamp"} <= set(done)
    first = done["runs"][0]
    status, run = curl(lab, f"curl http://localhost:8000/internal/runs/{first['run_id']}")
    assert (status, run["job"], run["niche"], run["state"]) == (200, "refresh_library", first["niche"], "success")
    assert run["library_stats"] == done["library_stats"][first["niche"]]
    assert curl(lab, f"curl http://localhost:8000/internal/runs/{'0' * 8}-0000-4000-8000-{'0' * 12}")[0] == 404


def test_a_rebuild_answers_with_the_result_of_each_niche(lab: RunningLab, refreshed: dict[str, Any]) -> None:
    status, done = post(lab, "/internal/rebuild-indices", {"niches": [NICHE, "tech"]}, wait="true")
    assert (status, done["status"]) == (200, "ok"), done
    assert done["message"] == "FAISS indices rebuilt successfully (2/2 niches)"
    assert done["results"] == {NICHE: True, "tech": True}


def test_a_detached_rebuild_names_its_runs_and_the_options_without_effect(
    lab: RunningLab, refreshed: dict[str, Any]
) -> None:
    line = (
        "curl -X POST http://localhost:8000/admin/faiss/rebuild -H 'Content-Type: application/json' "
        """-d '{"dim": 384, "factory": "IDMap,IVF100,Flat", "niches": ["news"]}'"""
    )
    status, started = curl(lab, line)
    assert (status, started["status"]) == (202, "started")
    assert any(note.startswith("dim has no effect") for note in started["notes"])
    lab.wait_for_runs([run["run_id"] for run in started["runs"]], 300)


def test_a_factory_of_one_rebuild_is_served(lab: RunningLab, refreshed: dict[str, Any]) -> None:
    status, done = post(lab, "/admin/faiss/rebuild", {"factory": "IVF2,Flat", "niches": [NICHE]}, wait="true")
    assert (status, done["results"]) == (200, {NICHE: True}), done
    assert served(lab).info["faiss"] == "IVF2,Flat"
    status, stats = curl(lab, "curl http://localhost:8000/internal/index-stats")
    assert (status, stats["index_info"][NICHE]["kind"]) == (200, "IVF2,Flat")


def test_a_failed_run_gives_its_reason_and_does_not_stop_the_others(lab: RunningLab, refreshed: dict[str, Any]) -> None:
    status, done = post(lab, "/internal/rebuild-indices", {"factory": "Nonsense", "niches": [NICHE]}, wait="true")
    assert (status, done["status"], done["results"]) == (200, "failed", {NICHE: False})
    [run] = done["runs"]
    assert run["state"] == "failure"
    assert "FAISS knows no index 'Nonsense'" in run["reason"]


def test_a_full_embedding_encodes_indexes_and_serves(lab: RunningLab, refreshed: dict[str, Any]) -> None:
    status, done = post(lab, "/admin/embed/full", {"niches": [NICHE]}, wait="true")
    assert (status, done["results"]) == (200, {NICHE: True}), done
    assert served(lab).info["faiss"] == "Flat"


def test_a_video_is_taken_out_and_put_in_again_and_the_service_follows(
    lab: RunningLab, refreshed: dict[str, Any]
) -> None:
    video = NicheIndex.load(served(lab)).items[0].video_id
    status, out = post(lab, "/internal/delete-item", {"id": video}, timeout_s=300)
    assert (status, out["outcome"], out["taken_out"], out["niche"]) == (200, "changed", [video], NICHE), out
    assert video not in NicheIndex.load(served(lab))
    assert out["release"] == served(lab).release_id
    status, back = post(lab, "/admin/embed/item", {"id": video}, timeout_s=300)
    assert (status, back["outcome"], back["put_in"]) == (200, "changed", [video]), back
    assert video in NicheIndex.load(served(lab))
    status, stats = curl(lab, "curl http://localhost:8000/internal/index-stats")
    assert stats["index_info"][NICHE]["release"] == served(lab).release_id == back["release"]


def test_an_unknown_item_is_skipped_with_its_reason(lab: RunningLab, refreshed: dict[str, Any]) -> None:
    line = (
        "curl -X POST http://localhost:8000/admin/embed/item -H 'Content-Type: application/json' "
        """-d '{"id": 550, "media_type": "movie"}'"""
    )
    status, answer = curl(lab, line)
    assert (status, answer["outcome"]) == (200, "unchanged")
    run = curl(lab, f"curl http://localhost:8000/internal/runs/{answer['runs'][0]['run_id']}")[1]
    assert run["changed_items"]["skipped"] == answer["skipped"]
    assert answer["skipped"]["550"].startswith("the lab does not know it")
    assert answer["notes"] == ["media_type has no effect: the lab holds only videos"]


def test_the_status_and_the_cache_of_the_index(lab: RunningLab, over_http: OverHttp) -> None:
    curl(lab, "curl http://localhost:8000/health")
    status, before = curl(lab, "curl -sS http://localhost:8000/admin/faiss/status")
    assert (status, before["present"]) == (200, True)
    assert {"model", "dims", "num_vectors", "timestamp"} == set(before["sidecar_meta"])
    assert before["sidecar_meta"]["num_vectors"] == sum(served(lab, niche).info["count"] for niche in DEFAULT_NAMES)
    status, cleared = curl(lab, "curl -X POST http://localhost:8000/admin/faiss/clear-cache")
    assert (status, cleared["cache_stats"]["cached_niches"]) == (200, 0)
