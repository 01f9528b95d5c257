"""The name of a niche in requests and answers.

The niches of the lab can change while the service runs. So the schema only describes the form of a name. A request is
also checked against the present niches of the lab. The caller of `model_validate` passes these niches as `context`.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticKnownError

from thumblab_core.niches import DEFAULT_NAMES, NICHE_PATTERN, is_niche_name

_NICHES = "niches"


def context_of(niches: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return pydantic's validation context for a lab with these niches."""
    return {_NICHES: niches}


def _known(name: str, info: ValidationInfo) -> str:
    niches = (info.context or {}).get(_NICHES)
    if (niches is None and is_niche_name(name)) or (niches is not None and name in niches):
        return name
    # Use pydantic's error for an enum, as if the names of the niches were an enum.
    raise PydanticKnownError("enum", {"expected": _listed(niches or DEFAULT_NAMES)})


def _listed(niches: Sequence[str]) -> str:
    quoted = [f"'{niche}'" for niche in niches]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


PATH_SCHEMA: dict[str, Any] = {"type": "string", "pattern": NICHE_PATTERN}
"""The JSON schema of a niche in the path of a request."""

Niche = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "pattern": NICHE_PATTERN})]
"""The name of a niche, such as `tech`."""
