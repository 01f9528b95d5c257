"""Report the progress of importing a channel's exports, and report the result at the end."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from thumblab_core.channel_imports.report import (
    ColumnName,
    ExportTable,
    FittedChannel,
    ImportedVideos,
    ImportReport,
    ImportStep,
    Need,
    OwnPastSkill,
)
from thumblab_core.errors import LabError
from thumblab_core.object_store.bucket import StoreError
from thumblab_pipelines.channels.adapter import FittedAdapter
from thumblab_pipelines.channels.export_channel import NoNameError
from thumblab_pipelines.channels.from_export import ImportedExports, NoNicheError
from thumblab_pipelines.channels.ready_encoders import EncoderMissingError
from thumblab_pipelines.collection.download import UnwritableImagesError
from thumblab_pipelines.owner_ctr.studio_columns import TableColumns, UnknownColumnsError

_PAUSE_S = 0.5
"""Minimum seconds between two reports on the same step. The pause keeps a step that reports often from writing too many
files."""

_SPEED = re.compile(r", [\d.,]+ a second$")
"""Regular expression for a speed at the end of a step's name. The speed is removed, because the name must stay the same
during the whole step."""

_MOST_NOTES = 20
_MOST_COLUMNS = 100
_MOST_TABLES = 50
_LONGEST_HEADER = 200

_OPTIONS = (
    (re.compile(r"--column (\w+)='(\w+)'"), r'`columns` {"\1": "\2"}'),
    (re.compile(r"--column (\w+) names"), r"`columns` names for \1"),
    (re.compile(r"--column\b"), "`columns`"),
    (re.compile(r"--(name|niche)\b"), r"`\1`"),
)
"""Options of the command in messages, and the fields of the service's request that replace them."""

_STORE_URL = re.compile(r"\b(?:s3|gs|az)://[^\s,;:()]+")
"""Regular expression for the URL of an object store. The URL contains the name of a bucket, and any API key may
read a report.
"""

_STORAGE = (
    "the lab cannot use its storage now; give the export again later, or ask the person who runs the lab, who finds the "
    "details on the run's page in Dagster"
)
"""What a user reads if an import fails because of the lab's storage. The text mentions no bucket or folder."""


class NoFirstModelError(LabError):
    """Raised if the lab has no model, and the model that an import trained does not pass its checks."""


class ImportReporter:
    """Writes reports on an import by calling `write` with each new report.

    `files`: the exports. Messages name the files without their folder, because the sender does not know this folder.
    """

    def __init__(self, write: Callable[[ImportReport], None], files: Sequence[Path] = ()) -> None:
        self._write = write
        self._folders = sorted({f"{file.parent}/" for file in files}, key=len, reverse=True)
        self._steps: dict[str, ImportStep] = {}
        self._fields: dict[str, Any] = {}
        self._notes: list[str] = []
        self._written = -_PAUSE_S
        self._report("running")

    def progress(self, what: str, done: int, total: int) -> None:
        """Report the progress of a step. This method can be passed as a `Progress` callback."""
        name = _SPEED.sub("", what)
        is_new = name not in self._steps
        self._steps[name] = ImportStep(name=name, done=min(done, total), total=total)
        if is_new or done >= total or time.monotonic() - self._written >= _PAUSE_S:
            self._report("running")

    def note(self, sentence: str) -> None:
        """Add a remark to the report."""
        self._notes = [*self._notes, self._without_places(sentence)][-_MOST_NOTES:]
        self._report("running")

    def imported(self, exports: ImportedExports) -> None:
        """Report what was imported. The fit of the adapter comes next, and may still fail."""
        self._fields["imported"] = self._imported(exports)
        self._report("running")

    def done(self, fitted: FittedAdapter) -> ImportReport:
        """Report that the import has finished, and return the report."""
        self._fields["fitted"] = _fitted(fitted)
        return self._report("done")

    def failed(self, error: LabError) -> ImportReport:
        """Report that the import ended without an adapter. Also report which facts the sender must add to the next
        import.
        """
        self._fields["reason"] = _STORAGE if _is_of_storage(error) else self._of_request(str(error))
        self._fields["needs"] = _need(error)
        self._fields["proposal"] = error.proposal if isinstance(error, NoNicheError) else None
        if isinstance(error, UnknownColumnsError):
            self._fields["unrecognised"] = [self._table(table) for table in error.tables[:_MOST_TABLES]]
        return self._report("failed")

    def _report(self, state: Literal["running", "done", "failed"]) -> ImportReport:
        report = ImportReport.model_validate(
            {
                "state": state,
                "updated_at": datetime.now(UTC),
                "steps": list(self._steps.values()),
                "notes": self._notes,
                **self._fields,
            }
        )
        self._written = time.monotonic()
        self._write(report)
        return report

    def _imported(self, exports: ImportedExports) -> ImportedVideos:
        remarks = [*exports.remarks, *(remark for report in exports.ctr for remark in report.remarks)]
        return ImportedVideos(
            channel_id=exports.channel.channel_id,
            title=exports.channel.title,
            niche=exports.niche,
            videos=exports.videos,
            new=exports.new,
            left_out=exports.left_out,
            pictures=exports.pictures,
            downloaded=exports.downloaded,
            without_picture=exports.without_picture,
            missing=exports.missing,
            with_ctr=len({video_id for report in exports.ctr for video_id in report.video_ids}),
            library_needs=exports.library_needs,
            usual_ctr=exports.usual_ctr,
            refused=[self._of_request(sentence) for sentence in exports.refused],
            remarks=[self._of_request(sentence) for sentence in remarks[:_MOST_NOTES]],
            tables=[self._table(table) for table in exports.tables[:_MOST_TABLES]],
        )

    def _table(self, table: TableColumns) -> ExportTable:
        known = get_args(ColumnName)
        return ExportTable(
            where=self._without_places(table.where),
            headers=[name[:_LONGEST_HEADER] for name in table.header[:_MOST_COLUMNS]],
            found={name: at + 1 for name, at in table.at.items() if name in known},
            missing=list(table.missing),
        )

    def _of_request(self, sentence: str) -> str:
        """Return `sentence`, with each option of the command replaced by the field of the service's request."""
        for option, field in _OPTIONS:
            sentence = option.sub(field, sentence)
        return self._without_places(sentence)

    def _without_places(self, sentence: str) -> str:
        for folder in self._folders:
            sentence = sentence.replace(folder, "")
        return _STORE_URL.sub("the lab's object store", sentence)


def _fitted(fitted: FittedAdapter) -> FittedChannel:
    check = fitted.check
    skill = None
    if check is not None:
        skill = OwnPastSkill(
            videos=check.videos,
            pairs=check.pairs,
            right=check.adapted,
            low=check.adapted_low,
            high=check.adapted_high,
            right_unadapted=check.unadapted,
            gained=check.gained,
            gained_low=check.low,
            gained_high=check.high,
        )
    return FittedChannel(
        adapted=fitted.adapted,
        videos=fitted.videos,
        left_out=fitted.left_out,
        compared=fitted.compared,
        release=fitted.release,
        model=fitted.model,
        skill=skill,
    )


def _need(error: LabError) -> Need | None:
    needs: Mapping[type[LabError], Need] = {
        UnknownColumnsError: "columns",
        NoNameError: "name",
        NoNicheError: "niche",
        EncoderMissingError: "encoder",
        NoFirstModelError: "model",
    }
    return needs.get(type(error))


def _is_of_storage(error: BaseException) -> bool:
    """Return whether an object store or the image store caused `error`. Its message may then name a bucket or folder."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, StoreError | UnwritableImagesError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
