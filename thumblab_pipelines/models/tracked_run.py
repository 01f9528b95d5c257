"""Collect the content of the MLflow run of a model release: parameters, metrics and sources.

A person can use the content of the run to compare trainings and to repeat them.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from thumblab_core.errors import LabError
from thumblab_core.ranking.skill import EXPERIMENT, ONE_TITLE, ONE_VIDEO, PACKAGE, RESIDUAL
from thumblab_core.releases.release import ALL, PAIRS, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import CHECKOUT
from thumblab_pipelines.evaluation.figures import SLICES, Evaluation
from thumblab_pipelines.training.config import Epoch

if TYPE_CHECKING:
    import pandas as pd

MODEL_SCORER = "model"
_CHANNEL = "channel:"
_LONGEST_DIGEST = 36
"""Maximum length of a digest in MLflow, in characters."""


@dataclass(frozen=True)
class Figure:
    """One figure of the evaluation. `low` and `high`: the ends of its 95 % interval, or None if the figure has no
    interval."""

    split: str
    slice: str
    scorer: str
    metric: str
    value: float
    low: float | None
    high: float | None
    pairs: int
    channels: int
    question: str = PACKAGE

    @property
    def name(self) -> str:
        """The name of the metric in MLflow. MLflow allows letters, digits and `_-. /` in such a name."""
        question = "" if self.question == PACKAGE else f"{self.question}_"
        name = f"{question}{self.split}_{self.slice}_{self.scorer}_{self.metric}"
        return re.sub(r"[^\w\-./]+", "_", name, flags=re.ASCII)


@dataclass(frozen=True)
class Source:
    """A source from which a model was made: its training pairs, an encoder or the code.

    `digest`: at most 36 characters that identify the version of the source. `where`: how to find the source. `profile`:
    facts about the source.
    """

    name: str
    digest: str
    where: dict[str, Any]
    profile: dict[str, Any]


def figures(evaluations: list[Evaluation]) -> list[Figure]:
    """Return the figures of the evaluation. Figures that could not be measured are left out."""
    return [
        Figure(e.split, e.slice, e.scorer, e.metric, e.value, e.low, e.high, e.pairs, e.channels, e.question)
        for e in evaluations
        if e.value is not None
    ]


def headlines(evaluations: list[Evaluation]) -> list[Figure]:
    """Return the headlines, which are the most important figures: the AUCs of the model and of each reference model.

    For the question `PACKAGE`, each AUC is given on all pairs, and on the pairs whose winner has at least twice the
    loser's views. For the question `ONE_TITLE`, the AUC is given on the slice `residual`. For the question `ONE_VIDEO`,
    the AUC is given on the pairs of experiments.
    """
    slices = {(PACKAGE, name) for name in SLICES} | {(ONE_TITLE, RESIDUAL), (ONE_VIDEO, EXPERIMENT)}
    return [f for f in figures(evaluations) if f.metric == "auc" and (f.question, f.slice) in slices]


def headline_name(figure: Figure) -> str:
    """Return the name of a headline in an asset's metadata, such as `auc_one_title_new_channels_model`."""
    if figure.question == PACKAGE:
        return f"auc_{figure.split}_{figure.slice}_{figure.scorer}"
    return f"auc_{figure.question}_{figure.split}_{figure.scorer}"


def parameters(release: Release) -> dict[str, Any]:
    """Return the parameters of a run: the training configuration as `config.*`, and facts about the training."""
    training = json.loads((release.path / "config.json").read_text()).get("training", {})
    values = {"release_id": release.release_id, **_flat(release.info), **_flat(training)}
    return {name: value for name, value in values.items() if value is not None}


def metrics(figures: list[Figure]) -> dict[str, float]:
    """Return the metrics of an MLflow run by name. A metric is a figure of the evaluation, or an end of a figure's
    interval.

    The ends of the interval are given only for figures of the model, and not for reference models. Figures of single
    channels are left out, because there are hundreds of them.
    """
    values = {}
    for figure in figures:
        if figure.slice.startswith(_CHANNEL):
            continue
        values[figure.name] = figure.value
        if figure.scorer == MODEL_SCORER and figure.low is not None and figure.high is not None:
            values |= {f"{figure.name}_low": figure.low, f"{figure.name}_high": figure.high}
    return values


