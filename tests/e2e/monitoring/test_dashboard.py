"""Test that a real Prometheus answers every query of the Grafana dashboard with the metrics of a running lab."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_server import DEPLOY, PROGRAM, Prometheus, prometheus
from real_processes import RunningLab, wait_until

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(PROGRAM is None, reason="there is no Prometheus"),
]

PANELS: list[dict[str, Any]] = json.loads((DEPLOY / "grafana" / "thumbnail-lab.json").read_text())["panels"]

MAY_BE_EMPTY = {"Checks that warn (1) or fail (2)", "Ended runs per hour"}
"""The panels that draw nothing in a healthy lab in which no run ends."""


@pytest.fixture
def scraper(lab: RunningLab, trained: str, drawn: Callable[..., bytes], tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that has read the metrics of a refreshed and trained lab, while the lab answered requests."""
    with prometheus(tmp_path / "prometheus", lab.up.url("scoring")) as running:

        def answers() -> bool:
            assert lab.score("tech", {"a": drawn(1), "b": drawn(2)}).status_code == 200
            return bool(
                running.ask("query", query='rate(thumblab_request_seconds_count{route="/v1/score"}[5m]) > 0')["result"]
            )

        wait_until(answers, 60, "Prometheus has seen the number of requests grow", 1)
        yield running


def test_every_panel_draws_series_that_its_legend_tells_apart(scraper: Prometheus) -> None:
    wrong = []
    for panel in PANELS:
        names = []
        for target in panel["targets"]:
            legend = target["legendFormat"]
            for labels in scraper.series(target["expr"]):
                missing = set(re.findall(r"{{(\w+)}}", legend)) - set(labels)
                if missing:
                    wrong.append(f"{panel['title']}: no label {missing} in {labels}")
                names.append(re.sub(r"{{(\w+)}}", lambda found, of=labels: of.get(found[1], ""), legend))
        if not names and panel["title"] not in MAY_BE_EMPTY:
            wrong.append(f"{panel['title']}: no data")
        if len(set(names)) < len(names):
            wrong.append(f"{panel['title']}: the legend has a name twice: {sorted(names)}")
    assert wrong == []


def test_in_a_healthy_lab_prometheus_evaluates_every_rule_and_no_alert_fires(scraper: Prometheus) -> None:
    (group,) = scraper.ask("rules")["groups"]
    wait_until(
        lambda: {rule["health"] for rule in scraper.ask("rules")["groups"][0]["rules"]} == {"ok"},
        30,
        "every rule was evaluated",
    )
    assert len(group["rules"]) > 10
    assert scraper.firing() == set()
