"""Define the job `add_channel`. It makes a channel from exports of YouTube Studio. The scoring service starts it."""

from collections.abc import Callable
from typing import Any

import dagster as dg
from pydantic import Field

from thumblab_core.channel_imports.import_folder import ImportFolder
from thumblab_core.channel_imports.report import ImportReport
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


class ExportsToAdd(dg.Config):
    """Config that names the exports of one channel, and says what a person knows about them."""

    files: list[str] = Field(
        description="The exports: .zip or .csv files of YouTube Studio. A path begins at the lab's data folder, unless it "
        "begins with a slash."
    )
    name: str = Field(default="", description="The title or the id of the channel. Default: the name in a file's name.")
    niche: str = Field(default="", description="The niche of the channel. A channel that the lab has keeps its own.")
    columns: dict[str, str] = Field(
        default={}, description="The name or the number of a column of the exports, by the lab's name of the column."
    )
    import_id: str = Field(
        default="", description="The import of the scoring service that shows the progress. Empty: none."
    )


@dg.op(
    description="Imports the videos of a channel from its exports, downloads their thumbnails, and fits and serves the "
    "channel's adapter. If no model is served yet, it builds the library of the niche and trains one first."
)
def add_exported_channel(
    context: dg.OpExecutionContext, lab: LabResource, mlflow: MlflowResource, config: ExportsToAdd
) -> None:
    with explained():
        opened = lab.open()
        folder = ImportFolder(opened.settings.data_dir, config.import_id) if config.import_id else None
        before = None if folder is None else folder.report()
        if before is not None and before.state == "done":
            context.log.info("An earlier run has finished this import. Its process died before it could say so.")
            return
        files = [opened.settings.data_dir / file for file in config.files]
        reporter = ImportReporter(_writer(context, folder), files)
        try:
            given = GivenExports(
                files, config.name or None, config.niche or None, columns=config.columns, owner=_owner(folder)
            )
            with observed_moves(opened, context, "the job add_channel"):
                listener = _listener(context, reporter, lab.progress(context))
                _, added = add_exports(opened, given, mlflow.connect, listener)
        except LabError as error:
            if not error.transient:  # After a transient error, Dagster runs this step again, with the same exports.
                reporter.failed(error)
                _delete_exports(folder)
            raise
    report = reporter.done(added.fitted)
    _delete_exports(folder)
    context.add_output_metadata(_metadata(report))


# The job is not partitioned by niche. Dagster runs one partition at a time, so a person who waits for an answer would
# wait for a refresh of the niche, which may take hours.
@dg.job(
    op_retry_policy=RETRY,
    tags=max_runtime(hours=2) | URGENT,
    description="Make a channel from exports of YouTube Studio, and adapt answers to it. The service starts this job.",
)
def add_channel() -> None:
    add_exported_channel()


def _owner(folder: ImportFolder | None) -> str | None:
    """Return the owner whose channels the run may change. None: all channels, because a person started the run.

    The service has written the owner into the folder of the import. The config of a run may come from anybody who
    reaches Dagster, so it has no owner. Raises `LabError` if the folder is not whole.
    """
    if folder is None:
        return None
    facts = folder.facts()
    if facts is None:
        raise LabError("the exports of this import are not there any more; send them again")
    return facts.acts_for


def _writer(context: dg.OpExecutionContext, folder: ImportFolder | None) -> Callable[[ImportReport], None]:
    """Return a function that writes a report to the folder of the import. A full disk does not stop the import."""

    def write(report: ImportReport) -> None:
        try:
            if folder is not None:
                folder.write_report(report)
        except OSError as error:
            context.log.warning(f"the progress cannot be shown: {error}")

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
    """Delete the exports that the service has stored. The exports of a person who started the job are kept."""
    if folder is not None:
        folder.delete_exports()


def _metadata(report: ImportReport) -> dict[str, Any]:
    imported, fitted = report.imported, report.fitted
    assert imported is not None  # A report that is done has both.
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
