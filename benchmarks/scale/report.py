"""Show the measurements of the benchmark as one table."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.scale.results import LARGEST_EXPONENT, LARGEST_MEMORY, Results, exponent, faults, last_exponent
from benchmarks.scale.stage import Measurement, Stage


def table(results: Results, stages: Sequence[Stage]) -> Table:
    """Return a table with a row for each stage and size, and the exponent of each stage."""
    title = (
        f"Growth of time and memory. Limits: exponent {LARGEST_EXPONENT} and {LARGEST_MEMORY / 1e9:.0f} GB. "
        "The second exponent is that of the two largest sizes."
    )
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in (
        "stage",
        "size",
        "CPU s",
        "clock s",
        "peak MB",
        "children MB",
        "exponent",
        "within limits",
        "figures",
    ):
        made.add_column(column, justify="left" if column in ("stage", "within limits", "figures") else "right")
    for stage in stages:
        measured = results.of(stage.name)
        seconds = {size: m.cpu for size, m in measured.items() if m.error is None}
        wrong = faults(measured)
        for row, (size, measurement) in enumerate(measured.items()):
            last = row == len(measured) - 1
            made.add_row(
                stage.name if row == 0 else "",
                f"{size:,}",
                *_cells(measurement),
                f"{_number(exponent(seconds))}, {_number(last_exponent(seconds))}" if last else "",
                ("; ".join(wrong) or "yes") if last else "",
                ", ".join(f"{name} {value:,.4g}" for name, value in measurement.figures.items()),
                end_section=last,
            )
    return made


def _cells(measurement: Measurement) -> list[str]:
    if measurement.error is not None:
        return ["failed", "", "", ""]
    memory = (f"{size / 1e6:,.0f}" for size in (measurement.memory, measurement.children))
    return [f"{measurement.cpu:,.1f}", f"{measurement.wall:,.1f}", *memory]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
