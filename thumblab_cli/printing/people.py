"""Print what `thumblab people` shows: the results of its steps, the clusters, the faces and the changes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thumblab_cli.printing.printable import cell, printable
from thumblab_cli.printing.tables import table
from thumblab_core.people.names import shown_id

if TYPE_CHECKING:
    from thumblab_core.people.records import Change, Cluster, ClusterPage, FacePage, ShownPicture


def print_steps(console: Console, results: Mapping[str, Any]) -> None:
    """Print a few lines for each step. `results` maps the name of a step to its result."""
    for step, result in results.items():
        for line in _LINES[step](result):
            console.print(printable(line), highlight=False, markup=False, soft_wrap=True)
    if (stats := results.get("stats")) and stats["channels"]:
        console.print(_channels_table(stats["channels"]))
        console.print(stats["note"], highlight=False, markup=False, soft_wrap=True)


def cluster_line(cluster: "Cluster") -> str:
    """Return one line of text that describes a cluster."""
    name = "no name" if cluster.name is None else printable(cluster.name)
    by_hand = f"{cluster.pinned} of the faces were put there by a person"
    return f"{cluster.id} ({name}): {cluster.faces} faces in {cluster.pictures} pictures; {by_hand}"


def clusters_table(page: "ClusterPage") -> Table:
    rows = table(
        "cluster",
        "name",
        "faces",
        "pictures",
        "put there by a person",
        words=("name",),
        title=f"{len(page.clusters)} of {page.total} clusters",
    )
    for cluster in page.clusters:
        name = "" if cluster.name is None else cell(cluster.name) + (" (owner)" if cluster.is_owner else "")
        rows.add_row(cluster.id, name, str(cluster.faces), str(cluster.pictures), str(cluster.pinned))
    return rows


def faces_table(page: "FacePage", places: "Mapping[str, Sequence[ShownPicture]]") -> Table:
    """Return a table of the faces of a cluster. `places` maps the id of a face to the videos and files that show the
    picture of this face.
    """
    rows = table(
        "face",
        "picture",
        "shown in",
        "quality",
        "cosine to the cluster",
        "put there by",
        words=("picture", "shown in", "put there by"),
        title=f"{escape(cluster_line(page.cluster))}; {len(page.faces)} of {page.total} faces",
    )
    for face in page.faces:
        cosine = "" if face.similarity is None else f"{face.similarity:.3f}"
        by = "a person" if face.pinned else "the lab"
        shown = cell(_shown_in(places[face.face_id]))
        rows.add_row(face.face_id, face.sha256[:12], shown, f"{face.quality:.2f}", cosine, by)
    return rows


def _shown_in(places: "Sequence[ShownPicture]") -> str:
    """Return the title of the newest video that shows a picture.

    If no video shows the picture, return the name of the file that a person gave.
    """
    if not places:
        return ""
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return (places[0].title or places[0].file_name or "") + more


def changes_table(changes: Sequence["Change"]) -> Table:
    """Return a table of the changes. A cluster is shown by its name, or by its id if it has no name. A cluster that a
    merge has removed is shown by its earlier name.
    """
    words = ("change", "cluster", "other cluster", "name before", "remark")
    rows = table("number", *words, "faces", "at", words=words)
    for change in changes:
        rows.add_row(
            str(change.change_id),
            change.kind,
            _named(change.cluster_key, change.name),
            _named(change.other_key, change.other_name or (change.name_before if change.kind == "merge" else None)),
            cell(change.name_before or ""),
            "taken back" if change.reverted else "",
            str(change.faces),
            f"{change.changed_at:%Y-%m-%d %H:%M}",
        )
    return rows


def _named(key: str | None, name: str | None) -> str:
    return shown_id(key, None) if key and name is None else cell(name or "")


def _detect_lines(result: Mapping[str, Any]) -> list[str]:
    lines = []
    if "folder" in result:
        folder = result["folder"]
        lines.append(f"Folder: {folder['pictures']} pictures, {folder['new']} of them new")
        lines += [f"  left out: {problem}" for problem in folder["problems"][:10]]
    rate = f" at {result['pictures_per_second']:.1f} pictures a second" if result["searched"] else ""
    lines.append(f"Detected: {result['faces']} new faces in {result['searched']} pictures{rate}")
    if result["without_vector"]:
        lines.append(
            f"  {result['without_vector']} faces cannot be compared, because the face model gave no vector for them"
        )
    lines += [f"  not searched: {problem}" for problem in result["problems"][:10]]
    if result["nothing_to_search"] is not None:
        lines.append(f"  {result['nothing_to_search']}")
    return lines


def _group_lines(result: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Grouped {result['faces']} faces in {result['seconds']:.1f} s: {result['in_people']} in {result['people']} people, "
        f"{result['in_unknown']} in {result['unknown_clusters']} unknown clusters, {result['in_none']} in none",
        f"  {result['moved']} faces moved, {result['new']} clusters made, {result['dropped']} deleted; the threshold of "
        f"the match score is a cosine of {result['threshold_cosine']:.3f} here, from {result['calibration']['method']}",
    ]
    if result["left_for_later"]:
        lines.append(f"  {result['left_for_later']} faces were left for a later run, because of --max-faces")
    return lines


def _train_lines(result: Mapping[str, Any]) -> list[str]:
    if "skipped" in result:
        return [f"Not trained: {result['skipped']}"]
    served = "It is served" if result["served"] else "It is not served"
    learnt_from = f"{result['faces']} faces of {result['people']} people"
    reason = result["reason"][:1].upper() + result["reason"][1:]
    return [f"The head {result['release']} learnt from {learnt_from}. {served}. {reason}."]


def _stats_lines(result: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{result['pictures']} pictures searched, {result['pictures_with_faces']} with faces; {result['faces']} faces: "
        f"{result['faces_in_people']} in {result['people']} people, {result['faces_in_unknown_clusters']} in "
        f"{result['unknown_clusters']} unknown clusters, {result['faces_in_none']} in none; {result['forgotten']} forgotten"
    ]
    for share in result["shares"]:
        percent = "" if share["share"] is None else f", {100 * share['share']:.0f} % of {share['searched']} thumbnails"
        lines.append(f"  {share['cluster_id']} {share['name']}: {share['faces']} faces{percent}")
    if (folders := result["folders"]) is not None:
        lines.append(
            f"Agreement with the folders of the pictures: pairwise F {folders['f']:.3f} (precision "
            f"{folders['precision']:.3f}, recall {folders['recall']:.3f}); {_mixed(folders['impurity'])}"
        )
    return lines


def _mixed(impurity: float) -> str:
    """Return a sentence about the most mixed cluster. `impurity` is the share of its faces that do not show the person
    whom most of its faces show.
    """
    if impurity == 0:
        return "no cluster mixes two people"
    percent = "less than 1" if impurity < 0.01 else f"{100 * impurity:.0f}"
    return f"in the most mixed cluster, {percent} % of the faces show other people"


_LINES = {
    "detect": _detect_lines,
    "cluster": _group_lines,
    "assign": _group_lines,
    "train": _train_lines,
    "cluster_again": _group_lines,
    "stats": _stats_lines,
}


def _channels_table(channels: Sequence[Mapping[str, Any]]) -> Table:
    rows = table(
        "person",
        "channel",
        "thumbnails",
        "share",
        "views, times those without",
        words=("person", "channel"),
        title="Who is on the thumbnails of each channel",
    )
    for each in channels:
        factor = each["views_factor"]
        views = "too few videos" if factor is None else f"{factor:.2f} [{each['low']:.2f}, {each['high']:.2f}]"
        rows.add_row(
            cell(each["name"]),
            cell(each["channel"]),
            f"{each['thumbnails']} of {each['searched']}",
            f"{100 * each['share']:.0f} %",
            views,
        )
    return rows
