"""Test that every benchmark can be started.

Some benchmarks use the synthetic catalogue, in which the quality of each video is known. The tests also check
some of the figures that these benchmarks print.
"""

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted import planted_data, results, tables
from benchmarks.planted_one_title import expected_error, planted_gaps
from benchmarks.recipe import VARIANTS, Window, truncated
from benchmarks.scale.results import Results, exponent, faults
from benchmarks.scale.stage import Measurement
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
    """Measure variants of the training recipe, with at least one variant of each kind.

    To measure the variant "kernel without linear parts", the benchmark changes `VARIANCES`. Afterwards, `VARIANCES`
    must have its old values.
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


def test_the_growth_of_a_stage_is_fitted_and_compared_with_the_limits() -> None:
    linear = {10_000: 1.0, 100_000: 10.0, 1_000_000: 100.0}
    assert exponent(linear) == pytest.approx(1.0)
    assert exponent({size: seconds**2 for size, seconds in linear.items()}) == pytest.approx(2.0)
    assert exponent({1_000: 0.1, 10_000: 1.0}) is None, "the start of the program is most of 0.1 s"
    measured = {size: Measurement(cpu=seconds**2, memory=10**8) for size, seconds in linear.items()}
    assert faults(measured) == ["exponent 2.00"]
    assert faults({10_000: Measurement(cpu=1.0, memory=4 * 10**9, children=3 * 10**9)}) == ["10,000: 7.0 GB"]
    assert faults({10_000: Measurement(error="run: no space left")}) == ["10,000: run: no space left"]


@pytest.mark.slow
def test_the_processor_time_of_a_daemon_that_left_its_parent_is_measured() -> None:
    script = """
import subprocess, sys
from pathlib import Path
from benchmarks.scale.child import measured
from benchmarks.scale.stage import Stage

BURN = "import time\\nwhile time.process_time() < 1.0: pass\\ntime.sleep(30)"

def run(size, folder):
    # The shell ends at once, so the daemon has no parent of this benchmark.
    command = '"$0" -c "$1" > /dev/null 2>&1 & echo $! > daemon'
    subprocess.run(["sh", "-c", command, sys.executable, BURN], cwd=folder, check=True)
    import time
    time.sleep(3)

print(measured(Stage("daemon", "vectors", run), 1, Path(sys.argv[1])).cpu)
"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", script, folder], capture_output=True, text=True, cwd=FOLDER.parent, timeout=60
        )
        os.kill(int((Path(folder) / "daemon").read_text()), signal.SIGKILL)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) >= 0.9


@pytest.mark.slow
def test_a_scale_benchmark_that_was_stopped_measures_only_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--stages", "index-build", "index-search", "--sizes", "300"]
    folder = tmp_path / "scale"
    folder.mkdir()
    Results(folder / "results.json").add("index-build", 300, Measurement(cpu=7.0, memory=1))
    done = subprocess.run([*command, "--folder", folder, "--json"], capture_output=True, text=True, cwd=FOLDER.parent)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["index-build"]["300"]["cpu"] == 7.0
    assert measured["index-search"]["300"]["cpu"] > 0
    assert measured["index-search"]["300"]["figures"]["search ms"] > 0
    assert [path.name for path in (folder / "vectors").iterdir()] == [], "the planted data must be deleted"
    failing = subprocess.run([*command[:3], "--stages", "nonsense"], capture_output=True, text=True, cwd=FOLDER.parent)
    assert failing.returncode == 2
    assert "no stage or family is called 'nonsense'" in failing.stderr
