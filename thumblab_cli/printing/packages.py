"""Print how each package (a title with a picture) ranks, as text for people."""

from rich.markup import escape

from thumblab_cli.printing.tables import table, wide_console
from thumblab_core.ranking.confidence import percent
from thumblab_serving.schemas.packages import PackageOut, PackagesOut


def print_packages(packages: PackagesOut) -> None:
    """Print a table of the packages, the best first, and a sentence on which package wins."""
    console = wide_console()
    rows = table("rank", "title", "thumbnail", "score", "wins", "loses to the best", words=("title", "thumbnail"))
    for package in sorted(packages.grid, key=lambda one: one.rank or len(packages.grid) + 1):
        rows.add_row(*_cells(package))
    console.print(rows)
    if packages.best_title is None or packages.best_thumbnail is None:
        console.print("[bold yellow]No best package is named.[/] The lines below say why.", soft_wrap=True)
        return
    verdict = "" if packages.verdict is None else packages.verdict.value.replace("_", " ")
    chance = "" if packages.confidence is None else f", {percent(packages.confidence)}% against the second"
    best = f"[bold green]{escape(packages.best_title)}[/] with [bold green]{escape(packages.best_thumbnail)}[/]"
    console.print(f"Best package: {best} ({verdict}{chance}).", highlight=False, soft_wrap=True)
    if packages.why is not None:
        console.print(f"Why: {packages.why.summary}", markup=False, highlight=False, soft_wrap=True)
    if packages.skill is not None:
        console.print(packages.skill.summary, highlight=False, soft_wrap=True)


def _cells(package: PackageOut) -> list[str]:
    chance, margin = package.win_probability, package.margin
    return [
        str(package.rank or "—"),
        escape(package.title),
        escape(package.thumbnail),
        "—" if package.score is None else f"{package.score:.0f}",
        "—" if chance is None else f"{percent(chance)}%",
        "—" if margin is None or package.rank == 1 else f"{percent(margin)}%",
    ]
