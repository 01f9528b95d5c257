"""Test which AUC in a model's evaluation counts as the skill of the model. The scoring service shows this skill in its
answers.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from thumblab_core.errors import LabError
from thumblab_core.ranking.skill import (
    EXPERIMENT,
    FILE,
    ONE_TITLE,
    ONE_VIDEO,
    PACKAGE,
    read_package_skills,
    read_skills,
)


def row(question: str | None, slice_: str, value: float | None, **changes: Any) -> dict[str, Any]:
    asked = {} if question is None else {"question": question}
    fields = {"split": "future", "slice": slice_, "scorer": "model", "metric": "auc", "low": 0.4, "high": 0.8}
    return {**fields, "value": value, "pairs": 90, "channels": 3, **asked, **changes}


def skills(folder: Path, *rows: dict[str, Any]) -> dict[str, tuple[str, float]]:
    (folder / FILE).write_text(json.dumps(rows))
    return {split: (skill.question, skill.auc) for split, skill in read_skills(folder).items()}


def test_the_skill_is_that_of_pictures_under_one_title(tmp_path: Path) -> None:
    rows = [row(ONE_TITLE, "residual", 0.57), row(PACKAGE, "all", 0.62), row(ONE_TITLE, "swap", 0.7)]
    assert skills(tmp_path, *rows) == {"future": (ONE_TITLE, 0.57)}
    assert skills(tmp_path, *reversed(rows)) == {"future": (ONE_TITLE, 0.57)}


def test_a_release_of_an_older_version_has_the_skill_of_packages(tmp_path: Path) -> None:
    assert skills(tmp_path, row(None, "all", 0.62), row(None, "2x", 0.7)) == {"future": (PACKAGE, 0.62)}


def test_packages_have_their_own_skill_and_no_skill_if_it_was_not_measured(tmp_path: Path) -> None:
    rows = [row(ONE_TITLE, "residual", 0.57), row(PACKAGE, "all", 0.62), row(PACKAGE, "2x", 0.7)]
    rows.append(row(ONE_TITLE, "residual", 0.55, split="adapted"))
    (tmp_path / FILE).write_text(json.dumps(rows))
    assert {split: (skill.question, skill.auc) for split, skill in read_package_skills(tmp_path).items()} == {
        "future": (PACKAGE, 0.62)
    }
    (tmp_path / FILE).unlink()
    assert read_package_skills(tmp_path) == {}


def test_a_question_without_a_figure_is_not_replaced_by_another_one(tmp_path: Path) -> None:
    rows = [row(ONE_TITLE, "residual", None), row(PACKAGE, "all", 0.62)]
    rows.append(row(ONE_TITLE, "residual", 0.55, split="adapted"))
    assert skills(tmp_path, *rows) == {"adapted": (ONE_TITLE, 0.55)}


def test_a_release_that_was_not_evaluated_has_no_skill(tmp_path: Path) -> None:
    assert read_skills(tmp_path) == {}


def test_an_invalid_evaluation_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[{"split": "future"}]')
    with pytest.raises(LabError, match=r"evaluation\.json is not valid"):
        read_skills(tmp_path)


def test_the_skill_is_that_of_experiments_if_they_are_enough_and_have_an_interval(tmp_path: Path) -> None:
    other = row(ONE_TITLE, "residual", 0.57)
    enough = row(ONE_VIDEO, EXPERIMENT, 0.7, pairs=50, channels=5)
    assert skills(tmp_path, other, enough) == {"future": (ONE_VIDEO, 0.7)}
    assert skills(tmp_path, enough) == {"future": (ONE_VIDEO, 0.7)}
    for without in (
        row(ONE_VIDEO, EXPERIMENT, 0.7, pairs=49, channels=5),
        row(ONE_VIDEO, EXPERIMENT, 0.7, pairs=500, channels=4),
        row(ONE_VIDEO, EXPERIMENT, 0.7, pairs=50, channels=5, low=None),
        row(ONE_VIDEO, EXPERIMENT, None, pairs=50, channels=5),
        row(ONE_VIDEO, "changed_thumbnail", 0.7, pairs=500, channels=5),
        row(ONE_VIDEO, EXPERIMENT, 0.7, pairs=500, channels=5, scorer="global"),
        row(ONE_VIDEO, EXPERIMENT, 0.7, pairs=500, channels=5, split="adapted"),
    ):
        found = skills(tmp_path, other, without)
        assert found["future"] == (ONE_TITLE, 0.57), without
