"""Describe the progress of an import. The job of the import writes a report. If the report is old, this module requests
the state of the run from Dagster.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from thumblab_core.channel_imports.report import ImportReport
from thumblab_core.errors import LabError
from thumblab_serving.channels.export_store import StoredImport
from thumblab_serving.dagster_runs.graphql import DagsterError
from thumblab_serving.dagster_runs.runs import DagsterRuns, FoundRun, RunRequest
from thumblab_serving.schemas.channels import ChannelImportOut, ExportsForm

JOB = "add_channel"
_OP = "add_exported_channel"
TAG = "thumblab/channel_import"
"""The tag that gives a run the id of its import. If the process of a run dies, Dagster starts a new run and copies the
tag to it.
"""

_FRESH = timedelta(seconds=10)
"""While a report is younger than this time, its run counts as active, and no request is sent to Dagster."""

_STARTING = timedelta(minutes=2)
"""After the exports were stored, the request may need this time to start the run. Until then, an import without a run
counts as queued, because another request may already list the import.
"""

_LOST = "Dagster does not know the run any more; send the exports again"
_CANCELED = "the run was cancelled in Dagster"
_SILENT = "the run has ended without a report; see its page in Dagster"


def run_request(stored: StoredImport, files: list[str], form: ExportsForm) -> RunRequest:
    """Return the request for a run that imports stored exports. `files` are the paths of the exports in the data
    folder.
    """
    config = {
        "files": files,
        "name": form.name or "",
        "niche": "" if form.niche is None else str(form.niche),
        "columns": dict(form.columns),
        "import_id": stored.folder.import_id,
    }
    return RunRequest(JOB, config={"ops": {_OP: {"config": config}}}, tags={TAG: stored.folder.import_id})


async def describe(stored: StoredImport, runs: DagsterRuns, run_id: str | None = None) -> ChannelImportOut:
    """Return the present state of an import. If its run was started just now, `run_id` is the id of the run. The state
    of the import is then `queued`, even if a fast run has already ended. So the sender always sees the state change.

    Never raises an error of Dagster. If Dagster does not answer, `reason` says that the progress is not known.
    """
    report = _report(stored) if run_id is None else None
    unknown = None
    if run_id is None and (report is None or (report.state == "running" and not _is_fresh(report))):
        try:
            found = await runs.find_tagged(TAG, stored.folder.import_id)
            run_id = None if found is None else found.run_id
            report = await _after(found, runs, stored)
        except (DagsterError, ValidationError) as error:
            what = str(error) if isinstance(error, DagsterError) else "Dagster has another version than the service"
            unknown = f"nothing is known about the progress: {what}"
    shown = report or ImportReport(state="running", updated_at=stored.facts.created_at)
    return ChannelImportOut(
        id=stored.folder.import_id,
        state="queued" if report is None else report.state,
        created_at=stored.facts.created_at,
        expires_at=stored.expires_at,
        files=stored.facts.files,
        run_url=None if run_id is None else runs.page(run_id),
        steps=shown.steps,
        notes=shown.notes,
        imported=shown.imported,
        fitted=shown.fitted,
        reason=shown.reason or unknown,
        needs=shown.needs,
        proposal=shown.proposal,
        unrecognised=shown.unrecognised,
    )


def _is_fresh(report: ImportReport) -> bool:
    return datetime.now(UTC) - report.updated_at < _FRESH


def _report(stored: StoredImport) -> ImportReport | None:
    """Return the report of the import. If its file is damaged, return a report of a failed import."""
    try:
        return stored.report()
    except LabError as error:
        return ImportReport(state="failed", updated_at=datetime.now(UTC), reason=f"{error}; send the exports again")


async def _after(found: FoundRun | None, runs: DagsterRuns, stored: StoredImport) -> ImportReport | None:
    """Ask Dagster for the state of the run of an import, and return the report of the import. Return None if no run has
    begun yet, or if a failed run is tried again and has not begun again.

    If the run has ended but the report does not say so, write a new report, so that the import counts as ended.
    """
    reason = _LOST
    # A run is started shortly after its import is stored. If `created_at` is in the future, the clock was set back, and
    # the import is older than it seems.
    if found is None and timedelta() <= datetime.now(UTC) - stored.facts.created_at < _STARTING:
        return _report(stored)
    if found is not None:
        if found.state == "queued" or found.may_retry:
            return None
        reason = _SILENT if found.state == "success" else _CANCELED
        if found.state == "failure":
            reason = (await runs.outcome(found.run_id)).reason
    # The report is read again, because the run may have written it in the meantime.
    report = _report(stored) or ImportReport(state="running", updated_at=stored.facts.created_at)
    if report.state != "running" or (found is not None and found.state == "running"):
        return report
    report = report.model_copy(update={"state": "failed", "reason": reason, "updated_at": datetime.now(UTC)})
    with suppress(OSError):  # If the disk is full, the report is not written. The next call then tries again.
        stored.folder.write_report(report)
    return report
