"""Turn any text into one line."""


def one_line(text: str) -> str:
    """Return the text with single spaces, and without line breaks and other control characters."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
