"""Make one line of any text."""


def one_line(text: str) -> str:
    """Return the text without line breaks and other control characters, and with single spaces."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