def table(figures: list[Figure]) -> pd.DataFrame:
    """Return all figures as a table with one row per figure."""
    import pandas as pd

    return pd.DataFrame([asdict(figure) for figure in figures], columns=list(Figure.__dataclass_fields__), dtype=object)


def epoch_metrics(history: list[Epoch]) -> Iterator[tuple[str, float, int]]:
    """Yield the name, the value and the epoch of each loss and each AUC in the history."""
    for epoch in history:
        for name, value in vars(epoch).items():
            if name != "epoch" and value is not None:
                yield name, float(value), epoch.epoch


def calibration(release: Release) -> list[dict[str, float]]:
    """Return the points of the release's calibration curve, or an empty list if the release has no curve.

    Each point has a `predicted` win probability, the share of `won` pairs, and the number of `pairs`.
    """
    if "calibration_curve.json" not in release.files:
        return []
    points: list[dict[str, float]] = json.loads((release.path / "calibration_curve.json").read_text())
    return points


def sources(release: Release, store: ReleaseStore) -> list[Source]:
    """Return the sources of the model: the pairs, the encoders and the code. `store` contains the pairs release."""
    info = release.info
    data = [_pairs(str(info["pairs_release"]), store)] if info.get("pairs_release") else []
    for name in ("image_encoder", "title_encoder"):
        if info.get(name):
            fingerprint = str(info[name])
            where = {"fingerprint": fingerprint, "setting": info.get(f"{name}_name")}
            data.append(Source(name, _digest(fingerprint), where, {}))
    code = {"package": "thumblab", "version": _version(), "commit": commit()}
    return [*data, Source("code", _digest(code["commit"] or code["version"] or "unknown"), code, {})]


def commit() -> str | None:
    """Return the git commit of the checkout that this code is in, with `-dirty` if files are changed.

    Return None if the code is not in a checkout, or if git fails.
    """
    if not (CHECKOUT / "pyproject.toml").is_file() or not (CHECKOUT / ".git").exists():
        return None
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=16", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def example(release: Release) -> Any:
    """Return two random inputs of the model, float32 [2, d], as an example for MLflow."""
    import numpy as np

    from thumblab_core.encoders.protocol import unit
    from thumblab_core.ranking.inputs import model_inputs
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    config = TrainedRanker.load(release).model.config
    random = np.random.default_rng(0)
    sides = (config.image_dimension, config.title_dimension)
    images, titles = (unit(random.standard_normal((2, side)).astype(np.float32)) for side in sides)
    return model_inputs(
        images, titles, ["I tested every phone under $200", "Five ways to ruin a sauce"], config.version
    )


def _pairs(release_id: str, store: ReleaseStore) -> Source:
    """Return the pairs release as a source, even if the release has been deleted."""
    where = {"release": f"{PAIRS}/{ALL}/{release_id}"}
    try:
        info = store.get(PAIRS, ALL, release_id).info
    except LabError:  # The release was deleted. The digest of its content is the end of its id.
        return Source("training_pairs", release_id[-8:], where, {})
    facts = ("videos", "channels", "pairs", "excluded", "pair_days", "age_exponent")
    profile = {name: info[name] for name in facts if name in info}
    return Source("training_pairs", str(info["inputs"])[:_LONGEST_DIGEST], where, profile)


def _digest(text: str) -> str:
    """Return the text itself if it is short enough for a digest in MLflow. For a longer text, return a hash of it."""
    return text if len(text) <= _LONGEST_DIGEST else hashlib.sha256(text.encode()).hexdigest()[:_LONGEST_DIGEST]


def _version() -> str | None:
    try:
        return version("thumblab")
    except PackageNotFoundError:
        return None


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested dictionaries in one dictionary. Lists are left out.

    A key of the result consists of all keys that lead to the value, joined by dots. For example, {"a": {"b": 1}}
    becomes {"a.b": 1}.
    """
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            flat |= _flat(inner, f"{prefix}{name}.")
        elif not isinstance(inner, list):
            flat[f"{prefix}{name}"] = inner
    return flat
