"""The base class of the models of requests and answers, and the types of the numbers in JSON bodies."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from thumblab_core.near_names import nearest

_UNKNOWN_FIELDS_LISTED = 5
"""If a request has at most this many fields more than its model, each unknown field gets an error of its own.

With even more fields, the request gets a single error.
"""

_UNKNOWN_FIELD = "unknown_field"
"""The type of the errors that this module raises for unknown fields."""

_LONGEST_NAME = 80
"""Only this number of characters of an unknown field's name is compared with the names of known fields."""

_MEANT = {
    "niche": "category",
    "category": "niche",
    "image": "image_base64",
    "images": "thumbnails",
    "files": "thumbnails",
}
"""The right field name for each wrong name that a user may send.

The wrong names are right in other parts of the lab, or in other services.
"""


def _whole(value: object) -> object:
    """Return the whole number 5 for 5.0, because JSON does not distinguish 5 and 5.0. Return other values unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


AS_WHOLE = BeforeValidator(_whole)
"""Makes a type accept 5.0 for 5. A whole number in a JSON body is `Annotated[int, Strict(), Field(limits), AS_WHOLE]`,
which refuses texts and booleans. Write the limits before `AS_WHOLE`, because pydantic leaves later limits out of the
OpenAPI document.

The fields of queries and forms are texts, so they cannot have this type.
"""

Number = Annotated[float, Strict(), AllowInfNan(False)]
"""A number of a JSON body. Texts, booleans, NaN and Infinity are refused."""


class FrozenModel(BaseModel):
    """A frozen model that refuses unknown fields.

    The answer to a scoring request has dozens of nested models. They are only frozen models, because frozen models are
    validated faster than a `StrictModel`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class StrictModel(FrozenModel):
    """A frozen model whose error for an unknown field lists the fields that the model has.

    All models of requests are strict models. The models of most other answers are strict models too.
    """

    sent_beside: ClassVar[tuple[str, ...]] = ()
    """Names of fields that a request may have in addition to the fields of this model, such as the files of a form."""

    @model_validator(mode="wrap")
    @classmethod
    def _explain_unknown_fields(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Add to the error of each unknown field what to send instead.

        If there are very many unknown fields, raise one error for all of them.
        """
        if isinstance(data, dict) and len(data) > len(cls.model_fields) + _UNKNOWN_FIELDS_LISTED:
            raise ValueError(f"{len(data)} fields were sent; use only {cls._allowed()}")
        try:
            return handler(data)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                cls.__name__, [cls._explained(e) for e in error.errors()]
            ) from None

    @classmethod
    def _allowed(cls) -> str:
        """Return the names of the fields, separated by commas."""
        return ", ".join(dict.fromkeys((*cls.model_fields, *cls.sent_beside)))

    @classmethod
    def _explained(cls, error: Any) -> InitErrorDetails:
        """Return an error of pydantic in the form that a new `ValidationError` needs.

        The error for an unknown field says what to send instead.
        """
        kind: str | PydanticCustomError = error["type"]
        if kind == "extra_forbidden" and len(error["loc"]) == 1:
            kind = PydanticCustomError(_UNKNOWN_FIELD, "{advice}", {"advice": cls._advice(str(error["loc"][0]))})
        elif kind == _UNKNOWN_FIELD:  # A nested model found this unknown field and added the advice.
            kind = PydanticCustomError(_UNKNOWN_FIELD, "{advice}", error["ctx"])
        return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))

    @classmethod
    def _advice(cls, unknown: str) -> str:
        """Return what to send instead of an unknown field."""
        known = (*cls.model_fields, *cls.sent_beside)
        meant = _MEANT.get(unknown)
        meant = meant if meant in known else nearest(unknown[:_LONGEST_NAME], known)
        advice = "" if meant is None else f"use {meant}; "
        return f"there is no such field; {advice}the fields are {cls._allowed()}"
