"""Write results as JSON lines or as a CSV table. The table has a row for each thumbnail, and a row for each package of
a title and a thumbnail.

A result that was damaged on the disk is written as an error, so that the other results are still sent.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping

import jiter
from pydantic import ValidationError

from thumblab_core.sub_scores import NAMES
from thumblab_serving.schemas.answer import ScoreAnswer, ThumbnailScore
from thumblab_serving.schemas.batches import ItemResult

Row = Mapping[str, object]

COLUMNS = (
    "item",
    "id",
    "niche",
    "kind",
    "title",
    "thumbnail",
    "rank",
    "score",
    "win_probability",
    "margin",
    "verdict",
    "winner",
    "confidence",
    "ordered_by",
    "evidence_mean",
    "similarity",
    "why",
    *NAMES,
    "model",
    "index",
    "error",
    "degraded",
)
"""The columns of the table. `kind` is `thumbnail` or `package`. `winner` says whether the row's candidate is the winner."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet reads a cell as a formula if the cell begins with one of these characters."""


_DAMAGED = "the result was damaged on the disk of the service; send the item again, and check that disk"


def as_json_lines(results: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the results, which are lines of JSON. A line that is not a valid result of its item is replaced by an
    error.
    """
    for number, line in enumerate(results, 1):
        yield line if _is_result(line, number) else _damaged(number).model_dump_json().encode() + b"\n"


def as_csv(results: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a CSV table from results, which are lines of JSON."""
    yield csv_line(COLUMNS)
    for number, line in enumerate(results, 1):
        try:
            result = ItemResult.model_validate_json(line) if _is_result(line, number) else _damaged(number)
        except ValidationError:
            result = _damaged(number)
        about = {"item": result.item, "id": result.id}
        rows = [{"title": result.title, "error": result.error}] if result.answer is None else rows_of(result.answer)
        for row in rows:
            yield csv_line([(about | dict(row)).get(name) for name in COLUMNS])


def _is_result(line: bytes, number: int) -> bool:
    """Return whether a line is JSON and has the number of the expected item. Other fields are not checked, because
    another version of the lab may have written the line.
    """
    try:
        value = jiter.from_json(line, allow_inf_nan=False)
    except ValueError:
        return False
    return line.endswith(b"\n") and isinstance(value, dict) and value.get("item") == number


def _damaged(number: int) -> ItemResult:
    return ItemResult(item=number, id=f"item {number}", error=_DAMAGED)


def rows_of(answer: ScoreAnswer) -> Iterator[Row]:
    """Yield the rows of an answer for all its niches."""
    for of_niche in (answer, *answer.other_niches):
        common = {
            "niche": of_niche.niche,
            "model": of_niche.releases.model,
            "index": of_niche.releases.index,
            "degraded": "; ".join(of_niche.degraded),
        }
        yield from (common | dict(_thumbnail(thumbnail, of_niche)) for thumbnail in of_niche.thumbnails)
        yield from (common | dict(package) for package in _packages(of_niche))


def csv_line(cells: Iterable[object]) -> str:
    """Return a line of CSV. A text that a spreadsheet would read as a formula gets an apostrophe in front."""
    return csv_line_of_texts(cell_text(cell) for cell in cells)


def csv_line_of_texts(texts: Iterable[str]) -> str:
    """Return a line of CSV with the texts unchanged. A text with a line break is quoted."""
    out = io.StringIO()
    # `csv.writer` quotes a text with `\r` or `\n` only if the line terminator contains the same character. A reader of
    # CSV ends a row at either character, so this terminator contains both.
    csv.writer(out, lineterminator="\r\n").writerow(texts)
    return out.getvalue().removesuffix("\r\n") + "\n"


def cell_text(cell: object) -> str:
    """Return a value as a cell shows it: None as an empty text, and a number with six significant digits."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return f"{cell:.6g}"
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULA) and not isinstance(cell, int) else text


def _thumbnail(thumbnail: ThumbnailScore, answer: ScoreAnswer) -> Row:
    about: dict[str, object] = {"kind": "thumbnail", "thumbnail": thumbnail.id, "title": thumbnail.title}
    if thumbnail.error is not None:
        return about | {"error": thumbnail.error}
    return about | {
        "rank": thumbnail.rank,
        "score": thumbnail.score,
        "win_probability": thumbnail.win_probability,
        "verdict": None if answer.verdict is None else answer.verdict.value,
        "winner": None if answer.winner is None else thumbnail.id == answer.winner,
        "confidence": answer.confidence,
        "ordered_by": None if answer.ordered_by is None else answer.ordered_by.value,
        "evidence_mean": thumbnail.evidence_mean,
        "similarity": thumbnail.similarity_score,
        "why": None if thumbnail.why is None else thumbnail.why.summary,
        **{name: score.value for name, score in thumbnail.sub_scores.items()},
    }


def _packages(answer: ScoreAnswer) -> Iterator[Row]:
    packages = answer.packages
    if packages is None:
        return
    best = (packages.best_title, packages.best_thumbnail)
    for package in packages.grid:
        yield {
            "kind": "package",
            "title": package.title,
            "thumbnail": package.thumbnail,
            "rank": package.rank,
            "score": package.score,
            "win_probability": package.win_probability,
            "margin": package.margin,
            "verdict": None if packages.verdict is None else packages.verdict.value,
            "winner": None if packages.best_title is None else (package.title, package.thumbnail) == best,
            "confidence": packages.confidence,
            "why": package.why.summary,
        }
