"""Which lab a command speaks of: the user's own, or with `--demo` the demo's."""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings, settings


def demo_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: `--demo` and `--catalogue`; the command gets the settings of the lab they name as `chosen`."""

    @click.option("--demo", is_flag=True, help="Of the demo's lab, the one of `thumblab up --demo`.")
    @click.option(
        "--catalogue",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="With --demo: of the lab that `thumblab demo --catalogue` made of this folder.",
    )
    @functools.wraps(function)
    def command(*arguments: Any, demo: bool, catalogue: Path | None, **rest: Any) -> Any:
        if catalogue is not None and not demo:
            raise LabError("--catalogue goes with --demo; a catalogue of your own goes in with `thumblab import`")
        return function(*arguments, chosen=demo_settings(catalogue) if demo else settings(), **rest)

    return command


def demo_settings(catalogue: Path | None) -> Settings:
    """The settings of the demo's lab, or of the one of a catalogue, for commands that collect nothing.

    Its data folder and embedded database are its own: the demo never touches the user's library.
    """
    from thumblab_core.model_files import face_model

    own = settings()
    name = "demo"
    if catalogue is not None:
        name = f"demo-{hashlib.sha256(str(catalogue.resolve()).encode()).hexdigest()[:12]}"
    of_the_demo = {
        "data_dir": own.data_dir.resolve() / name,
        "database_url": None,
        "release_dir": None,
        "mlflow_tracking_uri": None,
        "serving_url": None,
        "image_encoder": os.environ.get("THUMBLAB_IMAGE_ENCODER", "builtin"),
        # Pulled once, a model file is there for every lab of this user.
        "face_model": face_model(own),
    }
    return own.model_copy(update=of_the_demo)
