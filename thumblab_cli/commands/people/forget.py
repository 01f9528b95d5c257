"""`thumblab people forget`: delete all data about a person, about a face, or about the faces of a picture."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import chosen_settings

if TYPE_CHECKING:  # Only type checkers import this module here, so that `thumblab --help` stays fast.
    from thumblab_pipelines.lab import Lab


@click.command(name="forget")
@click.argument(
    "kind", type=click.Choice(["person", "face", "picture", "outside"]), metavar="person|face|picture|outside"
)
@click.argument("given", required=False, metavar="[ID]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def forget_(kind: str, given: str | None, yes: bool, as_json: bool) -> None:
    """Delete a person, a face, or all faces of a picture from tables and releases. This cannot be undone.

    ID is the id of a cluster or the name of a person, the id of a face, or the SHA-256 of a picture. `outside` takes
    no ID. After THUMBLAB_PEOPLE was changed from `all` to `own` or `off`, `outside` deletes the faces of all pictures
    that the lab may no longer search.

    The pictures of videos stay, but the lab never stores a face from these pictures again. Matching heads that learnt
    from the faces are deleted too. Earlier backups still contain the faces.
    """
    from thumblab_cli.commands.people.given_cluster import cluster_id_of
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.people.forget import forget_face, forget_outside, forget_person, forget_picture

    if (given is None) != (kind == "outside"):
        raise click.UsageError(f"`forget {kind}` takes {'no ID' if kind == 'outside' else 'an ID'}")
    lab, identifier = Lab.existing(chosen_settings()), given
    if kind == "person" and given is not None:
        with lab.engine.connect() as connection:
            identifier = cluster_id_of(connection, given)
    if not yes:
        click.confirm(f"Delete {_what(lab, kind, identifier)} permanently?", abort=True, err=True)
    if identifier is None:
        forgotten = forget_outside(lab)
    else:
        forget = {"person": forget_person, "face": forget_face, "picture": forget_picture}[kind]
        forgotten = forget(lab, identifier)
    if as_json:
        click.echo(json.dumps(asdict(forgotten)))
        return
    click.echo(f"Forgotten: {forgotten.faces} faces. Deleted pictures that you had given: {forgotten.pictures}")
    if forgotten.heads:
        click.echo(f"Deleted matching heads that had learnt from these faces: {len(forgotten.heads)}")


def _what(lab: "Lab", kind: str, identifier: str | None) -> str:
    """Describe the person, the face or the picture to delete, for the question to the user.

    Raises `UnknownFaceError` if the lab has no such person, face or picture.
    """
    from thumblab_core.people.forgetting import faces_of_known_picture
    from thumblab_core.people.reading import read_cluster, read_face

    if identifier is None:
        return f"all faces outside THUMBLAB_PEOPLE={lab.settings.people}"
    with lab.engine.connect() as connection:
        if kind == "person":
            cluster = read_cluster(connection, identifier)
            return f"{cluster.name or cluster.id} ({_faces(cluster.faces)})"
        if kind == "face":
            face = read_face(connection, identifier)
            return f"the face {identifier}" + (f" of {face.name or face.cluster_id}" if face.cluster_id else "")
        return f"the picture {identifier} ({_faces(faces_of_known_picture(connection, identifier))})"


def _faces(count: int) -> str:
    return "1 face" if count == 1 else f"{count} faces"
