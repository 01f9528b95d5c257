"""Read the rows of a CSV table that people or spreadsheets wrote. A quote that is never closed costs one row."""

import csv
from collections.abc import Callable, Iterator, Sequence

SEPARATORS = ",;\t"

IsRow = Callable[[Sequence[str]], bool]
"""Whether the cells of a line, as many as the header has, are a complete row."""


def separator_of(header: str) -> str:
    """Return the separator that gives the header the most columns; a comma if several do."""
    return max(SEPARATORS, key=lambda mark: len(next(csv.reader([header[:10_000]], delimiter=mark), [])))


def read_rows(lines: Sequence[str], start: int, separator: str, is_row: IsRow) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the line number of each row, with its cells or with a sentence on what is wrong with it.

    The first row is the header, at `lines[start]`; line numbers count from 1. A quote that is never closed takes the
    rows after it into its cell. So if a row goes over lines that are complete rows themselves, only its first line is
    skipped.
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
            except csv.Error as error:  # such as a cell of more than 128 KiB
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


def not_utf8(text: str) -> bool:
    """Whether the text holds a lone surrogate, which stands for a byte that is not UTF-8."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)
