"""Options of a command that are fields of a dataclass: named, typed and defaulted as it says."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def options_of(config: type[Any], wanted: Mapping[str, str]) -> Callable[[Function], Function]:
    """A decorator: an option for each wanted field, with its help; the command gets all of them as keywords.

    Numbers are at least 0, `epochs` at least 1.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    types = get_type_hints(config)

    def decorate(function: Function) -> Function:
        for name, said in reversed(list(wanted.items())):
            option = click.option(
                f"--{name.replace('_', '-')}",
                name,
                type=_type(name, types[name]),
                default=defaults[name],
                show_default=True,
                help=said,
            )
            function = option(function)
        return function

    return decorate


def _type(name: str, said: Any) -> click.ParamType[Any]:
    if said is int:
        return click.IntRange(min=1 if name == "epochs" else 0)
    return click.FloatRange(min=0) if said is float else click.Choice(get_args(said))
