"""Write docs/reference/cli.md from the help texts that click makes for the commands."""

from collections.abc import Iterator

import click

from thumblab_cli.main import cli
from thumblab_cli.reference.markdown import GENERATED

_WIDTH = 96

_INTRODUCTION = f"""\
# Commands

Each command prints this help with `--help`. A command that fails prints one line on stderr, and ends with exit status 1.
A wrong option ends it with 2, and Ctrl-C with 130. The option `--json` prints JSON on stdout, for programs.

{GENERATED}"""


def page() -> str:
    sections = (
        f"{'#' * level} {context.command_path}\n\n```text\n{_help(context)}\n```\n"
        for level, context in _contexts(click.Context(cli, info_name="thumblab", **cli.context_settings), 2)
    )
    return "\n".join([_INTRODUCTION, *sections])


def _contexts(context: click.Context, level: int) -> Iterator[tuple[int, click.Context]]:
    """Yield click's context of a command and of all its subcommands, each with the level of its heading on the page."""
    yield level, context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            deeper = level if context.parent is None else level + 1
            inner = click.Context(command, parent=context, info_name=name, **command.context_settings)
            yield from _contexts(inner, deeper)


def _help(context: click.Context) -> str:
    formatter = click.HelpFormatter(width=_WIDTH)
    context.command.format_help(context, formatter)
    return formatter.getvalue().strip()
