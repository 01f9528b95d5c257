"""The rows of a table that people and spreadsheets wrote. A quote that is never closed costs its own row only."""

import csv
from collections.abc import Callable, Iterator, Sequence

SEPARATORS = ",;\t"

IsRow = Callable[[Sequence[str]], bool]
"""Whether the cells of a line, as many as the header has, are a row of their own."""


def separator_of(header: str) -> str:
    """What makes the most columns of the header: a comma, unless a spreadsheet has saved the file anew."""
    return max(SEPARATORS, key=lambda mark: len(next(csv.reader([header[:10_000]], delimiter=mark), [])))


def read_rows(lines: Sequence[str], start: int, separator: str, is_row: IsRow) -> Iterator[tuple[int, list[str] | str]]:
    """Line number and cells of each row from `lines[start]`, the header, on; or what is wrong with the row.

    A quote that is never closed swallows the rows after it: where a row goes on over lines that are rows of
    their own, only its first line is given up.
    """
    width = 0

    def stands_alone(line: str) -> bool:
        cells = next(csv.reader([line], delimiter=separator), [])
        return len(cells) == width and is_row(cells)

    while start < len(lines):
        base, start = start, len(lines)
        reader = csv.reader((lines[at] for at in range(base, len(lines))), delimiter=separator)
        while True:
            first = base + reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error as error:  # such as a cell of more than 128 KiB
                yield first + 1, str(error)
                start = first + 1
                break
            width = width or len(row)
            more = lines[first + 1 : base + reader.line_num]
            if more and (len(row) != width or any(stands_alone(line) for line in more)):
                yield first + 1, "a quote is opened and not closed on this line"
                start = first + 1
                break
            yield first + 1, row


def not_utf8(text: str) -> bool:
    """Whether a byte that is not UTF-8 was read as a lone surrogate."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)
