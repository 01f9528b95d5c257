"""The subcommands of `thumblab people` that change clusters. The subcommand `undo` takes the latest change back.

CLUSTER is the id of a cluster, or the name of a person.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.commands.people.given_cluster import cluster_id_of
from thumblab_cli.which_lab import chosen_settings, here

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from sqlalchemy import Connection

    from thumblab_core.people.clusters import ClusterRow

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_cluster = click.argument("cluster", metavar="CLUSTER")


@click.command(name="label")
@_cluster
@click.argument("name")
@_json
def label_(cluster: str, name: str, as_json: bool) -> None:
    """Give CLUSTER the NAME of a person. CLUSTER is the id of a cluster, or the present name of a person.

    If a person with this name exists, CLUSTER is merged into this person. `thumblab people unmerge` takes the merge
    back.
    """
    from thumblab_core.people.naming import label

    _change(lambda connection: label(connection, cluster_id_of(connection, cluster), name), as_json)


@click.command(name="unlabel")
@_cluster
@_json
def unlabel_(cluster: str, as_json: bool) -> None:
    """Remove the name of CLUSTER. CLUSTER is the id of a cluster, or the name of a person. The faces stay in the
    cluster.
    """
    from thumblab_core.people.naming import unlabel

    _change(lambda connection: unlabel(connection, cluster_id_of(connection, cluster)), as_json)


@click.command(name="owner")
@_cluster
@click.option("--no", "no", is_flag=True, help="Record that the person does not run the channel.")
@_json
def owner_(cluster: str, no: bool, as_json: bool) -> None:
    """Record that the person CLUSTER (an id or a name) runs the channel."""
    from thumblab_core.people.naming import set_owner

    _change(lambda connection: set_owner(connection, cluster_id_of(connection, cluster), not no), as_json)


@click.command(name="merge")
@_cluster
@click.argument("into", metavar="INTO")
@_json
def merge_(cluster: str, into: str, as_json: bool) -> None:
    """Merge CLUSTER into the cluster INTO. Each of the two is the id of a cluster or the name of a person.

    `thumblab people changes` shows the number of the merge, and `thumblab people unmerge` takes the merge back.
    """
    from thumblab_core.people.naming import merge

    def change(connection: "Connection") -> "ClusterRow":
        return merge(connection, cluster_id_of(connection, cluster), cluster_id_of(connection, into))

    _change(change, as_json)


@click.command(name="unmerge")
@click.argument("merge_id", type=click.IntRange(1, 2**63 - 1), metavar="MERGE")
@_json
def unmerge_(merge_id: int, as_json: bool) -> None:
    """Take back the merge with the number MERGE. The lab does not merge the two clusters again."""
    from thumblab_core.people.undoing import unmerge

    _change(lambda connection: unmerge(connection, merge_id), as_json)


@click.command(name="move")
@click.argument("faces", nargs=-1, required=True, metavar="FACE...")
@click.option("--to", metavar="CLUSTER", help="The id or name of the cluster for the faces. Default: a new cluster.")
@_json
def move_(faces: tuple[str, ...], to: str | None, as_json: bool) -> None:
    """Put each FACE into the cluster of --to, or into a new cluster.

    When the lab groups faces later, it leaves each FACE in this cluster.
    """
    from thumblab_core.people.moving import move

    def change(connection: "Connection") -> "ClusterRow":
        return move(connection, faces, None if to is None else cluster_id_of(connection, to))

    _change(change, as_json)


@click.command(name="not")
@click.argument("face", metavar="FACE")
@click.option(
    "--cluster",
    metavar="CLUSTER",
    help="The id or name of the person whom the face does not show. Default: the cluster that has the face.",
)
@_json
def not_(face: str, cluster: str | None, as_json: bool) -> None:
    """Record that FACE does not show the person of a cluster. The face leaves this cluster, and the lab never puts the
    face into this cluster again.
    """
    from thumblab_core.people.moving import not_this_person

    def change(connection: "Connection") -> "ClusterRow":
        return not_this_person(connection, face, None if cluster is None else cluster_id_of(connection, cluster))

    _change(change, as_json)


@click.command(name="undo")
@_json
def undo_(as_json: bool) -> None:
    """Undo the latest change that was not undone yet."""
    from thumblab_core.people.errors import FaceConflictError
    from thumblab_core.people.undoing import undo
    from thumblab_pipelines.lab import Lab

    with Lab.existing(chosen_settings()).engine.begin() as connection:
        change = undo(connection)
    if change.conflict is not None:
        raise FaceConflictError(change.conflict)
    if as_json:
        click.echo(json.dumps({"change_id": change.change_id, "kind": change.kind, "faces": change.faces}))
    else:
        click.echo(f"Taken back: {change.kind} (change {change.change_id}, {change.faces} faces)")


def _change(change: Callable[["Connection"], "ClusterRow"], as_json: bool) -> None:
    from thumblab_cli.printing.people import cluster_line
    from thumblab_core.people.log import MERGE, list_changes
    from thumblab_core.people.reading import read_cluster
    from thumblab_pipelines.lab import Lab

    with Lab.existing(chosen_settings()).engine.begin() as connection:
        before = max((each.change_id for each in list_changes(connection, 1)), default=0)
        cluster = read_cluster(connection, change(connection).id)
        merges = [each for each in list_changes(connection, 1, MERGE) if each.change_id > before]
    if as_json:
        shown: dict[str, Any] = {"cluster_id": cluster.id, "name": cluster.name, "faces": cluster.faces}
        shown["merge"] = merges[0].change_id if merges else None
        click.echo(json.dumps(shown))
    else:
        click.echo(cluster_line(cluster))
        if merges:
            undo = here(f"people unmerge {merges[0].change_id}")
            click.echo(f"Two clusters were merged. `{undo}` undoes the merge")
