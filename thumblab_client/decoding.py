"""Turn the JSON of an answer into the dataclasses of `thumblab_client.models`."""

import dataclasses
import functools
import types
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from thumblab_client.errors import UnexpectedAnswerError

T = TypeVar("T")


def decode(kind: type[T], document: object) -> T:
    """Return `document`, a parsed JSON value, as an instance of the dataclass `kind`.

    A newer service may send more than `kind` describes. So fields that `kind` does not have are ignored, and a text is
    accepted even if the `Literal` of its field does not list the text.

    Raises `UnexpectedAnswerError` if a field is missing or has another type. The message names the field.
    """
    return cast(T, _decode(kind, document, ""))


def _decode(kind: Any, value: object, path: str) -> object:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), value, path)
    if origin is list:
        if isinstance(value, list):
            (item,) = get_args(kind)
            return [_decode(item, element, f"{path}.{position}") for position, element in enumerate(value)]
    elif origin is dict:
        if isinstance(value, Mapping):
            return {key: _decode(get_args(kind)[1], element, f"{path}.{key}") for key, element in value.items()}
    elif origin is Literal:
        if type(value) in {type(choice) for choice in get_args(kind)}:
            return value
    elif dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping):
            return _fields(cast(type, kind), value, path)
    elif kind in (date, datetime):
        if isinstance(value, str):
            return _moment(kind, value, path)
    elif kind is Any or (kind is not bool and not isinstance(value, bool) and isinstance(value, _accepted(kind))):
        return float(cast(float, value)) if kind is float else value
    elif kind is bool and isinstance(value, bool):
        return value
    raise UnexpectedAnswerError(f"{path.lstrip('.') or 'the answer'} is {_described(value)}, which is not expected")


def _moment(kind: type[date], text: str, path: str) -> date:
    try:
        return kind.fromisoformat(text)
    except ValueError:
        raise UnexpectedAnswerError(f"{path.lstrip('.')} is not a {kind.__name__} in the form of ISO 8601") from None


def _one_of(kinds: tuple[Any, ...], value: object, path: str) -> object:
    if value is None and type(None) in kinds:
        return None
    failure: UnexpectedAnswerError | None = None
    for kind in kinds:
        if kind is not type(None):
            try:
                return _decode(kind, value, path)
            except UnexpectedAnswerError as error:
                failure = failure or error
    assert failure is not None
    raise failure


def _fields(kind: type, document: Mapping[str, object], path: str) -> object:
    values = {}
    for field, hint in _hints(kind):
        where = f"{path}.{field.name}"
        if field.name in document:
            values[field.name] = _decode(hint, document[field.name], where)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UnexpectedAnswerError(f"{where.lstrip('.')} is missing in the answer")
    return kind(**values)


@functools.cache
def _hints(kind: type) -> list[tuple[dataclasses.Field[Any], Any]]:
    """Return the fields of a dataclass with their types."""
    hints = get_type_hints(kind)
    return [(field, hints[field.name]) for field in dataclasses.fields(kind)]


def _accepted(kind: Any) -> tuple[type, ...]:
    return (int, float) if kind is float else (kind,)


def _described(value: object) -> str:
    return "null" if value is None else f"a value of the type {type(value).__name__}"
