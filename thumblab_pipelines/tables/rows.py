"""Read the rows of a CSV table that people or spreadsheets wrote. If a quote is never closed, only one row is
skipped."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence

SEPARATORS = ",;\t"

IsRow = Callable[[Sequence[str]], bool]
"""A function that returns whether the cells of a line are a complete row. The function gets as many cells as the header
has.
"""


def header_line(lines: Sequence[str]) -> int:
    """Return the index of the header line.

    Empty lines before the header are skipped. A line such as `sep=;`, in which Excel names the separator, is skipped
    too.
    """
    for number, line in enumerate(lines):
        if line.strip() and not re.fullmatch(r'"?sep=.?"?\s*', line, re.IGNORECASE):
            return number
    return len(lines)


def separator_of(header: str) -> str:
    """Return the separator that splits the header into the most columns.

    If several separators give the same number of columns, return the first of them.
    """
    return max(SEPARATORS, key=lambda mark: len(next(csv.reader([header[:10_000]], delimiter=mark), [])))


def read_rows(lines: Sequence[str], start: int, separator: str, is_row: IsRow) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the line number of each row, with the cells of the row or with a sentence about its fault.

    The first row is the header, at `lines[start]`. Line numbers start at 1. If a quote is never closed, the CSV parser
    reads all later rows into one cell. So this function checks each row that spans several lines. The quote is a
    mistake if the row has more or fewer cells than the header, or if one of its later lines is a complete row. In both
    cases, only the row's first line is skipped, and reading continues at the next line.
    """
    width = 0

    def is_complete(line: str) -> bool:
        cells = next(csv.reader([line], delimiter=separator), [])
        return len(cells) == width and is_row(cells)

    while start < len(lines):
        base, start = start, len(lines)
        reader = csv.reader((lines[number] for number in range(base, len(lines))), delimiter=separator)
        while True:
            first = base + reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error as error:  # The parser raises `csv.Error`, for example, if a cell is larger than 128 KiB.
                yield first + 1, str(error)
                start = first + 1
                break
            width = width or len(row)
            more = lines[first + 1 : base + reader.line_num]
            if more and (len(row) != width or any(is_complete(line) for line in more)):
                yield first + 1, "a quote is opened and not closed on this line"
                start = first + 1
                break
            yield first + 1, row
