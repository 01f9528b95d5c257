"""The name of a niche in requests and answers.

Which niches there are can change while the service runs. So the schema has only the form of a name. A request is also
checked against the niches that the lab has at this moment, which the caller of `model_validate` gives as `context`.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticKnownError

from thumblab_core.niches import DEFAULT_NAMES, NICHE_PATTERN, is_niche_name

_NICHES = "niches"


def context_of(niches: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the context with which a request of a lab with these niches is validated."""
    return {_NICHES: niches}


def _known(name: str, info: ValidationInfo) -> str:
    niches = (info.context or {}).get(_NICHES)
    if (niches is None and is_niche_name(name)) or (niches is not None and name in niches):
        return name
    # The error is the one that an enum of the niches would have, so its words are the same too.
    raise PydanticKnownError("enum", {"expected": _listed(niches or DEFAULT_NAMES)})


def _listed(niches: Sequence[str]) -> str:
    quoted = [f"'{niche}'" for niche in niches]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


PATH_SCHEMA: dict[str, Any] = {"type": "string", "pattern": NICHE_PATTERN}
"""The JSON schema of a niche in the path of a request."""

Niche = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "pattern": NICHE_PATTERN})]
"""The name of a niche, such as `tech`."""
