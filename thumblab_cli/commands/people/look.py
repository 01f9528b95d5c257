"""The subcommands of `thumblab people` that show something: `stats`, `show` and `changes`."""

import json
from dataclasses import asdict

import click

from thumblab_cli.which_lab import chosen_settings

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_limit = click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="Show so many.")
_offset = click.option(
    "--offset", type=click.IntRange(0), default=0, help="The number of entries to skip at the beginning of the list."
)


@click.command(name="stats")
@_json
def stats_(as_json: bool) -> None:
    """Show how many faces and clusters there are. For each channel, show the people, and how many thumbnails show each
    person.

    If you added pictures from a folder with a subfolder for each person, the command also shows how well the clusters
    agree with the subfolders.
    """
    from thumblab_cli.printing.people import print_steps
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.people.report import people_report

    report = people_report(Lab.existing(chosen_settings())).as_json()
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        print_steps(wide_console(), {"stats": report})


@click.command(name="show")
@click.argument("cluster", required=False, metavar="[CLUSTER]")
@click.option(
    "--kind",
    type=click.Choice(["all", "person", "unknown"]),
    default="all",
    show_default=True,
    help="List only people with a name, or only unknown clusters.",
)
@_limit
@_offset
@_json
def show_(cluster: str | None, kind: str, limit: int, offset: int, as_json: bool) -> None:
    """List the clusters, the largest first. With CLUSTER, list the faces of this cluster instead.

    The faces with the best quality come first. For each face, the command shows the videos or files with this face.

    CLUSTER is the id of a cluster, or the name of a person. The page /people of `thumblab up` shows the pictures.
    """
    from thumblab_cli.commands.people.given_cluster import cluster_id_of
    from thumblab_cli.printing.people import clusters_table, faces_table
    from thumblab_cli.printing.tables import wide_console
    from thumblab_core.people.reading import faces_of_cluster, list_clusters
    from thumblab_core.people.where_shown import where_shown
    from thumblab_pipelines.lab import Lab

    console = wide_console()
    with Lab.existing(chosen_settings()).engine.connect() as connection:
        if cluster is None:
            clusters = list_clusters(connection, limit, offset, kind)
            if as_json:
                rows = [asdict(each) | {"cluster_id": each.id} for each in clusters.clusters]
                click.echo(json.dumps({"total": clusters.total, "clusters": rows}, default=str))
            else:
                console.print(clusters_table(clusters))
            return
        page = faces_of_cluster(connection, cluster_id_of(connection, cluster), limit, offset)
        places = {face.face_id: where_shown(connection, face.sha256) for face in page.faces}
    if as_json:
        shown = {"cluster_id": page.cluster.id, "name": page.cluster.name, "total": page.total}
        faces = [asdict(face) | {"shown_in": [asdict(place) for place in places[face.face_id]]} for face in page.faces]
        click.echo(json.dumps(shown | {"faces": faces}, default=str))
    else:
        console.print(faces_table(page, places))


@click.command(name="changes")
@_limit
@_json
def changes_(limit: int, as_json: bool) -> None:
    """List the changes that people made, the newest first.

    To take back a merge, give its number to `thumblab people unmerge`.
    """
    from thumblab_cli.printing.people import changes_table
    from thumblab_cli.printing.tables import wide_console
    from thumblab_core.people.log import list_changes
    from thumblab_pipelines.lab import Lab

    with Lab.existing(chosen_settings()).engine.connect() as connection:
        changes = list_changes(connection, limit)
    if as_json:
        click.echo(json.dumps([asdict(change) for change in changes], default=str))
    else:
        wide_console().print(changes_table(changes))
