"""Promises of what is logged of a model: legal names, no single channel among the metrics, plots that are drawn."""

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
def found() -> list[Figure]:
    return [
        Figure(split, name, scorer, metric, 0.6, 0.55, 0.65, 100, 5)
        for split in ("future", "new_channels")
        for name in SLICES
        for scorer in ("model", "age")
        for metric in ("auc", "ece")
    ]


def test_every_figure_has_a_name_that_mlflow_takes_and_no_two_have_the_same(found: list[Figure]) -> None:
    told = metrics(found)
    for name in told:
        _validate_metric_name(name)
    slices = len(SLICES) - 1  # the channels are in the table
    assert len(told) == 2 * slices * 2 * (3 + 1)
    assert told["future_all_model_auc"] == 0.6
    assert told["new_channels_niche_food_drink_age_ece"] == 0.6
    assert [name for name in told if "UC-a_b" in name] == []
    rows = table(found)
    assert len(rows) == len(found)
    assert "channel:UC-a_b" in set(rows["slice"])


def drawn(history: list[Epoch], found: list[Figure], curve: list[dict[str, float]], folder: Path) -> dict[str, int]:
    """Names of the plots, and the bytes of each."""
    sizes = {}
    for name, plot in plots(history, found, curve):
        plot.savefig(folder / f"{name}.png")
        sizes[name] = (folder / f"{name}.png").stat().st_size
    return sizes


def test_what_there_is_to_draw_is_drawn_and_the_rest_is_left_out(found: list[Figure], tmp_path: Path) -> None:
    epoch = Epoch(0, 0.3, 0.2, 0.1, None)
    curve = [{"predicted": 0.5, "won": 0.52, "pairs": 40}, {"predicted": 0.8, "won": 0.7, "pairs": 4}]
    sizes = drawn([epoch, Epoch(1, 0.2, 0.1, 0.1, 0.6)], found, curve, tmp_path)
    assert set(sizes) == {"learning_curves", "auc_by_niche", "auc_by_margin", "calibration"}
    assert min(sizes.values()) > 5_000
    assert set(drawn([epoch], found[:4], [], tmp_path)) == {"learning_curves"}
    assert drawn([], [], [], tmp_path) == {}


def test_the_sources_of_a_model_say_in_which_state_they_were(tmp_path: Path) -> None:
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
    found = {source.name: source for source in sources(release, store)}
    assert (found["training_pairs"].digest, found["training_pairs"].profile) == ("a" * 36, {"videos": 7})
    assert found["image_encoder"].digest == "builtin-768-v3"
    assert found["title_encoder"].where["fingerprint"] == info["title_encoder"]
    assert found["code"].where["version"]
    assert max(len(source.digest) for source in found.values()) <= 36
    assert parameters(release)["config.seed"] == 7
    assert parameters(release)["epochs_run"] == 3
    assert len(calibration(release)) == 1

    store.remove(pairs)
    assert sources(release, store)[0].digest == pairs.release_id[-8:]


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(tracked_run, "CHECKOUT", tmp_path)
    assert tracked_run.commit() is None, "somebody else's repository, into which the lab was installed"


def test_every_panel_of_every_plot_has_a_title_and_names_both_axes(found: list[Figure]) -> None:
    epochs = [Epoch(0, 0.3, 0.2, 0.1, 0.5), Epoch(1, 0.2, 0.1, 0.1, 0.6)]
    curve = [{"predicted": 0.5, "won": 0.52, "pairs": 40}]
    panels = [(name, axes) for name, plot in plots(epochs, found, curve) for axes in plot.axes]
    assert len(panels) == 2 + 2 + 2 + 1
    assert [name for name, axes in panels if not (axes.get_title() and axes.get_xlabel() and axes.get_ylabel())] == []
