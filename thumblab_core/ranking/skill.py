"""Read how accurate a model's ranking is. There is one figure for each split of the evaluation.

The figures come from `evaluation.json` in the model's release, see docs/evaluation.md.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumblab_core.errors import LabError

FUTURE, NEW_CHANNELS, ADAPTED = "future", "new_channels", "adapted"
"""Splits of the evaluation: later videos of known channels, unseen channels, and unseen channels with an adapter."""

FILE = "evaluation.json"


@dataclass(frozen=True)
class Skill:
    """The accuracy of a model's ranking. `auc` is the share of held-out pairs that the model orders correctly.

    `low`, `high`: the ends of its 95 % interval, or None if there is no interval. `pairs`, `channels`: how many pairs
    and channels were evaluated.
    """

    auc: float
    low: float | None
    high: float | None
    pairs: int
    channels: int

    @property
    def proven(self) -> bool:
        """Whether the whole interval lies above 0.5, which is chance."""
        return self.low is not None and self.low > 0.5


def read_skills(folder: Path) -> Mapping[str, Skill]:
    """Return the skills by split, from the files of a release. The result is empty if the release was not evaluated.

    Raises `LabError` if the file is not valid.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        skills = {row["split"]: _skill(row) for row in rows if _is_auc_of_all(row)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{folder.name}: {FILE} is not valid ({type(error).__name__}: {error})") from None
    return {split: skill for split, skill in skills.items() if skill is not None}


def _is_auc_of_all(row: Mapping[str, Any]) -> bool:
    """Return whether the row has the AUC of the model over all pairs of a split."""
    return (row["slice"], row["scorer"], row.get("metric", "auc")) == ("all", "model", "auc")


def _skill(row: Mapping[str, Any]) -> Skill | None:
    old = "metric" not in row  # An old row was written when AUC was the only metric.
    auc, low, high = (row[name] for name in (("auc", "auc_low", "auc_high") if old else ("value", "low", "high")))
    if auc is None or not math.isfinite(auc):
        return None
    return Skill(float(auc), _finite_or_none(low), _finite_or_none(high), int(row["pairs"]), int(row["channels"]))


def _finite_or_none(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
