"""Format the parts of a page in Markdown."""

from collections.abc import Iterable, Sequence

GENERATED = "This page is generated from the code: `python -m thumblab_cli.reference` writes it.\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table. A cell may contain several lines and any character."""
    lines = [head, ["---"] * len(head), *([cell(text) for text in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def code(text: object) -> str:
    return f"`{text}`"


def codes(names: Iterable[object]) -> str:
    return ", ".join(code(name) for name in names)
