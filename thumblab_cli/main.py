"""The `thumblab` command. The command imports only the module of the called subcommand, so that `--help` is fast."""

import importlib
import io
import signal
import sys
from importlib import metadata
from types import FrameType
from typing import NoReturn

import click

from thumblab_core.errors import LabError, NoServedModelError
from thumblab_core.loopback import bypass_proxy_for_loopback

COMMANDS = {
    "demo": (
        "demo",
        "Run the whole lab once, without a key or a network, and rank a few thumbnails.",
    ),
    "up": ("up", "Run Dagster, MLflow and the scoring service until Ctrl-C."),
    "doctor": ("doctor", "Examine the lab, report what is wrong, and name the command that repairs it."),
    "logs": ("logs", "Show the logs of the servers of `thumblab up`."),
    "summary": ("watching.summary", "Print what happened in the lab during the last day."),
    "alert": ("watching.alert", "List and close open alerts, and send a test alert."),
    "import": (
        "importing.catalogue",
        "Read a folder of thumbnails and their views into the lab.",
    ),
    "refresh": (
        "refresh",
        "Encode, index, train and serve the videos in the lab, without YouTube.",
    ),
    "import-studio": (
        "importing.studio",
        "Read the true CTR of your own videos from YouTube Studio exports.",
    ),
    "import-reach": (
        "importing.reach",
        "Read the true CTR of your own videos from the YouTube Reporting API.",
    ),
    "niche": ("niches.niche", "List, add, change, retire and propose niches."),
    "crawl": ("crawl", "Plan the crawl for training, and show its progress."),
    "quota": ("quota", "Show the YouTube quota that is left today."),
    "channel": ("channel", "Learn from the videos of your own channel."),
    "experiment": ("experiment", "Store, report and plan tests of two or three thumbnails on one video."),
    "predictions": ("predictions", "Show and delete the answers that the scoring service kept."),
    "score": ("score", "Rank thumbnails against each other and against the videos of their niche."),
    "evaluate": ("evaluate", "Evaluate the ranking model and compare it with simple baselines."),
    "train": ("train", "Train the ranking model on the newest pairs of the lab."),
    "fine-tune": (
        "fine_tune",
        "Fine-tune the image encoder on the newest pairs of the lab.",
    ),
    "similar": ("library.similar", "Find thumbnails of the library like a picture, a video or a text."),
    "library": ("library.maps", "Show and export the map of a library: groups of similar thumbnails."),
    "index": ("library.index", "Show, change, check and search the library of a niche."),
    "video": ("video", "Delete single videos from the lab."),
    "people": ("people.people", "Find, group and name the people in thumbnails."),
    "report": ("reports.report", "Report how the winners of a niche differ from other videos."),
    "models": ("models", "Fetch the small model files that the lab can use."),
    "mcp": ("mcp", "Let an assistant ask the scoring service (Model Context Protocol)."),
    "backup": ("copies.backup", "Copy the lab into a folder while it runs, or check such a copy."),
    "restore": ("copies.restore", "Restore a lab from a backup, on this or another machine."),
    "move": ("copies.move", "Copy releases and pictures to an object store, or back to this disk."),
    "db": ("db", "Start, stop and migrate the database."),
    "key": ("key", "Print the API key of the scoring service; make, list and revoke more keys."),
}
"""The subcommands by name. The value is the name of the subcommand's module in `thumblab_cli.commands`, and a help text
of one line.
"""

_RESUMED = {"demo", "import", "refresh", "train", "fine-tune", "backup", "move"}
"""The subcommands that continue where they were stopped when they are run again."""


class LazyGroup(click.Group):
    """A click group with the subcommands of `COMMANDS`. The group imports only the module of the called subcommand.

    After a LabError, the group prints one line on stderr and ends the command with exit status 1. A failure of the disk
    or of the database, such as a full disk, is treated in the same way. Ctrl-C prints one line on stderr and ends the
    command with exit status 130.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"thumblab_cli.commands.{COMMANDS[name][0]}").command
        from thumblab_cli.which_lab import offer_demo

        offer_demo(command, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LabError as error:
            from thumblab_cli.which_lab import on_this_lab

            hint = _other_lab(ctx, error) if isinstance(error, NoServedModelError) else ""
            click.echo(f"thumblab: {on_this_lab(str(error))}{hint}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            resumes = ctx.invoked_subcommand in _RESUMED
            more = "; the same command continues where it was stopped" if resumes else ""
            click.echo(f"thumblab: stopped{more}", err=True)
            ctx.exit(130)
        except click.Abort:
            if sys.stdin.isatty():
                raise
            click.echo(
                "thumblab: nothing was changed, because nobody confirmed; without a terminal, add --yes", err=True
            )
            ctx.exit(1)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            from thumblab_cli.which_lab import on_this_lab
            from thumblab_core.database.failures import explained_failure

            failure = explained_failure(error)
            if failure is None:
                raise
            click.echo(f"thumblab: {on_this_lab(str(failure))}", err=True)
            ctx.exit(1)


def _other_lab(ctx: click.Context, error: NoServedModelError) -> str:
    """Return a clause for the end of an error message. The clause names another lab that is running, and says how to
    use the other lab.

    Return an empty text if no other lab is running.
    """
    from thumblab_cli.servers.running_services import running_related_lab

    command = cli.get_command(ctx, ctx.invoked_subcommand or "")
    has_demo_option = command is not None and any(parameter.name == "demo" for parameter in command.params)
    hint = running_related_lab(error.data_dir, has_demo_option)
    return "" if hint is None else f"; {hint}"


def _show_version(ctx: click.Context, _: click.Parameter, requested: bool) -> None:
    if requested:
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
    """Predict which thumbnail will win in a niche, by how much, and why.

    Settings are THUMBLAB_* variables in the environment or in .env.
    """
    bypass_proxy_for_loopback()


def _stop_on_sigterm(number: int, _: FrameType | None) -> None:
    """Raise KeyboardInterrupt for SIGTERM, and ignore SIGINT."""
    if number == signal.SIGTERM:
        raise KeyboardInterrupt


def main() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        # Titles and file names may contain any character. Replace characters that the terminal's encoding lacks,
        # because printing such characters raises an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # A shell starts background jobs with SIGINT ignored. Dagster sets the handler of SIGTERM to the handler of SIGINT,
    # so the command would ignore SIGTERM too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop_on_sigterm)
    cli(prog_name="thumblab")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
