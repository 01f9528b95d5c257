"""Check text that a person gave: whether it is valid, can be seen, and has the form of an id of YouTube."""

import re
from urllib.parse import unquote

from thumblab_core.errors import LabError

_SHOWN = 100
"""The largest number of characters of a text that an error message shows."""

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
"""The form of YouTube's video ids."""

CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
"""The form of YouTube's channel ids."""

HIDDEN_CHARACTERS = (
    r"\x00-\x1f\x7f-\x9f"  # control characters (Cc)
    r"\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    r"\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
    r"\u2028\u2029"  # line and paragraph separators (Zl, Zp); the lines above have format characters (Cf)
)
"""Control characters, and characters that are invisible or change the direction of text, as ranges of a regular
expression. These characters are not allowed in ids of requests and in new titles of channels.
"""

CHANNEL_HELP = "give its id (UC...), its exact title, its @handle, or its link with /channel/ or /@handle"
"""How a person can name a channel."""

_HIDDEN = re.compile(rf"[{HIDDEN_CHARACTERS}\ud800-\udfff]")

_CHANNEL_LINK = re.compile(
    r"(?:https?://)?(?:(?:www|m|music|studio)\.)?youtube\.com/(?:channel/([A-Za-z0-9_-]{1,64})|(@[^/?#\s]+))(?:[/?#].*)?",
    re.ASCII,
)
_HANDLE = re.compile(r"@[^/?#\s\x00-\x1f\x7f-\x9f]+")
"""The form of a @handle after its escapes, such as `%C3%A9`, are decoded: no blank and no control character."""

_VIDEO_LINK = re.compile(
    r"(?:https?://)?(?:(?:www|m|music|studio)\.)?(?:youtu\.be/|youtube(?:-nocookie)?\.com/"
    r"(?:(?:shorts|embed|live|v|video)/|watch\?(?:[^#\s]*&)?v=))([A-Za-z0-9_-]{11})(?:[/?&#].*)?",
    re.ASCII,
)

_ANY_LINK = re.compile(r"(?:\w+:)?//|(?:(?:www|m|music|studio)\.)?youtube\.com/|youtu\.be/")


def channel_name(text: str) -> str:
    """Return the id, the @handle or the title that a person gave for a channel.

    If `text` is a link to a channel on YouTube, return the id or the @handle in the link. Raises `LabError` for any
    other link, for a link with an impossible @handle, and for a text that is blank or not valid UTF-8.
    """
    if not storable(text):
        raise LabError(f"the channel {text[:_SHOWN]!r} is not text in UTF-8; {CHANNEL_HELP}")
    if not visible(text):
        raise LabError(f"the channel {text[:_SHOWN]!r} has no visible character; {CHANNEL_HELP}")
    text = text.strip()
    link = _CHANNEL_LINK.fullmatch(text)
    if link is not None:
        return link[1] or _handle_in(text, link[2])
    if _ANY_LINK.match(text):
        raise LabError(f"{text[:_SHOWN]!r} is not a link to a channel; {CHANNEL_HELP}")
    return text


def video_id_of(text: str) -> str:
    """Return the id of a video that a person named by its id or by its link on YouTube.

    Any other text without a link is returned unchanged, because videos of an imported catalogue may have ids of another
    form. Raises `LabError` for a link that is not the link of a video, and for a text that is blank or not valid UTF-8.
    """
    text = text.strip()
    if not visible(text) or "\0" in text or not_utf8(text):
        raise LabError(
            f"{text[:_SHOWN]!r} is not the id of a video; give the 11 characters after watch?v=, or the link"
        )
    link = _VIDEO_LINK.fullmatch(text)
    if link is not None:
        return link[1]
    if _ANY_LINK.match(text):
        raise LabError(f"{text[:_SHOWN]!r} is not the link of a video; give the 11 characters after watch?v=")
    return text


def _handle_in(link: str, escaped: str) -> str:
    """Return the @handle in a link, with its escapes decoded. Raises `LabError` if the text cannot be a @handle."""
    try:
        handle = unquote(escaped, errors="strict")
    except UnicodeDecodeError:
        raise LabError(f"the @handle in {link[:_SHOWN]!r} is not text in UTF-8; {CHANNEL_HELP}") from None
    if not _HANDLE.fullmatch(handle) or not visible(handle[1:]):
        raise LabError(f"the @handle in {link[:_SHOWN]!r} has characters that no @handle may have; {CHANNEL_HELP}")
    return handle


def has_hidden(text: str) -> bool:
    """Return whether the text has one of `HIDDEN_CHARACTERS`, or a lone surrogate."""
    return _HIDDEN.search(text) is not None


def without_hidden(text: str) -> str:
    """Return the text without `HIDDEN_CHARACTERS` and lone surrogates."""
    return _HIDDEN.sub("", text)


def shown(text: str) -> str:
    """Return the first 100 characters of the text, with the escapes of Python in place of `HIDDEN_CHARACTERS` and lone
    surrogates. If the text is longer, the result ends with `…`.
    """
    escaped = _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text[:_SHOWN])
    return escaped if len(text) <= _SHOWN else f"{escaped}…"


def visible(text: str) -> bool:
    """Return whether the text has a visible character. For example, a title of one zero-width space has no visible
    character.
    """
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def storable(text: str) -> bool:
    """Return whether PostgreSQL can store the text. It cannot store a NUL character or a lone surrogate."""
    return "\0" not in text and not not_utf8(text)


def not_utf8(text: str) -> bool:
    """Return whether the text contains a lone surrogate, which no UTF-8 text contains.

    Python puts a lone surrogate in place of a byte that is not valid UTF-8, for example in arguments of a command.
    """
    return any("\ud800" <= letter <= "\udfff" for letter in text)
