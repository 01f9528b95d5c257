"""Read the skills of a model. A skill is the AUC on one split of the evaluation, and says how accurate the ranking is.

The figures come from `evaluation.json` in the model's release, see docs/evaluation.md.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thumblab_core.errors import LabError

FUTURE, NEW_CHANNELS, ADAPTED = "future", "new_channels", "adapted"
"""Splits of the evaluation: the future of known channels, unseen channels, and unseen channels with an adapter."""

OWN_PAST = "own_past"
"""The name of a skill that is not measured on a split of the evaluation. The skill says how well an adapter can
order a channel's newest videos after it was fitted to the channel's older videos.
"""

PACKAGE: Final = "package"
ONE_TITLE: Final = "one_title"
ONE_VIDEO: Final = "one_video"
"""Questions of the evaluation.

`PACKAGE`: which of two videos got more views. `ONE_TITLE`: which of their pictures is better if both have the same
title. `ONE_VIDEO`: which of two pictures that one video showed is better.
"""

RESIDUAL = "residual"
"""Name of the slice of `ONE_TITLE` in which the winner of a pair is the video with the higher residual.

A slice is a subset of the held-out pairs, with a rule that says which video of a pair is the winner.
"""

EXPERIMENT = "experiment"
"""Name of the slice of `ONE_VIDEO` with the pairs whose better picture is known from an experiment."""

_SLICES = {PACKAGE: "all", ONE_TITLE: RESIDUAL, ONE_VIDEO: EXPERIMENT}
"""The slice whose AUC is the skill of a model, for each question."""

LEAST_EXPERIMENT_PAIRS, LEAST_EXPERIMENT_CHANNELS = 50, 5
"""Minimum numbers of pairs and of their channels for using the AUC of `ONE_VIDEO` as the skill.

Even many experiments of a single channel say nothing about other channels.
"""

FILE = "evaluation.json"


@dataclass(frozen=True)
class Skill:
    """The accuracy of a model's ranking. `auc` is the share of held-out pairs that the model orders correctly.

    `question`: the question that was evaluated, `ONE_VIDEO`, `ONE_TITLE` or `PACKAGE`. `low`, `high`: the ends of the
    95 % interval, or None if there is no interval. `pairs`, `channels`: how many pairs and channels were evaluated.
    """

    question: str
    auc: float
    low: float | None
    high: float | None
    pairs: int
    channels: int

    @property
    def proven(self) -> bool:
        """Whether the whole 95 % interval of the AUC is above 0.5, the AUC of a random order."""
        return self.low is not None and self.low > 0.5


def read_skills(folder: Path) -> Mapping[str, Skill]:
    """Return the skills by split, from the files of a release. The result is empty if the release was not evaluated.

    The service ranks pictures of one video. So the skill is measured by the question `ONE_VIDEO` if the split has
    enough pairs from experiments and their AUC has an interval. Otherwise, the skill is measured by `ONE_TITLE`. Older
    releases were not evaluated on `ONE_TITLE`, so their skill is measured by `PACKAGE`. Raises `LabError` if the file
    is not valid.
    """

    def choose(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Skill]:
        # If the question `ONE_TITLE` was evaluated, but its figure is missing, the figure of `PACKAGE` must not be used
        # in its place.
        asked = ONE_TITLE if any(row.get("question") == ONE_TITLE for row in rows) else PACKAGE
        tested = _skills_of(rows, ONE_VIDEO)
        return {**_skills_of(rows, asked), **{split: skill for split, skill in tested.items() if _is_enough(skill)}}

    return _read(folder, choose)


def read_package_skills(folder: Path) -> Mapping[str, Skill]:
    """Return the skills of the question `PACKAGE` by split, from the files of a release.

    The skills say how accurately the model orders packages of a title and a picture. The result is empty if the release
    was not evaluated. Raises `LabError` if the file is not valid.
    """
    return _read(folder, lambda rows: _skills_of(rows, PACKAGE))


def _read(folder: Path, choose: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Skill]]) -> Mapping[str, Skill]:
    """Return the skills that `choose` takes from the rows of the evaluation. Raises `LabError` if the evaluation is not
    valid.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        return choose(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{folder.name}: {FILE} is not valid ({type(error).__name__}: {error})") from None


def _skills_of(rows: Sequence[Mapping[str, Any]], question: str) -> dict[str, Skill]:
    """Return the skills of a question by split. A split whose figure was not measured is left out."""
    skills = {row["split"]: _skill(row) for row in rows if _is_skill_of(row, question)}
    return {split: skill for split, skill in skills.items() if skill is not None}


def _is_enough(skill: Skill) -> bool:
    """Return whether a skill of `ONE_VIDEO` was measured on enough pairs and channels, and has an interval."""
    enough = skill.pairs >= LEAST_EXPERIMENT_PAIRS and skill.channels >= LEAST_EXPERIMENT_CHANNELS
    return enough and skill.low is not None and skill.high is not None


def _is_skill_of(row: Mapping[str, Any], question: str) -> bool:
    """Return whether the row of an evaluation has the figure that is the model's skill for the question."""
    fields = row.get("question", PACKAGE), row["slice"], row["scorer"], row.get("metric", "auc")
    return fields == (question, _SLICES[question], "model", "auc")


def _skill(row: Mapping[str, Any]) -> Skill | None:
    """Return the skill in a row of an evaluation, or None if the skill was not measured."""
    old = "metric" not in row  # Older releases do not name the metric, because AUC was the only metric.
    auc, low, high = (row[name] for name in (("auc", "auc_low", "auc_high") if old else ("value", "low", "high")))
    if auc is None or not math.isfinite(auc):
        return None
    ends = _finite_or_none(low), _finite_or_none(high)
    return Skill(row.get("question", PACKAGE), float(auc), *ends, int(row["pairs"]), int(row["channels"]))


def _finite_or_none(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
