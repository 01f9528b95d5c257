"""Print what an import has read, and which rows it has skipped."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from thumblab_cli.which_lab import on_this_lab

if TYPE_CHECKING:
    from thumblab_pipelines.channels.export_pictures import MissingPictures
    from thumblab_pipelines.channels.from_export import ImportedExports
    from thumblab_pipelines.collection.catalogue import Imported
    from thumblab_pipelines.tables.problems import RowProblem

_MOST_PROBLEMS = 50
_MOST_CAUSES = 10


def print_import(console: Console, report: "Imported") -> None:
    """Print the remarks of an import, a line for each row that has a problem, and the totals."""
    for remark in report.remarks:
        console.print(f"note: {remark}", markup=False, highlight=False, soft_wrap=True)
    print_problems(console, report.problems)
    skipped = sum(problem.skipped for problem in report.problems)
    console.print(
        f"{report.good} of {report.rows} rows read ({report.new_videos} new videos, {report.new_observations} new "
        f"observations), {skipped} skipped",
        soft_wrap=True,
    )


def print_problems(console: Console, problems: Sequence["RowProblem"]) -> None:
    """Print a line for each of the first fifty problems, and say how many more problems there are."""
    for problem in problems[:_MOST_PROBLEMS]:
        what = "skipped" if problem.skipped else "taken"
        line = f"line {problem.line} {problem.video_id or '(no id)'}: {what}: {problem.problem}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(problems) > _MOST_PROBLEMS:
        console.print(f"and {len(problems) - _MOST_PROBLEMS} more problems; --json lists all of them")


def _cause(cause: "MissingPictures") -> str:
    more = cause.count - len(cause.newest)
    return f"{cause.count} because {cause.reason}: {', '.join(cause.newest)}{f' and {more} more' if more else ''}"


def print_exports(console: Console, imported: "ImportedExports") -> None:
    """Print what was imported for a channel from its exports, and which parts could not be imported."""
    from thumblab_cli.printing.printable import printable
    from thumblab_pipelines.training.corpus import LEAST_FOR_CTR

    ctr = imported.ctr
    lines = [f"note: {remark}" for remark in imported.remarks]
    lines += [f"note: {remark}" for report in ctr for remark in report.remarks]
    lines += [f"left out: {sentence}" for sentence in imported.refused]
    lines.append(
        f"{imported.channel.title} ({imported.channel.channel_id}), niche {imported.niche}: "
        f"{imported.videos} videos, {imported.new} of them new"
    )
    lines += [f"{count} not imported: {reason}" for reason, count in imported.left_out.items()]
    lines.append(f"{imported.pictures} of the videos have a thumbnail, {imported.downloaded} of them downloaded now")
    if imported.without_picture:
        lines.append(f"{imported.without_picture} have none:")
        lines += [f"  {_cause(cause)}" for cause in imported.causes[:_MOST_CAUSES]]
        if others := sum(cause.count for cause in imported.causes[_MOST_CAUSES:]):
            lines.append(f"  {others} for other reasons")
    with_ctr = len({video_id for report in ctr for video_id in report.video_ids})
    usual = "" if imported.usual_ctr is None else f"; {imported.usual_ctr:.1%} of all impressions were clicked"
    lines.append(f"{with_ctr} videos with a true click-through rate{usual}")
    if with_ctr:
        lines.append(
            f"{imported.learnable} videos of the lab have a click-through rate for training; the next training learns "
            f"these rates if there are at least {LEAST_FOR_CTR} such videos"
        )
    for line in lines:
        console.print(printable(on_this_lab(line)), markup=False, highlight=False, soft_wrap=True)
