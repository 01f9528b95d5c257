"""Test the metrics of the pipelines.

Also test that the alert rules and the dashboard use only metrics that a running service has.
"""

import json
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from thumblab_core.monitoring.watch_state import CheckState, Delivery, Message, Quota, changing_state

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
RULES, DASHBOARD = DEPLOY / "prometheus" / "rules.yml", DEPLOY / "grafana" / "thumbnail-lab.json"
LOOKED_AGAIN_S = 0.6
"""After this number of seconds, the service has read a changed `niches.json` again."""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def samples(text: str) -> dict[str, dict[str, float]]:
    """Return a dictionary for each metric. It maps the labels of a sample, such as `index/tech`, to its value."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})["/".join(sample.labels.values())] = sample.value
    return found


def test_rules_and_dashboard_use_only_metrics_that_a_running_service_has(service, draw):
    service.score(draw(4711))
    before = samples(httpx.get(f"{service.url}/metrics", trust_env=False).text)
    # Dagster has never run, so there are no values for its metrics.
    assert "thumblab_watch_timestamp_seconds" not in before
    check = CheckState(asset="a", check="c", niche="tech", level="warning", at=NOW, explanation="e")
    with changing_state(service.app.state.settings.data_dir) as state:
        state.checked_at, state.refreshed = NOW, {"tech": NOW}
        state.totals, state.going_on = {"refresh_library/failure": 3}, {"queued": 2}
        state.checks, state.quota = {'["a", "c", "tech"]': check}, {"units": Quota(limit=10, left=4)}
        waiting = Delivery(channel="mail", message=Message(title="t"), made_at=NOW, next_at=NOW)
        state.deliveries, state.database_bytes = [waiting], 5
    after = samples(httpx.get(f"{service.url}/metrics", trust_env=False).text)
    assert after["thumblab_refresh_success_timestamp_seconds"] == {"tech": NOW.timestamp()}
    assert after["thumblab_runs_ended_total"] == {"refresh_library/failure": 3}
    assert after["thumblab_check_level"] == {"a/c/tech": 1}
    assert after["thumblab_quota_left"] == {"units": 4}
    assert after["thumblab_alert_messages_waiting"] == {"mail": 1}
    assert set(after["thumblab_disk_free_bytes"]) == {"data", "releases"}
    assert "model/all" in after["thumblab_release_made_timestamp_seconds"]
    used = set(re.findall(r"\bthumblab_\w+", " ".join([RULES.read_text(), *queries()])))
    assert len(used) > 15
    assert used - set(after) == set()


def test_no_metric_has_a_label_that_prometheus_sets_itself(service, draw):
    service.score(draw(4711))
    with changing_state(service.app.state.settings.data_dir) as state:
        state.checked_at, state.totals = NOW, {"refresh_library/failure": 3}
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    labels = {name for family in text_string_to_metric_families(text) for one in family.samples for name in one.labels}
    assert "dagster_job" in labels
    assert labels & {"job", "instance"} == set()


def test_the_index_of_a_retired_niche_has_no_age(new_lab, run):
    made = new_lab()
    made.promote(made.model())
    for niche in ("tech", "news"):
        made.promote(made.index(niche))
    with run(made.settings) as service:

        def aged() -> set[str]:
            answer = httpx.get(f"{service.url}/metrics", trust_env=False)
            return set(samples(answer.text)["thumblab_release_made_timestamp_seconds"])

        assert aged() == {"index/news", "index/tech", "model/all"}
        (made.settings.data_dir / "niches.json").write_text('{"niches": ["tech"]}')
        time.sleep(LOOKED_AGAIN_S)
        assert aged() == {"index/tech", "model/all"}
        (made.settings.data_dir / "niches.json").write_text('{"niches": ["tech", "news"]')
        time.sleep(LOOKED_AGAIN_S)
        assert aged() == {"index/tech", "model/all"}, "a damaged file must not bring back the niches of a new lab"


def test_the_dashboard_has_panels_with_queries_that_do_not_overlap():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert all(target["expr"] for panel in panels for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
def test_promtool_accepts_the_rules_and_every_query_and_the_rules_fire(tmp_path):
    every_query = tmp_path / "queries.yml"
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    every_query.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    fires = tmp_path / "fires.yml"
    told = Path(__file__).with_name("rules_fire.yml").read_text()
    fires.write_text(told.replace("RULES", str(RULES)))
    config = str(RULES.with_name("prometheus.yml"))
    commands = (
        ["check", "rules", str(RULES), str(every_query)],
        ["check", "config", config],
        ["test", "rules", str(fires)],
    )
    for command in commands:
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    told_of = set(re.findall(r"alertname: (\w+)", told))
    assert told_of == set(re.findall(r"- alert: (\w+)", RULES.read_text()))
