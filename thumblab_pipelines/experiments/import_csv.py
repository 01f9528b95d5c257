"""Import a CSV table of experiments. A bad row is reported and skipped. All other rows are stored."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.experiments.store import CHANGED, NEW, UNCHANGED
from thumblab_pipelines.experiments.add import ExperimentWriter
from thumblab_pipelines.experiments.csv_rows import ExperimentTable
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.tables.problems import RowProblem


@dataclass
class ExperimentImport:
    """The result of importing one file.

    `rows`: number of rows in the table. `new`: number of experiments that were not stored before. `changed`: number of
    stored experiments whose facts were replaced. `unchanged`: number of experiments that were already stored
    with the same facts. `problems`: the skipped rows, and the stored rows whose outcome contradicts the shares of watch
    time. For a stored row, the field `skipped` of the problem is False. `remarks`: sentences about the whole table.
    """

    file: str
    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def stored(self) -> int:
        """The number of rows whose experiment the lab now has."""
        return self.new + self.changed + self.unchanged


def import_experiments(lab: Lab, path: Path, progress: Progress = silent) -> ExperimentImport:
    """Import the experiments of a CSV file. A second import of the same file changes nothing.

    Each experiment is stored in its own transaction. So if the import is stopped, the experiments stored so far stay.
    Raises `LabError` if the file cannot be read or lacks a column.
    """
    table = ExperimentTable(path)
    rows = list(table.read())
    report = ExperimentImport(str(path), table.rows, problems=table.problems, remarks=table.remarks)
    writer, states = ExperimentWriter(lab), Counter[str]()
    lines: dict[tuple[str, str, date], int] = {}
    for (row,) in batches(rows, 1, "importing experiments", progress):
        given = row.given
        try:
            key = (writer.channel_id(given.channel), given.video_id, given.started_on)
            if key in lines:
                raise LabError(
                    f"an experiment of the same channel, video and first day is on line {lines[key]}; remove one of "
                    "the rows"
                )
            added = writer.add(given)
        except LabError as error:
            report.problems.append(RowProblem(row.line, given.video_id, str(error)))
            continue
        lines[key] = row.line
        states[added.state] += 1
        if added.experiment.contradiction:
            report.problems.append(
                RowProblem(row.line, given.video_id, added.experiment.contradiction + "; check both", skipped=False)
            )
    report.new, report.changed, report.unchanged = (states[state] for state in (NEW, CHANGED, UNCHANGED))
    report.problems.sort(key=lambda problem: problem.line)
    return report
