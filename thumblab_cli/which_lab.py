"""Which lab a command works on: the user's own, or with `--demo` the demo's."""

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
    """Decorate a command with `--demo` and `--catalogue`; it gets the settings of the chosen lab as `chosen`."""

    @click.option("--demo", is_flag=True, help="Use the demo's lab, the one of `thumblab up --demo`.")
    @click.option(
        "--catalogue",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="With --demo: use the lab that `thumblab demo --catalogue` made of this folder.",
    )
    @functools.wraps(function)
    def command(*arguments: Any, demo: bool, catalogue: Path | None, **options: Any) -> Any:
        return function(*arguments, chosen=lab_settings(demo, catalogue), **options)

    return command


def lab_settings(demo: bool, catalogue: Path | None) -> Settings:
    """Return the settings of the lab that `--demo` and `--catalogue` name. Raises LabError for a catalogue without demo."""
    if catalogue is not None and not demo:
        raise LabError("--catalogue goes with --demo; `thumblab import` reads a catalogue of your own")
    return demo_settings(catalogue) if demo else settings()


def demo_settings(catalogue: Path | None) -> Settings:
    """Return the settings of the demo's lab, or of the demo's lab of a catalogue, for commands that collect nothing.

    Its data folder and embedded database are its own, so the demo never touches the user's library.
    """
    from thumblab_core.model_files import face_model

    own = settings()
    name = "demo"
    if catalogue is not None:
        name = f"demo-{hashlib.sha256(str(catalogue.resolve()).encode()).hexdigest()[:12]}"
    changes = {
        # Only the environment chooses the demo's service and encoder: `.env` is for the user's own lab.
        "serving_url": os.environ.get("THUMBLAB_SERVING_URL") or None,
        "image_encoder": os.environ.get("THUMBLAB_IMAGE_ENCODER", "builtin"),
        # A model file that was pulled into the user's lab serves the demo too.
        "face_model": face_model(own),
    }
    return own.in_folder(own.data_dir.resolve() / name).model_copy(update=changes)
