"""Make texts by other people safe to print on a terminal."""


def printable(text: str) -> str:
    """Return the text with unprintable characters replaced.

    Anybody can put control characters into a title. A terminal would execute these characters.
    """
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def cell(text: str) -> str:
    """Return the text for a cell or for the title of a table. Rich prints square brackets in the result, and does not
    read them as markup.
    """
    from rich.markup import escape

    return escape(printable(text))


def counted(count: int, noun: str) -> str:
    """Return the count with its noun, in the plural unless the count is 1. The plural must end in `s`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
