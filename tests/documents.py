"""Read the Markdown files of the repository: their shell lines, links and headings."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

DOCUMENTS = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "demo/README.md", "thumblab_client/README.md")
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
]

_FENCE = re.compile(r"\s*(```+)\s*(\w*)")
_SHELL = ("", "sh", "bash", "shell", "console")
_COMMANDS = (
    "thumblab", "make", "curl", "python", "pip", "pipx", "docker", "sudo", "cp", "cat", "source", "echo", "accelerate",
    "git", "mkdir", "cd", "psql", "tensorboard", "ray",
)  # fmt: skip
"""The first words of shell commands. An indented block is a block of shell commands only if its first line begins with
one of these words.
"""


@dataclass(frozen=True)
class Line:
    """A command of a document, with its continuation lines and without its comment."""

    path: str
    number: int
    text: str


def text_lines(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Yield each line of a document with its number, and the kind of block that it is in.

    The kind is the word after the fence that opens the block, such as `bash`. The kind of an indented block is
    `indented`, and the kind of prose is None.
    """
    fence: str | None = None
    before = ""
    indented = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        opening = _FENCE.match(line)
        if fence is not None:
            if opening and not opening[2]:
                fence = None
            else:
                yield number, line, fence
        elif opening:
            fence = opening[2]
        else:
            # A code block is indented by four spaces after an empty line. The lines of a list item may be indented too,
            # but no empty line comes before these lines.
            indented = line.startswith("    ") and (indented or not before.strip())
            yield number, line.removeprefix("    ") if indented else line, "indented" if indented else None
            before = line


def commands(path: Path) -> list[Line]:
    """Return the shell commands of a document, in their order."""
    found: list[Line] = []
    block: list[tuple[int, str]] = []

    def close() -> None:
        if block and _first_word(block[0][1]) in _COMMANDS:
            found.extend(_joined(path, block))
        block.clear()

    last, last_kind = 0, None
    for number, line, kind in text_lines(path):
        if number != last + 1 or kind != last_kind:
            close()
        last, last_kind = number, kind
        if kind == "indented" or kind in _SHELL:
            block.append((number, line))
    close()
    return found


def _first_word(line: str) -> str:
    """Return the name of the command in a line, without its folder.

    In `KEY=$(command ...)`, the result is the name of the inner command.
    """
    words = re.sub(r"^[A-Z_]+=\$\(", "", line.strip()).split()
    return words[0].rpartition("/")[2] if words else ""


def _joined(path: Path, block: list[tuple[int, str]]) -> Iterator[Line]:
    """Yield the commands of a block. A command continues on the next line after a backslash or inside quotes."""
    text, start = "", 0
    for number, line in block:
        start = start if text else number
        text += line
        bare = without_comment(text)
        if bare.endswith("\\"):
            text = bare[:-1].rstrip() + " "
        elif bare.count("'") % 2:
            text += "\n"
        else:
            if bare.strip():
                yield Line(path.relative_to(ROOT).as_posix(), start, bare.strip())
            text = ""
    assert not text, f"{path}:{start}: the last line of a command ends with a backslash or an open quotation mark"


def without_comment(line: str) -> str:
    """Return a shell line without its comment.

    A comment begins at a `#` that follows two spaces and is outside quotes.
    """
    return re.sub(r"\s\s+# .*$| # [^'\"]*$", "", line).rstrip()


def headings(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    anchors: set[str] = set()
    for _, line, kind in text_lines(path):
        heading = re.match(r"#+ (.*)", line) if kind is None else None
        if heading:
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").replace("*", "")
            kept = (c for c in plain.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
            anchor = "".join(kept).strip().replace(" ", "-")
            while anchor in anchors:
                anchor += "-1"
            anchors.add(anchor)
    return anchors


def links(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield three texts for each link: `!` if the link shows a picture, the text of the link, and its target."""
    text = "\n".join("" if kind else re.sub(r"`[^`]*`", "`", line) for _, line, kind in text_lines(path))
    for link in re.finditer(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)", text):
        yield link[1], link[2], link[3]
