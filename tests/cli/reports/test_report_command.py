"""Test the command `thumblab report niche`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from thumblab_cli.main import cli
from thumblab_core.niche_report.niche_figures import NicheReport
from thumblab_core.niche_report.store import read_report
from thumblab_pipelines.lab import Lab


@pytest.fixture
def run(open_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A function that runs `thumblab report` in an empty lab."""
    lab = open_lab()
    monkeypatch.setattr(Lab, "existing", lambda chosen=None: lab)

    def report(*arguments: Any) -> Result:
        return CliRunner().invoke(cli, ["report", "niche", *map(str, arguments)])

    report.lab = lab  # type: ignore[attr-defined]
    return report


def test_an_empty_niche_is_reported_without_figures(run: Callable[..., Result]) -> None:
    told = run("tech")
    assert told.exit_code == 0
    assert "The niche has no videos that can be compared." in told.stdout
    assert "It does not show that one thing causes the other" in told.stdout


def test_json_is_the_report_and_the_page_is_written_beside_it(run: Callable[..., Result], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    told = run("tech", "--json", "--html", page)
    report = NicheReport.model_validate(json.loads(told.stdout))
    assert report.niche == "tech"
    assert report.too_few == "The niche has no videos that can be compared"
    assert page.read_text().startswith("<!doctype html>")
    assert f"The report is in {page}" in told.stderr
    with run.lab.engine.connect() as connection:  # type: ignore[attr-defined]
        assert read_report(connection, "tech") is None


def test_an_unknown_niche_and_a_page_that_cannot_be_written_are_errors(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    assert run("cars").exit_code == 2
    told = run("tech", "--html", tmp_path / "no" / "report.html")
    assert told.exit_code == 1
    assert "Traceback" not in told.output
