"""Check the ids that a request gives to its pictures and items. Answers repeat them, so they go into tables and logs."""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

MAX_ID = 128
"""Maximum number of characters of an id."""

_FORBIDDEN = (
    r"\x00-\x1f\x7f-\x9f"  # control characters (Cc)
    r"\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    r"\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
    r"\u2028\u2029"  # line and paragraph separators (Zl, Zp); those before are format characters (Cf)
)
"""The characters that no id has, as ranges of a regular expression. They are invisible or change the direction of text."""

PATTERN = f"^[^{_FORBIDDEN}]*$"
"""Regular expression of the characters of an id, for the OpenAPI document."""

_ALLOWED = re.compile(rf"[^{_FORBIDDEN}\ud800-\udfff]{{1,{MAX_ID}}}")

_RULE = (
    f"an id has 1 to {MAX_ID} characters, without line breaks, control characters, invisible characters and those that "
    "change the direction of the text"
)


def is_item_id(text: str) -> bool:
    """Return whether a request may use the text as an id."""
    return _ALLOWED.fullmatch(text) is not None


def cleaned_id(text: str) -> str:
    """Return an id for a text that may be no id: forbidden characters become `?`, and of a long text the end is kept."""
    clean = re.sub(rf"[{_FORBIDDEN}\ud800-\udfff]", "?", text) or "?"
    return clean if len(clean) <= MAX_ID else "…" + clean[1 - MAX_ID :]


def _item_id(text: str) -> str:
    if not is_item_id(text):
        raise ValueError(_RULE)
    return text


ItemId = Annotated[
    str,
    AfterValidator(_item_id),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": PATTERN}),
]
