"""Show the results of the checks, as lines or as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from thumblab_cli.doctor.examine import Result
from thumblab_cli.doctor.finding import Level
from thumblab_cli.printing.printable import printable

_MARKS = {
    Level.OK: ("ok", "green"),
    Level.SKIPPED: ("--", "dim"),
    Level.WARNING: ("warning", "yellow"),
    Level.ERROR: ("ERROR", "bold red"),
}


def print_result(console: Console, result: Result, quiet: bool) -> None:
    """Print a line for each finding.

    Below a warning or an error, print how to repair it. If `quiet` is true, print only warnings and errors.
    """
    for finding in result.findings:
        if quiet and finding.mend is None:
            continue
        word, style = _MARKS[finding.level]
        line = Text.assemble((f"{word:<8}", style), (f"{result.name:<14}", "bold"), printable(finding.what))
        console.print(line, soft_wrap=True)
        if finding.mend is not None:
            console.print(Text(f"{'':<22}-> {printable(finding.mend)}"), soft_wrap=True)


def summary(results: Sequence[Result]) -> str:
    """Return a sentence with the number of errors and of warnings."""
    errors, warnings = count(results, Level.ERROR), count(results, Level.WARNING)
    if not errors and not warnings:
        return f"Nothing is wrong: {len(results)} checks."
    return f"{_number(errors, 'error')}, {_number(warnings, 'warning')}, {len(results)} checks."


def count(results: Sequence[Result], level: Level) -> int:
    """Return the number of findings with this level."""
    return sum(finding.level is level for result in results for finding in result.findings)


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """Return the results as JSON values."""
    return {
        "healthy": count(results, Level.ERROR) == 0,
        "errors": count(results, Level.ERROR),
        "warnings": count(results, Level.WARNING),
        "checks": [
            {
                "check": result.name,
                "seconds": round(result.seconds, 2),
                "findings": [
                    {"level": finding.level.value, "what": finding.what, "mend": finding.mend}
                    for finding in result.findings
                ],
            }
            for result in results
        ],
    }


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
