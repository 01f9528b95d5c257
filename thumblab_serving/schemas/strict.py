"""The base of the models of requests and answers."""

from pydantic import BaseModel, ConfigDict, model_validator

_UNKNOWN_FIELDS_LISTED = 5
"""With more unknown fields than this, one sentence replaces an error for each of them."""


class StrictModel(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_many_unknown_fields(cls, data: object) -> object:
        """Raise one error where pydantic would make one for each of many unknown fields."""
        if isinstance(data, dict) and len(data) > len(cls.model_fields) + _UNKNOWN_FIELDS_LISTED:
            raise ValueError(f"{len(data)} fields were sent; use only {', '.join(cls.model_fields)}")
        return data
