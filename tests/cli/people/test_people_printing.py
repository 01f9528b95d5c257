"""Test what the commands `thumblab people` print. The tests need neither the networks for faces nor a database."""

import io
from typing import Any

import pytest
from rich.console import Console

from thumblab_cli.commands import up
from thumblab_cli.printing.people import print_steps
from thumblab_core.errors import LabError
from thumblab_core.running import Running
from thumblab_core.settings import Settings
from thumblab_pipelines.models.tracking import Tracker

FIGURES = (
    "pictures",
    "pictures_with_faces",
    "faces",
    "faces_in_people",
    "people",
    "faces_in_unknown_clusters",
    "unknown_clusters",
    "faces_in_none",
    "forgotten",
)


def printed(results: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=300)
    print_steps(console, results)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("impurity", "words"),
    [
        (0.0, "no cluster mixes two people"),
        (0.25, "in the most mixed cluster, 25 % of the faces show other people"),
        (0.001, "in the most mixed cluster, less than 1 % of the faces show other people"),
    ],
)
def test_how_mixed_the_clusters_are_is_said_in_words(impurity: float, words: str) -> None:
    agreement = {"f": 1.0, "precision": 1.0, "recall": 1.0, "impurity": impurity}
    stats = dict.fromkeys(FIGURES, 1) | {"shares": [], "channels": [], "folders": agreement}
    assert words in printed({"stats": stats})


def test_the_reason_for_a_head_that_is_not_served_is_a_sentence() -> None:
    head = {"release": "r1", "faces": 60, "people": 6, "served": False, "reason": "verification gets worse"}
    assert "It is not served. Verification gets worse.\n" in printed({"train": head})


@pytest.mark.parametrize(("mode", "links"), [("off", 0), ("own", 1), ("all", 1)])
def test_up_prints_the_link_to_the_people_only_while_people_are_on(
    mode: str, links: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(url: str) -> Tracker:
        raise LabError(f"MLflow at {url} does not answer")

    monkeypatch.setattr(Tracker, "connect", unreachable)
    chosen = Settings(data_dir=tmp_path, people=mode)
    console = Console(file=io.StringIO(), width=300)
    up._print_addresses(console, Running("http://d", "http://m", "http://127.0.0.1:8000"), chosen)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("http://127.0.0.1:8000/people#key=") == links
    assert text.count("http://127.0.0.1:8000/#key=") == 1
    assert text.count("http://127.0.0.1:8000/library#key=") == 1
