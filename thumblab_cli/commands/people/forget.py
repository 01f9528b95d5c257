"""`thumblab people forget`: delete a person, a face or the faces of a picture everywhere."""

import json
from dataclasses import asdict

import click


@click.command(name="forget")
@click.argument("kind", type=click.Choice(["person", "face", "picture"]), metavar="person|face|picture")
@click.argument("identifier", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def forget_(kind: str, identifier: str, yes: bool, as_json: bool) -> None:
    """Delete a person, a face, or all faces of a picture from tables and releases. This cannot be undone.

    ID is the id of a cluster, the id of a face, or the SHA-256 of a picture. The pictures of videos stay, but no face is
    recorded there again. Matching heads that learnt from the faces are deleted too. Backups that were made before still
    hold the faces.
    """
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.people.forget import forget_face, forget_person, forget_picture

    lab = Lab.existing()
    if not yes:
        click.confirm(f"Forget the {kind} {identifier} for good?", abort=True, err=True)
    forget = {"person": forget_person, "face": forget_face, "picture": forget_picture}[kind]
    forgotten = forget(lab, identifier)
    if as_json:
        click.echo(json.dumps(asdict(forgotten)))
        return
    click.echo(f"Forgotten: {forgotten.faces} faces. Deleted pictures that you had given: {forgotten.pictures}")
    if forgotten.heads:
        click.echo(f"Deleted matching heads that had learnt from these faces: {len(forgotten.heads)}")
