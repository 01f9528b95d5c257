"""Register a function for one path of the service and for its aliases."""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def with_aliases(
    register: Callable[..., Callable[[Function], Function]], path: str, *aliases: str, summary: str, **options: Any
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function for `path` and for each of the `aliases`.

    `register` is a method of a router, such as `router.post`. `register` is called with `summary` and `options` as
    arguments. For an alias, the summary says that the alias does the same as `path`.
    """

    def decorate(function: Function) -> Function:
        register(path, summary=summary, **options)(function)
        for alias in aliases:
            register(alias, summary=f"The same as `{path}`", **options)(function)
        return function

    return decorate
