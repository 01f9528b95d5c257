"""The type of arguments and options that name a niche of the lab."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from thumblab_core.niches import NicheFile, is_niche_name
from thumblab_core.settings import Settings, settings

if TYPE_CHECKING:
    _ParamType = click.ParamType[str]
else:  # In older versions of click, the class is not generic.
    _ParamType = click.ParamType


class NicheType(_ParamType):
    """The name of one of the lab's niches, or one of the words in `also`.

    With `--demo`, the niches are those of the demo's lab.

    If `of_service` is true and the settings name a service elsewhere, every well-formed niche name is allowed. The
    service then refuses a niche that it does not have.
    """

    name = "niche"

    def __init__(self, *also: str, of_service: bool = False) -> None:
        self._also, self._of_service = also, of_service

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        chosen = _chosen(ctx)
        if self._of_service and chosen.serving_url is not None and is_niche_name(str(value)):
            return str(value)
        names: Sequence[str] = NicheFile(chosen.data_dir).names
        if value not in (*names, *self._also) and chosen.database_url is not None:
            names = _names_in_database(chosen)
        if value in (*names, *self._also):
            return str(value)
        self.fail(f"{str(value)[:80]!r} is not one of {', '.join(map(repr, (*names, *self._also)))}.", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = (*NicheFile(settings().data_dir).names, *self._also)
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


NICHE, NICHE_OF_SERVICE = NicheType(), NicheType(of_service=True)


def known_niches(chosen: Settings) -> tuple[str, ...] | None:
    """Return the niches of the lab. Return None if the settings name a service elsewhere, because that service may have
    other niches.
    """
    return None if chosen.serving_url is not None else NicheFile(chosen.data_dir).names


def _chosen(ctx: click.Context | None) -> Settings:
    """Return the settings of the lab that the options of the command choose. These options are read first."""
    if ctx is None or ctx.params.get("demo") is not True:
        return settings()
    from thumblab_cli.which_lab import demo_settings

    # Some commands have an own option `--catalogue`, which chooses no lab. Click puts a value of its own in place of an
    # option that was not given.
    chooses = any(option.name == "catalogue" and option.is_eager for option in ctx.command.params)
    catalogue = ctx.params.get("catalogue")
    return demo_settings(catalogue if chooses and isinstance(catalogue, Path) else None)


def _names_in_database(chosen: Settings) -> Sequence[str]:
    """Return the niches in the user's database. Another machine may have added niches to this database."""
    from thumblab_pipelines.lab import Lab

    return Lab.existing(chosen).niches
