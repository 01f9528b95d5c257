"""Test `GET /v1/lab` over HTTP. The answer has the libraries and the model of the lab, and their age."""

from datetime import UTC, datetime

import httpx
from test_http import problem

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.running import Running, announced


def test_the_state_of_the_lab_needs_the_key(service):
    assert problem(httpx.get(f"{service.url}/v1/lab", trust_env=False), 401)


def test_the_state_has_the_size_and_the_age_of_each_library_and_the_skill_of_the_model(service, lab):
    answer = service.client.get("/v1/lab").json()
    assert list(answer["libraries"]) == list(DEFAULT_NAMES)
    tech, news = answer["libraries"]["tech"], answer["libraries"]["news"]
    assert (tech["videos"], tech["changed"], tech["held"], tech["reason"]) == (30, 0, None, None)
    # The drawn video number n has n / 10 times the usual views. A winner has at least twice the usual views, so the
    # videos 20 to 29 are winners.
    assert tech["winners"] == 10
    assert datetime.fromisoformat(tech["made_at"]) <= datetime.now(UTC)
    assert (news["release"], news["videos"], news["winners"]) == (None, None, None)
    assert "no index of news" in news["reason"]
    model = answer["model"]
    assert model["release"] == service.health()["model"]["release"]
    assert model["made_at"] is not None
    skills = {(skill["question"], skill["measured_on"]): skill["auc"] for skill in model["skills"]}
    assert skills == {(q, s): 0.7 for q in ("one_title", "package") for s in ("future", "new_channels", "adapted")}
    assert answer["links"] == {"dagster": None, "mlflow": None}


def test_health_and_state_name_a_held_index_with_the_day_of_its_rollback(new_lab, run):
    lab = new_lab()
    lab.promote(tech := lab.index("tech"))
    with run(lab.settings, wait=False) as service:
        indices = service.health()["indices"]
        assert (indices["tech"]["held"], indices["news"]["held"]) == (None, None)
        lab.store.serving.hold(tech, "rolled back from a to b")
        held = service.health()["indices"]["tech"]["held"]
        assert held.startswith("rolled back from a to b, since 20")
        assert service.client.get("/v1/lab").json()["libraries"]["tech"]["held"] == held


def test_the_links_lead_to_the_addresses_for_a_browser_where_the_settings_name_them(new_lab, run):
    inside = {"dagster_url": "http://dagster:3000", "mlflow_tracking_uri": "http://mlflow:5000"}
    for_browsers = {
        "alert_dagster_url": "https://reader:secret@lab.example.com/",
        "mlflow_page_url": "http://127.0.0.1:5050",
    }
    with run(new_lab(**inside, **for_browsers).settings, wait=False) as service:
        links = service.client.get("/v1/lab").json()["links"]
    assert links == {"dagster": "https://lab.example.com", "mlflow": "http://127.0.0.1:5050"}


def test_the_links_are_those_of_the_running_lab_without_passwords_and_only_for_operators(new_lab, run):
    lab = new_lab(mlflow_tracking_uri="http://reader:secret-of-mlflow@127.0.0.1:5001")
    scorer = NamedKeys(lab.settings).add("scorer", ["score"])
    running = Running("http://127.0.0.1:3999", "http://127.0.0.1:5999", "http://127.0.0.1:8999")
    with run(lab.settings, wait=False) as service, announced(lab.settings.data_dir, running):
        answer = service.client.get("/v1/lab").json()
        assert answer["links"] == {"dagster": "http://127.0.0.1:3999", "mlflow": "http://127.0.0.1:5001"}
        assert answer["model"] == {
            "release": None,
            "made_at": None,
            "videos": None,
            "channels_adapted": None,
            "skills": [],
            "reason": answer["model"]["reason"],
        }
        assert answer["model"]["reason"]
        reply = httpx.get(f"{service.url}/v1/lab", headers={"X-API-Key": scorer}, trust_env=False)
        assert reply.json()["links"] == {"dagster": None, "mlflow": None}
