"""Test a niche that a person adds to a running lab. Without a restart of the lab, the videos of this niche are
collected, its index is served, and pictures are scored in it.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from real_processes import REPOSITORY, RunningLab, new_folder, running, thumblab, wait_until

from thumblab_core.niches import DEFAULT_NAMES

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1_500)]

# These words occur in the titles of the demo's niche `tech`. This lab does not collect `tech`, so the searches of the
# new niche find the videos of `tech`.
SEARCHES = ["upgrades", "mistakes", "settings", "tools", "features", "tricks", "reviewing", "testing", "building"]
OTHERS = [niche for niche in DEFAULT_NAMES if niche != "tech"]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with new_folder() as folder, running(folder, "--demo") as up:
        yield RunningLab(up, folder / "demo")


def niche(lab: RunningLab, *words: str) -> Any:
    """Run `thumblab niche` on the running demo, and return its JSON."""
    done = thumblab(lab.data_dir.parent, "niche", *words, "--demo", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def partitions(lab: RunningLab) -> set[str]:
    """Return the partitions of the asset `raw_videos` that Dagster's page shows."""
    query = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
        ... on AssetNode { partitionKeys } } }"""
    return set(lab.graphql(query, key={"path": ["raw_videos"]})["assetNodeOrError"]["partitionKeys"])


def service(lab: RunningLab, method: str, path: str, **more: Any) -> httpx.Response:
    url = f"{lab.up.url('scoring')}{path}"
    return httpx.request(method, url, headers={"X-API-Key": lab.key}, timeout=900, trust_env=False, **more)


def test_a_niche_is_added_to_a_running_lab_scored_and_retired_without_a_restart(
    lab: RunningLab, drawn: Callable[..., bytes]
) -> None:
    assert partitions(lab) == set(DEFAULT_NAMES)
    options = [word for text in SEARCHES for word in ("--search", text)]
    assert niche(lab, "add", "cooking", *options, "--category", "28", "--region", "AU", "--yes")["videos"] == 0
    assert partitions(lab) == {*DEFAULT_NAMES, "cooking"}
    done = service(
        lab, "POST", "/internal/refresh-library?wait=true&timeout_s=900", json={"niches": ["cooking", *OTHERS]}
    ).json()
    assert done["status"] == "ok", done
    collected = done["library_stats"]["cooking"]
    assert collected["num_vectors"] > 5, collected
    _train(lab)
    pictures = {"a": drawn(1), "b": drawn(2)}
    wait_until(lambda: lab.score("cooking", pictures).status_code == 200, 60, "the new niche is scored")
    answer = lab.score("cooking", pictures).json()
    assert answer["niche"] == "cooking"
    assert answer["releases"]["index"] == collected["release"]
    assert niche(lab, "show", "cooking")["videos"] >= collected["num_vectors"]
    assert niche(lab, "retire", "cooking", "--yes")["retired"]
    assert partitions(lab) == set(DEFAULT_NAMES)
    wait_until(lambda: lab.score("cooking", pictures).status_code == 422, 10, "the retired niche is refused")
    refused = lab.score("cooking", pictures).json()["detail"]
    assert refused == f"category: send one of {', '.join(map(repr, DEFAULT_NAMES[:-1]))} or 'news'"
    assert "cooking" not in service(lab, "GET", "/v1/lab").json()["libraries"]


def _train(lab: RunningLab) -> None:
    launched = lab.graphql(
        """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
        params={"selector": {**REPOSITORY, "jobName": "train_ranker"}, "runConfigData": {}, "mode": "default"},
    )["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    lab.wait_for_runs([launched["run"]["runId"]], 400)
