"""`thumblab models`: fetch the small model files that the lab can use, and show their state."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import chosen_settings, here
from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from thumblab_core.model_files import ModelFile


@click.group()
def command() -> None:
    """Fetch the small model files that the lab can use, and show which files are present.

    Only this command fetches these files. The command accepts a file only if the file has the expected SHA-256.
    """


@command.command()
@click.argument("name", required=False)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Use a copy on this machine instead of fetching the file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pull(name: str | None, source: Path | None, as_json: bool) -> None:
    """Fetch the model file NAME. Without NAME, fetch all model files that the lab uses.

    The lab uses the face embedder only if THUMBLAB_PEOPLE turns on the search for people.
    """
    from thumblab_core import model_files

    own = chosen_settings()
    chosen = model_files.wanted(own) if name is None else [model_files.named(name)]
    if source is not None and len(chosen) > 1:
        raise LabError(
            f"--from gives a single file; also give the NAME of its model, one of {', '.join(model_files.REGISTRY)}"
        )
    changed = [model_files.pull(model, source, own) for model in chosen]
    rows = [_state(model) | {"changed": new} for model, new in zip(chosen, changed, strict=True)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']}: {'now at' if row['changed'] else 'already at'} {row['path']}")
    if any(row["changed"] and row["name"] != model_files.SFACE.name for row in rows):
        click.echo(
            f"Next: run `{here('refresh --no-train')}`, which measures the videos of the lab again; then restart the "
            "scoring service"
        )


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show which model files are present, and which model files the lab uses."""
    from thumblab_core import model_files

    own = chosen_settings()
    rows = [_state(model) for model in model_files.REGISTRY.values()]
    used, problem = _used(lambda: model_files.face_model(own))
    embedder, embedder_problem = _used(lambda: model_files.face_embedder(own))
    if as_json:
        state = {"files": rows, "face_model": used, "problem": problem}
        state |= {"face_embedder": embedder, "face_embedder_problem": embedder_problem}
        click.echo(json.dumps(state, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']}: {row['state']} ({row['what']}; {row['licence']}; {int(row['size']) / 1000:.0f} kB)")
        click.echo(f"  {row['path']}")
    click.echo(
        f"Faces are detected with {used}"
        if used is not None
        else f"Faces are not detected: {problem or 'run `' + here('models pull') + '`, or set THUMBLAB_FACE_MODEL'}"
    )
    if own.people == "off":
        click.echo("People are not recognised by their faces: THUMBLAB_PEOPLE is off")
        return
    click.echo(
        f"People are recognised by their faces with {embedder}"
        if embedder is not None
        else "People are not recognised by their faces: "
        f"{embedder_problem or 'run `' + here('models pull sface') + '`, or set THUMBLAB_FACE_EMBEDDER'}"
    )


def _used(path: Callable[[], Path | None]) -> tuple[str | None, str | None]:
    """Return the path of the model file that the lab uses, and a problem with the settings.

    If the settings are wrong, the path is None and the problem is a sentence. Otherwise the problem is None. The path
    is also None if the lab uses no such file.
    """
    try:
        used = path()
    except LabError as error:
        return None, str(error)
    return None if used is None else str(used), None


def _state(model: "ModelFile") -> dict[str, str | int]:
    """Return the facts about a model file that the command prints, with or without `--json`. The size is in bytes."""
    from thumblab_core import model_files

    return {
        "name": model.name,
        "file": model.file,
        "what": model.what,
        "licence": model.licence,
        "url": model.url,
        "size": model.size,
        "sha256": model.sha256,
        "path": str(model_files.path_of(model, chosen_settings())),
        "state": model_files.presence(model, chosen_settings()).value,
    }
