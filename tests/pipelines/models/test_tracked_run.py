"""Tests of what the lab logs to MLflow about a model: its metrics, its sources and its plots.

The figures of single channels are not logged as metrics. Each other figure of the evaluation becomes a metric with a
name that MLflow allows.
"""

import json
from pathlib import Path

import pytest
from mlflow.utils.validation import _validate_metric_name

from thumblab_core.releases.release import ALL, MODEL, PAIRS
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.models import tracked_run
from thumblab_pipelines.models.plots import plots
from thumblab_pipelines.models.tracked_run import Figure, calibration, metrics, parameters, sources, table
from thumblab_pipelines.training.config import Epoch

SLICES = ("all", "2x", "margin 0-0.1", "margin 0.1-0.25", "niche:tech", "niche:food & drink", "channel:UC-a_b")


@pytest.fixture
def figures() -> list[Figure]:
    return [
        Figure(split, name, scorer, metric, 0.6, 0.55, 0.65, 100, 5)
        for split in ("future", "new_channels")
        for name in SLICES
        for scorer in ("model", "age")
        for metric in ("auc", "ece")
    ]


def test_each_figure_has_a_unique_name_that_mlflow_allows(figures: list[Figure]) -> None:
    values = metrics(figures)
    for name in values:
        _validate_metric_name(name)
    slices = len(SLICES) - 1  # The last slice is a single channel, whose figures are not logged as metrics.
    assert len(values) == 2 * slices * 2 * (3 + 1)
    assert values["future_all_model_auc"] == 0.6
    assert values["new_channels_niche_food_drink_age_ece"] == 0.6
    assert [name for name in values if "UC-a_b" in name] == []
    rows = table(figures)
    assert len(rows) == len(figures)
    assert "channel:UC-a_b" in set(rows["slice"])


def drawn(history: list[Epoch], figures: list[Figure], curve: list[dict[str, float]], folder: Path) -> dict[str, int]:
    """Draw all plots. Return the size of each plot's file in bytes, by the name of the plot."""
    sizes = {}
    for name, plot in plots(history, figures, curve):
        plot.savefig(folder / f"{name}.png")
        sizes[name] = (folder / f"{name}.png").stat().st_size
    return sizes


def test_plots_without_data_are_left_out(figures: list[Figure], tmp_path: Path) -> None:
    epoch = Epoch(0, 0.3, 0.2, 0.1, None)
    curve = [{"predicted": 0.5, "won": 0.52, "pairs": 40}, {"predicted": 0.8, "won": 0.7, "pairs": 4}]
    sizes = drawn([epoch, Epoch(1, 0.2, 0.1, 0.1, 0.6)], figures, curve, tmp_path)
    assert set(sizes) == {"learning_curves", "auc_by_niche", "auc_by_margin", "calibration"}
    assert min(sizes.values()) > 5_000
    assert set(drawn([epoch], figures[:4], [], tmp_path)) == {"learning_curves"}
    assert drawn([], [], [], tmp_path) == {}


def test_the_sources_of_a_model_record_their_state(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path)
    pairs = store.publish(PAIRS, ALL, lambda folder: (folder / "x").touch(), {"inputs": "a" * 64, "videos": 7})

    def write(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({"training": {"config": {"seed": 7}, "epochs_run": 3}}))
        (folder / "calibration_curve.json").write_text(json.dumps([{"predicted": 0.5, "won": 0.5, "pairs": 2}]))

    info = {
        "pairs_release": pairs.release_id,
        "image_encoder": "builtin-768-v3",
        "title_encoder": "sentence-" + "b" * 40,
    }
    release = store.publish(MODEL, ALL, write, info)
    by_name = {source.name: source for source in sources(release, store)}
    assert (by_name["training_pairs"].digest, by_name["training_pairs"].profile) == ("a" * 36, {"videos": 7})
    assert by_name["image_encoder"].digest == "builtin-768-v3"
    assert by_name["title_encoder"].where["fingerprint"] == info["title_encoder"]
    assert by_name["code"].where["version"]
    assert max(len(source.digest) for source in by_name.values()) <= 36
    assert parameters(release)["config.seed"] == 7
    assert parameters(release)["epochs_run"] == 3
    assert len(calibration(release)) == 1

    store.remove(pairs)
    assert sources(release, store)[0].digest == pairs.release_id[-8:]


def test_no_commit_is_named_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(tracked_run, "CHECKOUT", tmp_path)
    assert tracked_run.commit() is None, "the commit of a foreign repository must not be logged"


def test_each_panel_of_each_plot_has_a_title_and_two_axis_labels(figures: list[Figure]) -> None:
    epochs = [Epoch(0, 0.3, 0.2, 0.1, 0.5), Epoch(1, 0.2, 0.1, 0.1, 0.6)]
    curve = [{"predicted": 0.5, "won": 0.52, "pairs": 40}]
    panels = [(name, axes) for name, plot in plots(epochs, figures, curve) for axes in plot.axes]
    assert len(panels) == 2 + 2 + 2 + 1
    assert [name for name, axes in panels if not (axes.get_title() and axes.get_xlabel() and axes.get_ylabel())] == []
