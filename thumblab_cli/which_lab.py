"""Choose the lab on which a command works. The lab is the user's own lab, or with `--demo` the demo's lab."""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings, settings

Function = TypeVar("Function", bound=Callable[..., Any])


def demo_and_catalogue(demo: str, verb: str) -> Callable[[Function], Function]:
    """Add `--demo` and `--catalogue` to a command. `demo` is the help text of `--demo`.

    `verb` begins the help text of `--catalogue`: it says what the command does with the lab, such as "use".
    """
    catalogue = click.option(
        "--catalogue",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help=f"With --demo: {verb} the lab that `thumblab demo --catalogue` made from this folder.",
    )
    return lambda function: click.option("--demo", is_flag=True, help=demo)(catalogue(function))


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
    return demo_settings(catalogue) if demo else settings()


def demo_settings(catalogue: Path | None) -> Settings:
    """Return the settings of the demo's lab. They have no address of an emulator, so no videos can be collected with
    them.

    The demo has one lab for the synthetic catalogue, and another lab for each catalogue that a user names. Each of
    these labs has its own data folder and embedded database, so the demo never changes the user's own lab.
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
    }
    return own.in_folder(own.data_dir.resolve() / name).model_copy(update=changes)
