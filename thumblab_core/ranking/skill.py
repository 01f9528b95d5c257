"""What a model's ranking is worth, by the figures of its own release: one for each kind of answer.

`evaluation.json` of a release holds them, see docs/evaluation.md.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumblab_core.errors import LabError

FUTURE, NEW_CHANNELS, ADAPTED = "future", "new_channels", "adapted"
"""Of channels that the model learnt, of channels that it never saw, and of those once their history was added."""

FILE = "evaluation.json"


@dataclass(frozen=True)
class Skill:
    """The share of held-out pairs that were ordered rightly, with the ends of its 95 % interval where it has one."""

    auc: float
    low: float | None
    high: float | None
    pairs: int
    channels: int

    @property
    def proven(self) -> bool:
        """Whether chance, 0.5, lies below the interval."""
        return self.low is not None and self.low > 0.5


def read_skills(folder: Path) -> Mapping[str, Skill]:
    """By question, from the files of a release; empty where it was not judged. Raises `LabError` for what makes no sense."""
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        found = {row["split"]: _skill(row) for row in rows if _is_figure(row)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{folder.name}: {FILE} makes no sense ({type(error).__name__}: {error})") from None
    return {split: skill for split, skill in found.items() if skill is not None}


def _is_figure(row: Mapping[str, Any]) -> bool:
    return (row["slice"], row["scorer"], row.get("metric", "auc")) == ("all", "model", "auc")


def _skill(row: Mapping[str, Any]) -> Skill | None:
    old = "metric" not in row  # made when AUC was all that was measured
    auc, low, high = (row[name] for name in (("auc", "auc_low", "auc_high") if old else ("value", "low", "high")))
    if auc is None or not math.isfinite(auc):
        return None
    return Skill(float(auc), _end(low), _end(high), int(row["pairs"]), int(row["channels"]))


def _end(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
