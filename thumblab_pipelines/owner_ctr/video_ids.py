"""Check the video ids in imported tables."""

from thumblab_core.given_text import VIDEO_ID

MAX_SHOWN_ID = 200
"""The list of a table's problems shows at most this many characters of a row's video id.

In a damaged table, the cell of the id may hold a much longer text.
"""


def require_video_id(text: str) -> None:
    """Raise `ValueError` if the text is not the id of a video. The message is shown to the person who imports the
    table.
    """
    if not VIDEO_ID.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not the id of a video (11 letters, digits, - and _)")
