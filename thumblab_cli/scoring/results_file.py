"""The table to which `thumblab score` writes results. A command that was stopped continues with this table."""

import csv
import io
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from thumblab_cli.scoring.score_requests import ScoreRequest
from thumblab_core.durable_files import sync
from thumblab_core.errors import LabError
from thumblab_serving.batches.result_table import COLUMNS as ANSWER_COLUMNS
from thumblab_serving.batches.result_table import Row, csv_line, csv_line_of_texts

COLUMNS = ("request", "rows", "group", "channel", *(name for name in ANSWER_COLUMNS if name not in ("item", "id")))
"""The columns of the table. `request` is the key of the request that the row belongs to. `rows` is the number of rows
of this request.
"""


class ResultsFile:
    """The file with the results of the scored requests. Close this object after use.

    If an interrupted write left only some rows of a request, these rows are removed when the file is opened. With
    `again`, a request is also removed if one of its rows has an error.

    `done` has the keys of all requests that remain in the file. `with_errors` has the keys of the remaining requests in
    which a row has an error.

    Raises `LabError` if the file exists with other columns, or if it cannot be written.
    """

    def __init__(self, path: Path, again: bool) -> None:
        try:
            rows = self._rows(path)
            kept = {key: of_key for key, of_key in rows.items() if _is_complete(of_key)}
            if again:
                kept = {key: of_key for key, of_key in kept.items() if not any(row["error"] for row in of_key)}
            self.done = frozenset(kept)
            self.with_errors = frozenset(key for key in kept if any(row["error"] for row in kept[key]))
            new = path.with_name(f"{path.name}.new")
            lines = [[row[name] for name in COLUMNS] for of_key in kept.values() for row in of_key]
            with new.open("w", newline="", encoding="utf-8") as file:
                file.writelines(map(csv_line_of_texts, [COLUMNS, *lines]))
            sync(new)
            new.replace(path)
            # The name of a folder or file may contain bytes that are not UTF-8. Such bytes are escaped.
            self._file = path.open("a", newline="", encoding="utf-8", errors="backslashreplace")
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            raise LabError(f"--out: {path} cannot be used ({error}); give another file") from None

    def write(self, request: ScoreRequest, rows: Sequence[Row]) -> None:
        """Append the results of a request to the file."""
        about = {"request": request.key, "rows": len(rows), "group": request.group, "channel": request.channel}
        self._file.write("".join(csv_line([(about | dict(row)).get(name) for name in COLUMNS]) for row in rows))
        self._file.flush()

    def close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    @staticmethod
    def _rows(path: Path) -> dict[str, list[dict[str, str]]]:
        """Return the rows of an existing file by the key of their request. If an interrupted write has cut the last
        line, the last line is left out.
        """
        if not path.exists():
            return {}
        # `read_text` replaces the line breaks in cells, so bytes are read and decoded.
        text = path.read_bytes().decode()
        whole = text[: text.rfind("\n") + 1]
        # `splitlines` also splits at characters such as U+2028, which are no line breaks in CSV. So the csv module
        # splits the text.
        reader = csv.DictReader(io.StringIO(whole, newline=""))
        if text and tuple(reader.fieldnames or ()) != COLUMNS:
            raise LabError(f"--out: {path} is not a table of results of `thumblab score`; give another file")
        rows: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in reader:
            rows[row["request"]].append(row)
        return dict(rows)


def _is_complete(rows: Sequence[dict[str, str]]) -> bool:
    """Return whether all rows of a request were completely written.

    Each row must have all its cells. If an interrupted write ended at a line break inside a cell, the last row has too
    few cells.
    """
    are_whole = all(len(row) == len(COLUMNS) and None not in row.values() for row in rows)
    return are_whole and rows[0]["rows"] == str(len(rows))
