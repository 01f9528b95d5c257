"""Check and split the names of image encoders.

This module imports no encoder. So `settings.py` can use it, and the encoders can use `settings.py`.
"""

import re

from thumblab_core.near_names import nearest

_KINDS = "builtin, open_clip:MODEL/WEIGHTS or onnx:PATH"
_EXAMPLES = {"builtin": "builtin", "open_clip": "open_clip:MODEL/WEIGHTS", "onnx": "onnx:PATH"}
_PRECISION = re.compile(r"(.+)@(bfloat16|float16|\d{8}T\d{12}Z-[0-9a-f]{8})")


def split_precision(name: str) -> tuple[str, str | None]:
    """Return the name without its precision, and the precision. If the name has no precision, return None as the
    precision.

    The precision is the part after the `@`. It is `bfloat16`, `float16`, or the id of an encoder release. A release has
    its own precision.
    """
    match = _PRECISION.fullmatch(name)
    return (match[1], match[2]) if match else (name, None)


def is_encoder_name(name: str) -> bool:
    """Return whether the name has the form of an image encoder's name. The encoder itself may be missing."""
    plain, precision = split_precision(name)
    kind, _, rest = plain.partition(":")
    if kind == "open_clip":
        return all(rest.partition("/"))
    if kind == "onnx":
        return bool(rest) and precision not in ("bfloat16", "float16")
    return plain == "builtin"


def name_help(name: str) -> str:
    """Return advice for an error message about `name`, which is not the name of an encoder.

    The advice says what to set instead. It does not repeat `name`.
    """
    kind = nearest(name.partition(":")[0], _EXAMPLES)
    hint = "" if kind is None else f"do you mean {_EXAMPLES[kind]}? "
    return f"{hint}set THUMBLAB_IMAGE_ENCODER to {_KINDS}"
