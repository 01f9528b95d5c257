"""The `thumblab` command. A subcommand's module is imported when it is run, so that `--help` answers at once."""

import importlib
import io
import sys
from importlib import metadata
from typing import NoReturn

import click

from thumblab_core.errors import LabError
from thumblab_core.loopback import spare_loopback

COMMANDS = {
    "demo": (
        "thumblab_cli.demo:command",
        "Run the whole lab once, with no key and no network, and rank a few thumbnails.",
    ),
    "up": ("thumblab_cli.up:command", "Run Dagster, MLflow and the scoring service until Ctrl-C."),
    "import": ("thumblab_cli.import_catalogue:command", "Read a folder of thumbnails and their views into the lab."),
    "refresh": ("thumblab_cli.refresh:command", "Serve what the lab holds: encode, index and train, without YouTube."),
    "import-studio": (
        "thumblab_cli.import_studio:command",
        "Read the true CTR of your own videos from YouTube Studio exports.",
    ),
    "import-reach": (
        "thumblab_cli.import_reach:command",
        "Read the true CTR of your own videos from the YouTube Reporting API.",
    ),
    "crawl": ("thumblab_cli.crawl:command", "Plan the crawl for training, and see how far it is."),
    "quota": ("thumblab_cli.quota:command", "Show what is left of YouTube's quota today."),
    "channel": ("thumblab_cli.channel:command", "Learn from the videos of your own channel."),
    "score": ("thumblab_cli.score:command", "Rank thumbnails against each other and their niche."),
    "evaluate": ("thumblab_cli.evaluate:command", "Measure the ranking model beside its baselines."),
    "train": ("thumblab_cli.train:command", "Train the ranking model on the newest pairs of the lab."),
    "fine-tune": ("thumblab_cli.fine_tune:command", "Fine-tune the image encoder on the newest pairs of the lab."),
    "index": ("thumblab_cli.index:command", "See, change, check and search the library of a niche."),
    "models": ("thumblab_cli.models:command", "Fetch the small model files that the lab can use."),
    "db": ("thumblab_cli.db:command", "Start, stop and migrate the database."),
    "key": ("thumblab_cli.key:command", "Print the API key of the scoring service."),
}
"""Name of each subcommand: where it is (`module:object`), and its help in one line."""


class LazyGroup(click.Group):
    """Subcommands from `COMMANDS`; a LabError of theirs becomes one line on stderr and exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LabError as error:
            click.echo(f"thumblab: {error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            ctx.exit(130)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"thumblab {metadata.version('thumblab')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Which thumbnail will win in this niche, by how much, and why?

    Settings come from THUMBLAB_* in the environment or in .env.
    """
    spare_loopback()


def main() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        # Titles and file names are anybody's: what a terminal has no characters for is replaced, and stops nothing.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    cli(prog_name="thumblab")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
