"""Test the Dagster runs that three requests start: find faces, group faces, and train the matching head.

The Dagster of these tests is a fake.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from planted_people import RUN_ID, FakeDagster, fake_dagster

from thumblab_core.niches import DEFAULT_NAMES
from thumblab_pipelines.progress import in_words

PATHS = ["/cluster/dual", "/train", "/detect"]


@pytest.fixture(scope="module")
def running(
    lab_at: Any, run: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FakeDagster, httpx.Client]]:
    """A fake Dagster, and a client of a service whose lab looks for people in its own channels."""
    with fake_dagster() as fake:
        lab = lab_at(tmp_path_factory.mktemp("runs"), dagster_url=fake.url, people="own")
        with run(lab.settings, wait=False) as service:
            yield fake, service.client


@pytest.fixture
def dagster(running: tuple[FakeDagster, httpx.Client]) -> FakeDagster:
    """A fake Dagster that has not started a run yet. Each run that it starts succeeds and reports nothing."""
    fake = running[0]
    fake.status, fake.job, fake.materialized, fake.launched, fake.log = "SUCCESS", "a_job", {}, [], []
    return fake


@pytest.fixture
def post(running: tuple[FakeDagster, httpx.Client]) -> Callable[..., httpx.Response]:
    """Return a function that sends a request to the service."""
    return lambda path, body=None, query="": running[1].post(
        f"/api/v1/faces{path}{query}", **({} if body is None else {"json": body})
    )


def sent(dagster: FakeDagster) -> list[tuple[str, Any]]:
    return [(run["selector"]["jobName"], run["runConfigData"]) for run in dagster.launched]


def test_grouping_sends_only_the_given_options(post: Callable[..., Any], dagster: FakeDagster) -> None:
    given = {"person_threshold": 0.7, "unknown_method": "hdbscan", "min_cluster_size": 3, "max_faces": None}
    reply = post("/cluster/dual", given | {"queue": True})
    assert reply.status_code == 202, reply.text
    answer = reply.json()
    assert (answer["status"], answer["run_id"], answer["result"]) == ("started", RUN_ID, None)
    assert post("/cluster/dual").status_code == 202
    assert post("/cluster/dual", {"max_faces": 500.0}).status_code == 202
    config = {"person_threshold": 0.7, "unknown_method": "hdbscan", "min_cluster_size": 3}
    assert sent(dagster) == [
        ("group_people", {"ops": {"face_clusters": {"config": config}}}),
        ("group_people", {}),
        ("group_people", {"ops": {"face_clusters": {"config": {"max_faces": 500}}}}),
    ]


@pytest.mark.parametrize(("body", "query"), [({"queue": False}, ""), (None, "?wait=true")])
def test_without_a_queue_the_answer_has_the_result(
    post: Callable[..., Any], dagster: FakeDagster, body: Any, query: str
) -> None:
    figures: dict[str, int | str] = {
        "faces": 240,
        "people": 6,
        "unknown_clusters": 6,
        "in_people": 118,
        "in_unknown": 119,
        "in_none": 3,
    }
    dagster.materialized = {"face_clusters": figures | {"dagster/row_count": 12, "moved": 5}, "people": {}}
    reply = post("/cluster/dual", body, query)
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert (answer["status"], answer["run_id"]) == ("ok", RUN_ID)
    assert answer["message"] == "Faces grouped successfully (1/1 runs)"
    assert answer["result"] == answer["result"] | figures | {"moved": 5, "dropped": None}


def test_a_run_that_has_not_ended_in_time_is_named(post: Callable[..., Any], dagster: FakeDagster) -> None:
    dagster.status = "STARTED"
    reply = post("/cluster/dual", {"queue": False}, "?timeout_s=0.2")
    assert reply.status_code == 202
    assert (reply.json()["status"], reply.json()["run_id"], reply.json()["result"]) == ("running", RUN_ID, None)


def test_a_failed_run_has_no_result(post: Callable[..., Any], dagster: FakeDagster) -> None:
    dagster.status = "FAILURE"
    dagster.materialized = {"face_clusters": {"faces": 3}}
    answer = post("/train", {"queue": False}).json()
    assert (answer["status"], answer["result"], answer["grouped"]) == ("failed", None, None)


def test_training_sends_its_settings_and_reports_its_result(post: Callable[..., Any], dagster: FakeDagster) -> None:
    dagster.materialized = {
        "matching_head": {"dagster/row_count": 120, "people": 6, "epochs": 20, "release": "r1", "reason": "better"},
        "face_clusters": {"faces": 240},
    }
    reply = post("/train", {"epochs": 20, "margin": 0.2, "min_faces": 10, "queue": False})
    assert reply.status_code == 200, reply.text
    config = {"epochs": 20, "margin": 0.2, "min_faces": 10}
    assert sent(dagster) == [("train_people", {"ops": {"matching_head": {"config": config}}})]
    result = {"people": 6, "faces": 120, "epochs": 20, "release": "r1", "reason": "better"}
    assert reply.json()["result"] == result
    assert reply.json()["grouped"]["faces"] == 240


def test_detection_starts_a_run_for_the_niche_or_for_each(post: Callable[..., Any], dagster: FakeDagster) -> None:
    dagster.materialized = {"faces": {"dagster/row_count": 9, "searched": 7, "new_faces": 4}}
    reply = post("/detect", {"niche": "tech", "queue": False})
    assert reply.status_code == 200, reply.text
    found = reply.json()["results"]["tech"]
    assert found == {"searched": 7, "new_faces": 4, "without_vector": None, "unreadable": None}
    assert post("/detect", {"niche": None}).status_code == 202
    tags = [{tag["key"]: tag["value"] for tag in run["executionMetadata"]["tags"]} for run in dagster.launched]
    assert [tag["dagster/partition"] for tag in tags] == ["tech", *DEFAULT_NAMES]
    assert {run["selector"]["jobName"] for run in dagster.launched} == {"find_faces"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/cluster/dual", {"person_threshold": 0}),
        ("/cluster/dual", {"person_threshold": 1.1}),
        ("/cluster/dual", {"person_threshold": "0.7"}),
        ("/cluster/dual", {"unknown_method": "kmeans"}),
        ("/cluster/dual", {"min_cluster_size": 1}),
        ("/cluster/dual", {"max_faces": 0}),
        ("/cluster/dual", {"queue": "no"}),
        ("/train", {"epochs": 0}),
        ("/train", {"margin": 0}),
        ("/train", {"min_faces": 2.5}),
        ("/detect", {"niche": "cooking with gas"}),
        ("/detect", {"niches": ["tech"]}),
    ],
)
def test_a_bad_body_starts_nothing(
    post: Callable[..., Any], dagster: FakeDagster, path: str, body: dict[str, Any]
) -> None:
    reply = post(path, body)
    assert reply.status_code == 422, reply.text
    assert next(iter(body)) in reply.json()["detail"]
    assert dagster.launched == []


def test_people_off_computes_nothing_and_the_answer_names_the_setting(
    new_lab: Any, run: Any, dagster: FakeDagster
) -> None:
    with run(new_lab(dagster_url=dagster.url).settings, wait=False) as service:
        for path in PATHS:
            reply = service.client.post(f"/api/v1/faces{path}", json={"queue": False})
            assert reply.status_code == 409, reply.text
            assert reply.json()["type"] == "urn:thumblab:people-off"
            assert "set THUMBLAB_PEOPLE=own" in reply.json()["detail"]
    assert dagster.launched == []


def test_without_dagster_or_a_database_the_answer_says_what_is_missing(new_lab: Any, run: Any) -> None:
    with run(new_lab(people="own").settings, wait=False) as service:
        for path in PATHS:
            reply = service.client.post(f"/api/v1/faces{path}")
            assert (reply.status_code, reply.json()["type"]) == (503, "urn:thumblab:no-dagster")
        for path in ("/clusters", "/stats"):
            reply = service.client.get(f"/api/v1/faces{path}")
            assert (reply.status_code, reply.json()["type"]) == (503, "urn:thumblab:no-database")
            assert reply.json()["detail"].startswith("people are in the lab's database, and the database does not run")
            assert int(reply.headers["retry-after"]) >= 5


def test_the_state_of_a_run_has_the_figures_of_its_steps_about_people(
    running: tuple[FakeDagster, httpx.Client], dagster: FakeDagster
) -> None:
    dagster.job = "train_people"
    dagster.materialized = {
        "matching_head": {"dagster/row_count": 60, "people": 6, "epochs": 3, "reason": "it is better"},
        "face_clusters": {"faces": 240, "people": 6, "unknown_clusters": 6, "moved": 2},
    }
    state = running[1].get(f"/internal/runs/{RUN_ID}").json()
    assert state["library_stats"] is None
    assert state["people"]["detected"] is None
    assert (state["people"]["trained"]["faces"], state["people"]["trained"]["people"]) == (60, 6)
    assert (state["people"]["grouped"]["faces"], state["people"]["grouped"]["unknown_clusters"]) == (240, 6)
    dagster.job, dagster.materialized = "find_faces", {"faces": {"searched": 7, "new_faces": 9}}
    state = running[1].get(f"/internal/runs/{RUN_ID}").json()
    assert state["people"]["detected"]["searched"] == 7
    assert (state["people"]["trained"], state["people"]["grouped"]) == (None, None)
    dagster.job, dagster.materialized = "refresh_library", {"served_index": {"dagster/row_count": 5}}
    state = running[1].get(f"/internal/runs/{RUN_ID}").json()
    assert state["people"] is None
    assert state["library_stats"]["num_vectors"] == 5


def test_the_state_of_a_running_grouping_says_how_far_it_is(
    running: tuple[FakeDagster, httpx.Client], dagster: FakeDagster
) -> None:
    def progress() -> Any:
        return running[1].get(f"/internal/runs/{RUN_ID}").json()["progress"]

    dagster.job, dagster.status = "group_people", "STARTED"
    assert progress() is None
    dagster.log = ["Loaded 3 of 4: all", in_words("comparing faces", 8_192, 100_000)]
    assert progress() == {"what": "comparing faces", "done": 8_192, "total": 100_000}
    dagster.log += [in_words("improving clusters", 1, 4), "a line about something else"]
    assert progress() == {"what": "improving clusters", "done": 1, "total": 4}
    dagster.status = "SUCCESS"
    assert progress() is None
