"""Make command-line options from the fields of a dataclass, with the names, types and defaults of the fields."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def options_of(config: type[Any], help_texts: Mapping[str, str]) -> Callable[[Function], Function]:
    """Return a decorator that adds options to a command, one for each field in `help_texts`.

    The command gets the values of the options as keyword arguments. `epochs` must be at least 1. Every other number
    must be at least 0.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    types = get_type_hints(config)

    def decorate(function: Function) -> Function:
        for name, help_text in reversed(list(help_texts.items())):
            option = click.option(
                f"--{name.replace('_', '-')}",
                name,
                type=_type(name, types[name]),
                default=defaults[name],
                show_default=True,
                help=help_text,
            )
            function = option(function)
        return function

    return decorate


def _type(name: str, annotation: Any) -> click.ParamType[Any]:
    if annotation is int:
        return click.IntRange(min=1 if name == "epochs" else 0)
    return click.FloatRange(min=0) if annotation is float else click.Choice(get_args(annotation))
