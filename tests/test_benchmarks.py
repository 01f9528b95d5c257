"""Test that every benchmark can be started.

Some benchmarks use the synthetic catalogue, in which the quality of each video is known. The tests also check figures
of these benchmarks.
"""

import importlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted import planted_data, results, tables
from benchmarks.planted_one_title import expected_error, planted_gaps
from benchmarks.recipe import VARIANTS, Window, truncated
from demo.catalogues.effects import ONE_TITLE
from thumblab_core.ranking.kernel import VARIANCES
from thumblab_pipelines.training.config import TrainConfig

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
MODULES = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if not path.stem.startswith("__")
)
WITH_HELP = [name for name in MODULES if "argparse" in FOLDER.joinpath(*name.split(".")).with_suffix(".py").read_text()]


@pytest.mark.parametrize("name", [*MODULES, "__main__"])
def test_every_benchmark_can_be_imported(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("name", WITH_HELP)
def test_every_benchmark_with_options_explains_them(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"benchmarks.{name}", "--help"])
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_the_calibration_error_is_zero_for_true_probabilities_and_the_mean_excess_for_bold_ones() -> None:
    true = np.random.default_rng(0).uniform(0.5, 0.9, 1_000)
    assert expected_error(true, true) == pytest.approx(0, abs=1e-12)
    assert expected_error(true + 0.1, true) == pytest.approx(0.1, abs=1e-9)
    assert expected_error(np.full(10, 0.5), np.full(10, 0.9)) == pytest.approx(0), (
        "the mean over both orders must be 0.5"
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_planted_benchmark_measures_both_questions_with_and_without_partialling_out(tmp_path: Path) -> None:
    data = planted_data(280, 7, tmp_path, ONE_TITLE)
    found = list(results(data, TrainConfig(epochs=1)))
    assert [result.model for result in found] == ["built-in", "not partialled out", "perfect eye"]
    for result in found:
        assert len(result.one_title) == 3
        for row in result.one_title:
            assert row.pairs == (len(data.data.pairs) if row.split == "unseen channels" else result.test_pairs)
            assert 0 <= row.ece < 0.5
            assert row.auc <= row.ceiling
            assert row.way == pytest.approx((row.auc - 0.5) / (row.ceiling - 0.5))
            assert row.planted_changes == pytest.approx(data.catalogue.changed_winners(), abs=0.08)
    gaps = planted_gaps(data.catalogue, data.data, np.arange(5))
    pair = data.data.pairs.iloc[2]
    winner, loser = data.ids[pair.winner], data.ids[pair.loser]
    quality = data.catalogue.one_title_quality
    assert gaps[2].tolist() == [quality(winner, t) - quality(loser, t) for t in (winner, loser)]
    for table in tables(found, {280: data.legible()}):
        assert table.row_count in (1, 3, 9)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_kind_of_variant_of_the_recipe_can_be_measured(tmp_path: Path) -> None:
    """Measure a variant of every kind of the training recipe.

    The benchmark measures the kernel without linear parts by changing `VARIANCES`. Afterwards, `VARIANCES` must have
    its old values.
    """
    data = planted_data(200, 7, tmp_path).data
    data.release.info["pair_days"] = 30.0
    window, before = Window(truncated(data, 1.0), [7]), dict(VARIANCES)
    names = ("default", "pictures not partialled out", "without agreement", "kernel without linear parts",
             "64 principal components", "kernel noise 1", "kept 1", "ensemble of the seeds")  # fmt: skip
    figures = {name: window.evaluate(VARIANTS[name])[0] for name in names}
    assert all(0 <= value <= 1 for values in figures.values() for value in values)
    assert before == VARIANCES
    assert figures["kernel without linear parts"][2:] == figures["default"][2:], (
        "this variant must change only the adapters"
    )
