"""Check the ids that a request gives to its pictures and items. Answers repeat the ids, so the ids get into tables and
logs.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from thumblab_core.given_text import HIDDEN_CHARACTERS

MAX_ID = 128
"""Maximum number of characters of an id."""

PATTERN = f"^[^{HIDDEN_CHARACTERS}]*$"
"""Regular expression of the characters of an id, for the OpenAPI document."""

_ALLOWED = re.compile(rf"[^{HIDDEN_CHARACTERS}\ud800-\udfff]{{1,{MAX_ID}}}")

_RULE = (
    f"an id has 1 to {MAX_ID} characters, without line breaks, control characters, invisible characters and characters "
    "that change the direction of the text"
)


def is_item_id(text: str) -> bool:
    """Return whether a request may use the text as an id."""
    return _ALLOWED.fullmatch(text) is not None


def cleaned_id(text: str) -> str:
    """Turn any text into an id. Forbidden characters become `?`, and only the end of a long text is kept."""
    clean = re.sub(rf"[{HIDDEN_CHARACTERS}\ud800-\udfff]", "?", text) or "?"
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
