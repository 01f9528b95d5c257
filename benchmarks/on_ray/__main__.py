"""Compare embedding by one worker and by two workers of a Ray cluster on this machine. Each worker has one core.

The encoder is ViT-B/32 with random weights, because the time does not depend on the weights. One worker and two workers
take turns, so that other programs on the machine slow down both. The speed is measured only while all workers compute,
so their start is not included. The table has two ratios of the speeds:

- by the clock. Other programs that use the two cores lower this ratio, because two workers then share the cores with
  these programs.
- by processor time: pictures per second of processor time, times the number of workers. This ratio shows how much two
  workers slow each other down. Other programs that use whole cores do not change this ratio.
"""

import argparse
import tempfile
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.on_ray.measure import BLOCK, Speed, measured


def table(speeds: dict[int, list[Speed]]) -> Table:
    """Return a table with a row for each number of workers.

    `speeds` contains, for each number of workers, the speed in each round.
    """
    shown = Table(title="embedding on Ray", title_justify="left", box=SIMPLE_HEAD)
    for column in (
        "workers",
        "pictures/s",
        "pictures/s of a core",
        "start s",
        "ratio by clock",
        "ratio by processor time",
    ):
        shown.add_column(column, justify="right")
    one = speeds[1]
    for workers, rounds in speeds.items():
        clock = [speed.by_clock for speed in rounds]
        cores = [speed.by_core for speed in rounds]
        shown.add_row(
            str(workers),
            f"{max(clock):.2f}",
            f"{max(cores):.2f}",
            f"{min(speed.start for speed in rounds):.0f}",
            f"{max(clock) / max(speed.by_clock for speed in one):.2f}",
            f"{workers * max(cores) / max(speed.by_core for speed in one):.2f}",
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.on_ray", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--blocks", type=int, default=16, help=f"number of blocks in a round; a block has {BLOCK} pictures"
    )
    parser.add_argument("--rounds", type=int, default=2, help="number of rounds with one worker, and with two workers")
    parser.add_argument("--model", default="ViT-B-32", help="an open_clip model")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speeds = measured(Path(folder), given.model, given.blocks, given.rounds)
    Console().print(table(speeds))


if __name__ == "__main__":
    main()
