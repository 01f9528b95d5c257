"""Check the video ids in imported tables."""

from thumblab_core.given_text import VIDEO_ID

MAX_SHOWN_ID = 200
"""The list of problems of a table shows at most this number of characters of a video id.

In a damaged table, the cell of the id may contain a much longer text.
"""


def require_video_id(text: str) -> None:
    """Raise `ValueError` if the text is not the id of a video. The message is for the person who imports the table."""
    if not VIDEO_ID.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not the id of a video (11 letters, digits, - and _)")
