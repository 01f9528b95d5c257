"""`thumblab models`: the small model files that the lab may fetch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from thumblab_core.model_files import ModelFile


@click.group()
def command() -> None:
    """Fetch the small model files that the lab can use, and see which are here.

    Nothing is fetched unless it is asked for here. A file takes its place only when its SHA-256 is the one the lab knows.
    """


@command.command()
@click.argument("name", required=False)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Take a copy that is on this machine, instead of fetching it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pull(name: str | None, source: Path | None, as_json: bool) -> None:
    """Put a model file in its place, or all of them where no NAME is given."""
    from thumblab_core import model_files

    wanted = list(model_files.REGISTRY.values()) if name is None else [model_files.named(name)]
    if source is not None and len(wanted) > 1:
        raise LabError(f"--from is one file: say which of {', '.join(model_files.REGISTRY)} it is")
    changed = [model_files.pull(model, source) for model in wanted]
    rows = [_state(model) | {"changed": new} for model, new in zip(wanted, changed, strict=True)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']}: {'now at' if row['changed'] else 'already at'} {row['path']}")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show which model files are here, and which face detector is used."""
    from thumblab_core import model_files

    rows = [_state(model) for model in model_files.REGISTRY.values()]
    try:
        used, problem = model_files.face_model(), None
    except LabError as error:
        used, problem = None, str(error)
    if as_json:
        said = {"files": rows, "face_model": None if used is None else str(used), "problem": problem}
        click.echo(json.dumps(said, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']}: {row['state']} ({row['what']}; {row['licence']}; {int(row['size']) / 1000:.0f} kB)")
        click.echo(f"  {row['path']}")
    if problem is not None:
        click.echo(f"Faces are not looked for: {problem}")
    elif used is None:
        click.echo("Faces are not looked for: `thumblab models pull`, or set THUMBLAB_FACE_MODEL")
    else:
        click.echo(f"Faces are found with {used}")


def _state(model: "ModelFile") -> dict[str, str | int]:
    """What there is to say of a file, for people and for `--json`; sizes in bytes."""
    from thumblab_core import model_files

    return {
        "name": model.name,
        "file": model.file,
        "what": model.what,
        "licence": model.licence,
        "url": model.url,
        "size": model.size,
        "sha256": model.sha256,
        "path": str(model_files.path_of(model)),
        "state": model_files.presence(model).value,
    }
