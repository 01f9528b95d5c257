"""Run the benchmark of `make bench-scale`. The docstring of the package describes it."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

import benchmarks.scale
from benchmarks.scale.report import table
from benchmarks.scale.results import Results
from benchmarks.scale.stage import FAMILIES, Measurement, Stage
from benchmarks.scale.stages import STAGES, chosen

_FOLDER = Path("build/bench-scale")


def measure(stage: Stage, size: int, folder: Path, threads: int) -> Measurement:
    """Prepare a stage and run it, each in a new process, and return the measurement of the run."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    with TemporaryDirectory(prefix="thumblab-scale-") as temporary:
        result = Path(temporary) / "result.json"
        for action in ("prepare", "run"):
            command = [sys.executable, "-m", "benchmarks.scale.child", action, stage.name, str(size), folder, result]
            done = subprocess.run([str(part) for part in command], env=environment, stderr=subprocess.PIPE, text=True)
            sys.stderr.write(done.stderr)
            if done.returncode != 0:
                last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
                return Measurement(error=f"{action}: {last}")
        return Measurement(**json.loads(result.read_text()))


def run(stages: Sequence[Stage], sizes: Sequence[int], options: argparse.Namespace, console: Console) -> Results:
    """Measure each stage at each size, and return all measurements. A measurement that an earlier call stored in
    `options.folder` is not repeated, unless `options.again` is true.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    results = Results.read(options.folder / "results.json")
    for family, family_sizes in FAMILIES.items():
        own = [stage for stage in stages if stage.family == family]
        for size in sorted(sizes or family_sizes) if own else []:
            folder = (options.folder / family / str(size)).resolve()
            for stage in own:
                if results.has(stage.name, size) and not options.again:
                    console.print(f"{stage.name} at {size:,}: measured before", style="dim")
                    continue
                console.print(f"{stage.name} at {size:,} ...", style="dim")
                folder.mkdir(parents=True, exist_ok=True)
                measurement = measure(stage, size, folder, options.threads)
                results.add(stage.name, size, measurement)
                console.print(
                    f"{stage.name} at {size:,}: {measurement.cpu:,.1f} s of processor time, "
                    f"{measurement.peak / 1e6:,.0f} MB"
                    + (f", failed: {measurement.error}" if measurement.error else "")
                )
            if not options.keep:
                shutil.rmtree(folder, ignore_errors=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=benchmarks.scale.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join([*FAMILIES, *(stage.name for stage in STAGES)])
    parser.add_argument("--stages", nargs="+", default=[], metavar="NAME", help=f"stages or families: {names}")
    parser.add_argument("--sizes", nargs="+", type=int, default=[], metavar="N", help=f"the default is {FAMILIES}")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="data and results (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="number of threads (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON instead of a table")
    parser.add_argument("--again", action="store_true", help="repeat the measurements that are already stored")
    parser.add_argument("--keep", action="store_true", help="keep the synthetic data of each size")
    options = parser.parse_args()
    try:
        stages = chosen(options.stages)
    except ValueError as error:
        parser.error(str(error))
    results = run(stages, options.sizes, options, Console(stderr=True))
    if options.json:
        print(json.dumps(results.as_json(), indent=1))
    else:
        Console(width=None if sys.stdout.isatty() else 180).print(table(results, stages))
    if any(m.error is not None for stage in stages for m in results.of(stage.name).values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
