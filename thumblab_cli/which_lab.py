"""Choose the lab on which a command works. The lab is the user's own lab, or with `--demo` the demo's lab."""

import functools
import hashlib
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from thumblab_core.data_folder import is_demo, require_lab
from thumblab_core.errors import LabError
from thumblab_core.settings import OWN_PLACES, Settings, settings

Function = TypeVar("Function", bound=Callable[..., Any])

DEMO_FIELDS = ("data_dir", *OWN_PLACES, "image_encoder", "face_model", "title_prior", "youtube_api_key")
"""The names of the settings in which `demo_settings` differs from the settings of the user's own lab."""

_WITHOUT_DEMO = {
    "demo",
    "import",
    "import-studio",
    "import-reach",
    "crawl",
    "refresh",
    "evaluate",
    "fine-tune",
    "experiment add",
    "experiment import",
}
"""The commands without the option `--demo`. They may ask YouTube, or log to the MLflow of the user's own lab. The videos
of the demo's lab come only from its emulator.
"""

_CHOSEN = "thumblab.demo"
"""The key of the `ChosenLab` in click's `meta`, if `--demo` was given."""


@dataclass(frozen=True)
class ChosenLab:
    """A demo's lab: its settings, and the options with which a command chooses it."""

    settings: Settings
    options: str


def demo_and_catalogue(demo: str, verb: str) -> Callable[[Function], Function]:
    """Add `--demo` and `--catalogue` to a command. `demo` is the help text of `--demo`.

    `verb` begins the help text of `--catalogue`: it says what the command does with the lab, such as "use".
    """
    catalogue = click.option(
        "--catalogue",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        is_eager=True,
        help=f"With --demo: {verb} the lab that `thumblab demo --catalogue` made from this folder.",
    )
    # An eager option is read before all other options and arguments. So the type of an argument can ask which lab is
    # chosen.
    return lambda function: click.option("--demo", is_flag=True, is_eager=True, help=demo)(catalogue(function))


def demo_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--demo` and `--catalogue` to a command. The command gets the settings of the chosen lab as `chosen`."""

    @demo_and_catalogue("Use the demo's lab, which `thumblab up --demo` runs.", "use")
    @functools.wraps(function)
    def command(*arguments: Any, demo: bool, catalogue: Path | None, **options: Any) -> Any:
        return function(*arguments, chosen=lab_settings(demo, catalogue), **options)

    return command


def lab_settings(demo: bool, catalogue: Path | None) -> Settings:
    """Return the settings of the lab that the options choose. Raise LabError for `--catalogue` without `--demo`."""
    if catalogue is not None and not demo:
        raise LabError("--catalogue needs --demo; to use a catalogue in your own lab, run `thumblab import`")
    if not demo:
        return settings()
    chosen = demo_settings(catalogue)
    if (context := click.get_current_context(silent=True)) is not None:
        options = "--demo" if catalogue is None else f"--demo --catalogue {shlex.quote(str(catalogue))}"
        context.meta[_CHOSEN] = ChosenLab(chosen, options)
    return chosen


def offer_demo(command: click.Command, path: str) -> None:
    """Add `--demo` and `--catalogue` to a command that uses `chosen_settings`, and to its subcommands.

    `path` has the names of the command, such as `index status`. An option that the command has already stays as it is.
    """
    if path in _WITHOUT_DEMO:
        return
    if isinstance(command, click.Group):
        for name, inner in getattr(command, "commands", {}).items():
            offer_demo(inner, f"{path} {name}")
        return
    callback, names = command.callback, {parameter.name for parameter in command.params}
    if callback is None or "demo" in names:
        return

    def without_options(**_: object) -> None:
        """Do nothing. Only the options of this function are used."""

    offered = demo_and_catalogue("Use the demo's lab, which `thumblab up --demo` runs.", "use")(without_options)
    own_catalogue = "catalogue" in names
    for option in reversed(getattr(offered, "__click_params__")):  # noqa: B009  mypy does not know this attribute
        if option.name not in names:
            command.params.append(option)

    @functools.wraps(callback)
    def of_chosen_lab(*arguments: Any, demo: bool, **options: Any) -> Any:
        chosen = lab_settings(demo, None if own_catalogue else options.pop("catalogue"))
        if demo:
            require_lab(chosen.data_dir)
        return callback(*arguments, **options)

    command.callback = of_chosen_lab


def chosen_settings() -> Settings:
    """Return the settings of the lab that the options of the running command have chosen."""
    context = click.get_current_context(silent=True)
    return settings() if context is None or _CHOSEN not in context.meta else context.meta[_CHOSEN].settings


def on_this_lab(text: str) -> str:
    """Return a text in which each command in backticks works on the lab that `--demo` has chosen.

    A command that has the option `--demo` gets it. `thumblab demo` replaces `thumblab refresh`: it makes everything that
    is missing, with the encoder of the demo's lab. Any other command gets the data folder in front. Without `--demo`, the
    text is returned unchanged.
    """
    context = click.get_current_context(silent=True)
    if context is None or _CHOSEN not in context.meta:
        return text
    lab: ChosenLab = context.meta[_CHOSEN]
    root = context.find_root()

    def rewritten(match: re.Match[str]) -> str:
        words, command = match[1].split(), root.command
        if "--demo" in words or words[0] == "demo":
            return match[0]
        if words[0] == "refresh":
            return f"`thumblab {lab.options.removeprefix('--')}`"
        for word in words:
            inner = command.get_command(root, word) if isinstance(command, click.Group) else None
            if inner is None:
                break
            command = inner
        if any(parameter.name == "demo" for parameter in command.params):
            return f"`thumblab {match[1]} {lab.options}`"
        return f"`THUMBLAB_DATA_DIR={shlex.quote(str(lab.settings.data_dir))} thumblab {match[1]}`"

    return re.sub(r"`thumblab ([^`]+)`", rewritten, text)


def here(command: str) -> str:
    """Return the shell command that runs the subcommand `command` on the lab that `--demo` has chosen."""
    return on_this_lab(f"`thumblab {command}`").strip("`")


def demo_settings(catalogue: Path | None) -> Settings:
    """Return the settings of the demo's lab. They have no API key of YouTube, so no command that uses them can collect
    real videos into the demo's lab, or spend the quota of the user's own lab.

    The demo has one lab for the synthetic catalogue, and another lab for each catalogue that a user names. Each of
    these labs has its own data folder and embedded database, so the demo never changes the user's own lab.

    If the data folder of this process is the lab of a demo already, the demo's lab is this folder, and the labs of
    catalogues are its neighbours.
    """
    from thumblab_core.model_files import face_model

    own = settings()
    name = "demo"
    if catalogue is not None:
        name = f"demo-{hashlib.sha256(str(catalogue.resolve()).encode()).hexdigest()[:12]}"
    changes = {
        # The demo reads the address of the service and the name of the encoder only from the environment. The user's
        # `.env` is for the user's own lab.
        "serving_url": os.environ.get("THUMBLAB_SERVING_URL") or None,
        "image_encoder": os.environ.get("THUMBLAB_IMAGE_ENCODER", "builtin"),
        # Use the face model of the user's own lab, so that the demo need not fetch one.
        "face_model": face_model(own),
        # A title prior is learnt from real titles, so it cannot help with the artificial titles of the demo.
        "title_prior": None,
        # `demo_lab` sets the key of the emulator.
        "youtube_api_key": None,
    }
    here = own.data_dir.resolve()
    if here.name.partition("-")[0] != "demo" or not is_demo(here):
        folder = here / name
    else:
        folder = here if catalogue is None else here.parent / name
    return own.in_folder(folder).with_values(changes)
