"""Define the job `add_channel`, which adds a channel from exports of YouTube Studio. The scoring service starts the
job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from thumblab_core.channel_imports.import_folder import EXPORTS, ImportFolder
from thumblab_core.channel_imports.report import ImportReport
from thumblab_core.database.failures import explained_failure
from thumblab_core.errors import LabError
from thumblab_pipelines.channels.export_channel import GivenExports
from thumblab_pipelines.channels.import_report import ImportReporter
from thumblab_pipelines.dagster_observations import observed_moves
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import RETRY
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.defs.timing import URGENT, max_runtime
from thumblab_pipelines.models.add_exports import AddListener, add_exports
from thumblab_pipelines.progress import Progress

OF_EXPORTS = {"thumblab/job": "add_channel"}
"""The tag of the runs of this job. `dagster.yaml` limits how many of these runs happen at once, so that refreshes can
run too."""


class ExportsToAdd(dg.Config):
    """Config of the job `add_channel`: the exports of one channel, and facts that the sender knows about the channel."""

    files: list[str] = Field(
        description="The exports: .zip or .csv files of YouTube Studio in the lab's data folder. Their paths are "
        "relative to this folder.",
    )
    name: str = Field(default="", description="The title or id of the channel. Default: taken from a file's name.")
    niche: str = Field(
        default="", description="The niche of the channel. A channel that the lab already has keeps its niche."
    )
    columns: dict[str, str] = Field(
        default={},
        description="The columns of the exports. The key is the lab's name of a column. The value is the name or the "
        "number that the column has in the exports.",
    )
    import_id: str = Field(
        default="",
        description="The id of an import in the service. This import shows the progress of the run. Default: no import.",
    )


@dg.op(
    description="Imports the videos of a channel from its exports, downloads their thumbnails, and fits and serves the "
    "channel's adapter. If no model is served yet, it first builds the library of the niche and trains a model."
)
def add_exported_channel(
    context: dg.OpExecutionContext, lab: LabResource, mlflow: MlflowResource, config: ExportsToAdd
) -> None:
    with explained():
        opened = lab.open()
        folder = ImportFolder(opened.settings.data_dir, config.import_id) if config.import_id else None
        before = None if folder is None else folder.report()
        if before is not None and before.state == "done":
            context.log.info(
                "An earlier run finished this import, but its process died before it could report the end."
            )
            return
        files = _own_files(opened.settings.data_dir, config.files, folder)
        reporter = ImportReporter(_writer(context, folder), files)
        with _reported(context, reporter, folder):
            given = GivenExports(
                files, config.name or None, config.niche or None, columns=config.columns, owner=_owner(folder)
            )
            with observed_moves(opened, context, "the job add_channel"):
                listener = _listener(context, reporter, lab.progress(context))
                _, added = add_exports(opened, given, mlflow.connect, listener)
    report = reporter.done(added.fitted)
    _delete_exports(folder)
    context.add_output_metadata(_metadata(report))


# The job is not partitioned by niche, because a partition has only one run at a time. The person who sent the exports
# would have to wait for hours if the niche were being refreshed.
@dg.job(
    op_retry_policy=RETRY,
    tags=max_runtime(hours=2) | URGENT | OF_EXPORTS,
    description="Add a channel from exports of YouTube Studio, and fit its adapter. The service starts this job.",
)
def add_channel() -> None:
    add_exported_channel()


def _owner(folder: ImportFolder | None) -> str | None:
    """Return the owner whose channels the run may change. Return None if a person started the run in Dagster: such a
    run may change all channels.

    The service writes the owner into the folder of the import. The owner is not in the config, because anybody who
    reaches Dagster can start a run with any config. Raises `LabError` if files of the folder are missing.
    """
    if folder is None:
        return None
    facts = folder.facts()
    if facts is None:
        raise LabError("the exports of this import are missing; send them again")
    return facts.acts_for


def _own_files(data_dir: Path, names: list[str], folder: ImportFolder | None) -> list[Path]:
    """Return the paths of the exports. Raises `LabError` for a file that this run must not read.

    Anybody who can start a run can name any file. So a run that the service started for an import may read only the
    files of this import. Any other run may read only files in the data folder.
    """
    allowed = (data_dir if folder is None else folder.path / EXPORTS).resolve()
    files = [data_dir / name for name in names]
    for name, file in zip(names, files, strict=True):
        if not file.resolve().is_relative_to(allowed):
            raise LabError(
                f"{name[:200]} is not a file of the import {folder.import_id}"
                if folder is not None
                else f"{name[:200]} is not in the lab's data folder; copy it there, or use thumblab channel add"
            )
    return files


@contextmanager
def _reported(context: dg.OpExecutionContext, reporter: ImportReporter, folder: ImportFolder | None) -> Iterator[None]:
    """If the block raises an error, report the error and delete the exports. If Dagster will try this step again with
    the same exports, do nothing.
    """
    try:
        yield
    except Exception as error:
        is_final = isinstance(error, LabError) and not error.transient
        if is_final or context.retry_number >= RETRY.max_retries:
            reporter.failed(error if isinstance(error, LabError) else explained_failure(error) or _unexpected(error))
            _delete_exports(folder)
        raise


def _unexpected(error: Exception) -> LabError:
    """Return an error that leaves out the message of `error`, because this message may quote an export."""
    return LabError(
        f"something went wrong inside the lab ({type(error).__name__}); the run's page in Dagster has the details"
    )


def _writer(context: dg.OpExecutionContext, folder: ImportFolder | None) -> Callable[[ImportReport], None]:
    """Return a function that writes a report into the folder of the import. If the disk is full, the returned function
    only logs a warning."""

    def write(report: ImportReport) -> None:
        try:
            if folder is not None:
                folder.write_report(report)
        except OSError as error:
            context.log.warning(f"the progress of the import cannot be written, so it is not shown: {error}")

    return write


def _listener(context: dg.OpExecutionContext, reporter: ImportReporter, log: Progress) -> AddListener:
    def progress(what: str, done: int, total: int) -> None:
        log(what, done, total)
        reporter.progress(what, done, total)

    def info(sentence: str) -> None:
        context.log.info(sentence)
        reporter.note(sentence)

    def warn(sentence: str) -> None:
        context.log.warning(sentence)
        reporter.note(sentence)

    return AddListener(progress, reporter.imported, info, warn)


def _delete_exports(folder: ImportFolder | None) -> None:
    """Delete the exports that the service has stored. If a person started the job, keep the exports."""
    if folder is not None:
        folder.delete_exports()


def _metadata(report: ImportReport) -> dict[str, Any]:
    imported, fitted = report.imported, report.fitted
    assert imported is not None  # After a finished import, the report has `imported` and `fitted`.
    assert fitted is not None
    metadata: dict[str, Any] = {
        "channel": f"{imported.title} ({imported.channel_id})",
        "niche": imported.niche,
        "videos": imported.videos,
        "new_videos": imported.new,
        "videos_left_out": sum(imported.left_out.values()),
        "pictures": imported.pictures,
        "pictures_missing": imported.without_picture,
        "videos_with_ctr": imported.with_ctr,
        "exports_refused": "; ".join(imported.refused) or "none",
        "adapted": fitted.adapted,
        "adapter": fitted.release,
        "videos_in_adapter": fitted.videos,
    }
    if imported.usual_ctr is not None:
        metadata["usual_ctr"] = imported.usual_ctr
    if fitted.skill is not None:
        metadata |= {f"own_past_{name}": value for name, value in fitted.skill.model_dump().items()}
    metadata["report"] = dg.MetadataValue.json(report.model_dump(mode="json"))
    return metadata
