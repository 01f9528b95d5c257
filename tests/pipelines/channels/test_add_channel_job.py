"""Tests of the job `add_channel` and of its report. Dagster runs the job in the process of the tests."""

import errno
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import dagster as dg
import pytest
from owner_exports import COLUMNS, NAME, Owner, write

from thumblab_core.channel_imports.import_folder import EXPORTS, FACTS, ImportFacts, ImportFolder
from thumblab_core.channel_imports.report import ColumnName, ImportReport
from thumblab_core.errors import LabError
from thumblab_core.keys.named_keys import OWN_KEY
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.channels.add import list_channels
from thumblab_pipelines.channels.export_channel import GivenExports
from thumblab_pipelines.channels.import_report import ImportReporter
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.add_channel import add_exported_channel
from thumblab_pipelines.defs.groups import RETRY
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.add_exports import AddListener, add_exports
from thumblab_pipelines.owner_ctr.studio_column_names import FIELDS
from thumblab_pipelines.owner_ctr.studio_columns import HOW_TO_NAME, TableColumns, UnknownColumnsError

IMPORT_ID = "0123456789abcdef" * 2
UNKNOWN = ("A", "B", "C", "D", "E", "F", "G", "H", "I")
"""Column names that YouTube Studio uses in no language. The lab can also recognise the column of click-through rates by
the % signs of its values, but these tests write no % signs.
"""


@dg.job(op_retry_policy=dg.RetryPolicy(max_retries=RETRY.max_retries))
def impatient() -> None:
    """The job `add_channel`, without its pauses between retries."""
    add_exported_channel()


Run = Callable[..., tuple[dg.ExecuteInProcessResult, Any]]


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


@pytest.fixture
def run(owner: Owner, definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that stores an export as the service does, runs the job, and returns its result and its report."""
    monkeypatch.setattr(LabResource, "open", lambda _: owner.lab)

    def execute(
        rows: Sequence[Sequence[str]],
        file: str = NAME,
        header: Sequence[str] = COLUMNS,
        owner_of_key: str = OWN_KEY,
        job: dg.JobDefinition | None = None,
        **given: Any,
    ) -> tuple[dg.ExecuteInProcessResult, ImportReport | None]:
        folder = ImportFolder(owner.lab.settings.data_dir, IMPORT_ID)
        place = folder.path / EXPORTS / "0"
        place.mkdir(parents=True, exist_ok=True)
        path = write(place / file, rows, header).relative_to(owner.lab.settings.data_dir)
        folder.write_facts(ImportFacts(datetime.now(UTC), owner_of_key, [file], by_lab=owner_of_key == OWN_KEY))
        if not owner_of_key:
            (folder.path / FACTS).unlink()
        config = {"files": [str(path)], "niche": "tech", "import_id": IMPORT_ID} | given
        result = (job or definitions.resolve_job_def("add_channel")).execute_in_process(
            run_config={"ops": {"add_exported_channel": {"config": config}}},
            resources={"lab": LabResource(), "mlflow": definitions.resources["mlflow"]},  # type: ignore[index]
            raise_on_error=False,
        )
        return result, folder.report()

    return execute


def stored(owner: Owner) -> list[Path]:
    return list((owner.lab.settings.data_dir / "channel-imports" / IMPORT_ID).rglob("*.csv"))


def test_the_job_adapts_the_lab_to_a_channel_and_reports_what_was_learnt(run: Run, owner: Owner) -> None:
    result, report = run([*owner.rows(), owner.row(owner.videos[0], Content="no_such_vid")])
    number = len(owner.videos)
    assert result.success
    assert (report.state, report.reason, report.needs) == ("done", None, None)
    assert report.imported is not None
    assert report.fitted is not None
    imported, fitted = report.imported, report.fitted
    assert (imported.title, imported.niche, imported.videos, imported.new) == (
        "My channel",
        "tech",
        number + 1,
        number + 1,
    )
    assert (imported.pictures, imported.without_picture, imported.with_ctr) == (number, 1, number + 1)
    assert imported.usual_ctr == pytest.approx(0.045)
    assert " (no_such_vid): YouTube has no picture of it" in imported.missing[0]
    assert (fitted.adapted, fitted.videos) == (True, number)
    assert imported.library_needs == 0
    assert owner.lab.releases.serving.current_id(INDEX, "tech") is not None, (
        "the job must build a library for a niche without one"
    )
    assert fitted.release == list_channels(owner.lab)[0].release
    steps = {step.name: (step.done, step.total) for step in report.steps}
    assert steps["reading exports"] == (1, 1)
    assert steps["pictures"] == (number + 1, number + 1)
    assert steps["tech: encoding thumbnails"] == (number, number)
    assert stored(owner) == [], "the export must be deleted after the import, because it has private figures"
    output = next(event for event in result.all_node_events if event.is_successful_output)
    shown = output.step_output_data.metadata
    assert (shown["videos"].value, shown["adapter"].value) == (number + 1, fitted.release)
    assert shown["report"].value == report.model_dump(mode="json")


@pytest.mark.slow
def test_columns_that_are_not_recognised_are_named_and_can_be_chosen(run: Run, owner: Owner) -> None:
    result, report = run(owner.rows(), header=UNKNOWN)
    assert not result.success
    assert (report.state, report.needs) == ("failed", "columns")
    [table] = report.unrecognised
    assert (table.where, table.headers) == (NAME, list(UNKNOWN))
    assert table.missing == ["impressions", "rate"]
    assert table.found["video"] == 1
    assert str(owner.lab.settings.data_dir) not in str(report.reason), "the reason must not show the folder of the lab"
    assert "--column" not in str(report.reason)
    assert stored(owner) == []
    result, report = run(owner.rows(), header=UNKNOWN, columns={"impressions": "H", "rate": "9"})
    assert result.success
    assert report.imported is not None
    assert report.imported.with_ctr == len(owner.videos)


def test_a_channel_without_a_name_or_a_niche_asks_for_it(run: Run, owner: Owner) -> None:
    _, report = run(owner.rows(6), file="Table data.csv")
    assert (report.state, report.needs) == ("failed", "name")
    assert "give its title or its id with `name`" in str(report.reason)
    _, report = run(owner.rows(6), niche="")
    assert (report.state, report.needs, report.proposal.niche) == ("failed", "niche", None)
    assert report.proposal.reason.endswith("because it has no titles that its title encoder has read.")
    _, report = run(owner.rows(6), file="Table data.csv", name="Chosen")
    assert (report.state, report.imported and report.imported.title) == ("done", "Chosen")
    assert report.imported is not None
    assert report.imported.library_needs == 14, "six videos are too few for a library"
    assert owner.lab.releases.serving.current_id(INDEX, "tech") is None


def test_a_run_changes_only_channels_of_the_key_whose_exports_it_imports(run: Run, owner: Owner) -> None:
    """Import the same export with two keys. The second import must change nothing, because the first key owns the
    channel.

    The service writes the name of the key that sent an export into the folder of the import. The configuration of the
    run contains no key.
    """
    _, report = run(owner.rows(6), owner_of_key="alice#1", name="Alice cooks")
    assert (report.state, report.imported and report.imported.title) == ("done", "Alice cooks")
    before = list_channels(owner.lab)
    assert ("alice", True) in [(adapter.key, adapter.key_revoked) for adapter in before], (
        "the channel's owner must be shown as a revoked key"
    )
    # Without its report, the folder can be used again: the key of Bob now imports the same export.
    (ImportFolder(owner.lab.settings.data_dir, IMPORT_ID).path / "report.json").unlink()
    result, report = run(owner.rows(6), owner_of_key="bob#2", name="Bob")
    assert (result.success, report.state, report.imported) == (False, "failed", None)
    assert report.reason == (
        "nothing is imported, because 6 of the 6 videos of the exports belong to channels of others ('Alice cooks'), which "
        "this key may not change; ask the lab's owner to import the exports with `thumblab channel add`, or to give the "
        "channel to your key with `thumblab channel give`"
    )
    assert stored(owner) == []
    assert list_channels(owner.lab) == before
    result, report = run(owner.rows(6), owner_of_key="")
    assert not result.success
    assert "the exports of this import are missing" in str(report.reason)


@pytest.mark.slow
def test_very_long_numbers_and_dates_are_refused(run: Run, owner: Owner) -> None:
    column, day = COLUMNS[4], COLUMNS[2]
    first, second = owner.videos[:2]
    bad = [owner.row(first, **{column: "9" * 400}), owner.row(second, **{day: f"2026 {'1' * 40_000} 1 xx"})]
    result, report = run([*owner.rows()[2:], *bad])
    assert (result.success, report.state) == (True, "done")
    assert report.imported is not None
    assert (report.imported.videos, sum(report.imported.left_out.values())) == (len(owner.videos) - 2, 2)


def test_an_unexpected_error_is_reported_on_the_last_try_and_the_exports_are_deleted(
    run: Run, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def broken(*_: object) -> None:
        tries.append(len(tries))
        assert len(stored(owner)) == 1, "the export must be kept for the next try"
        raise OverflowError("cannot convert a private figure")

    monkeypatch.setattr("thumblab_pipelines.defs.add_channel.add_exports", broken)
    result, report = run(owner.rows(6), job=impatient)
    assert tries == [0, 1, 2]
    assert (result.success, report.state) == (False, "failed")
    assert "something went wrong inside the lab (OverflowError)" in str(report.reason)
    assert "private" not in str(report.reason)
    assert stored(owner) == []


def test_a_full_disk_is_named_in_the_report(run: Run, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "adapter.npz")

    monkeypatch.setattr("thumblab_pipelines.defs.add_channel.add_exports", full)
    _, report = run(owner.rows(6), job=impatient)
    assert report.state == "failed"
    assert str(report.reason).startswith("adapter.npz cannot be written: no room is left on the disk")


@pytest.mark.parametrize("import_id", [IMPORT_ID, ""])
def test_a_run_reads_no_file_that_is_not_its_own_and_quotes_no_line_of_another(
    run: Run, owner: Owner, import_id: str
) -> None:
    data_dir = owner.lab.settings.data_dir
    (data_dir / "api-key").write_text("secret-key\n")
    (data_dir / "link").unlink(missing_ok=True)
    (data_dir / "link").symlink_to("/etc/passwd")
    outside = "is not a file of the import" if import_id else "is not in the lab's data folder"
    reasons = dict.fromkeys(("/etc/passwd", "../" * 20 + "etc/passwd", "link"), outside)
    reasons["api-key"] = outside if import_id else "is not an export of YouTube Studio"
    for file, reason in reasons.items():
        for columns in ({}, {"rate": "x"}):
            result, report = run(owner.rows(1), files=[file], import_id=import_id, columns=columns)
            failure = result.failure_data_for_node("add_exported_channel")
            assert failure is not None
            shown = failure.model_dump_json() if hasattr(failure, "model_dump_json") else repr(failure)
            assert reason in shown or (columns and file == "api-key" and "has no column" in shown)
            assert "root:" not in shown
            assert "secret-key" not in shown
            assert report is None
    assert len(stored(owner)) == 1, "the exports of the import must be kept"


@pytest.mark.slow
def test_without_a_model_and_with_too_few_videos_the_import_stays_and_the_error_says_why(
    open_lab: Callable[..., Lab], owner: Owner, tmp_path: Path
) -> None:
    lab = open_lab(youtube_endpoint=owner.emulator.endpoint)
    reports: list[ImportReport] = []
    reporter = ImportReporter(reports.append)

    def no_mlflow() -> Any:
        raise LabError("MLflow does not answer")

    given = GivenExports([write(tmp_path / NAME, owner.rows(8))], niche="tech")
    listener = AddListener(reporter.progress, reporter.imported, reporter.note, reporter.note)
    with pytest.raises(LabError, match="no model that can be adapted to them: ") as raised:
        add_exports(lab, given, no_mlflow, listener)
    report = reporter.failed(raised.value)
    assert report.imported is not None
    assert (report.imported.videos, report.fitted, report.state, report.needs) == (8, None, "failed", "model")
    assert any("No model is served yet" in note for note in report.notes)
    assert [earlier.state for earlier in reports[:-1]] == ["running"] * (len(reports) - 1)


def test_without_a_network_the_reason_names_the_image_host_and_the_videos_stay(run: Run, owner: Owner) -> None:
    owner.emulator.stop()
    result, report = run(owner.rows(6))
    assert not result.success
    assert (report.state, report.imported and report.imported.videos) == ("failed", 6)
    assert "nothing can be learnt without a thumbnail" in str(report.reason)
    assert "check the network, then add the exports again. The lab has stored" in str(report.reason)


def test_if_youtube_has_no_picture_the_reason_says_so_and_nothing_else(run: Run, owner: Owner) -> None:
    rows = [owner.row(video, Content=f"no_such_v{n:02}", Duration="") for n, video in enumerate(owner.videos[:6])]
    _, report = run(rows)
    assert report.state == "failed"
    assert "YouTube has no picture for any of the 6 videos (private or deleted?). The lab" in str(report.reason)


def test_a_step_that_reports_often_is_written_rarely_and_its_name_has_no_speed() -> None:
    reports: list[ImportReport] = []
    reporter = ImportReporter(reports.append)
    for done in range(1_000):
        reporter.progress(f"encoding thumbnails, {done / 7:,.1f} a second", done, 1_000)
    assert len(reports) < 100
    reporter.progress("encoding thumbnails, 1,234.5 a second", 1_000, 1_000)
    assert [(step.name, step.done) for step in reports[-1].steps] == [("encoding thumbnails", 1_000)]


@pytest.mark.parametrize(
    ("of_command", "of_request"),
    [
        (HOW_TO_NAME, """name it, for example `columns` {"rate": "COLUMN"} (a column's name or its number)"""),
        (
            "a.csv has no column 'X', which --column rate names",
            "a.csv has no column 'X', which `columns` names for rate",
        ),
        ("or choose one of them with --column", "or choose one of them with `columns`"),
        ("give another --name", "give another `name`"),
    ],
)
def test_a_message_about_the_command_becomes_a_message_about_the_request(of_command: str, of_request: str) -> None:
    assert ImportReporter(lambda report: None).failed(LabError(of_command)).reason == of_request


def test_a_report_has_a_size_limit_with_any_exports() -> None:
    table = TableColumns("a.zip > b.csv", ("x" * 1_000,) * 1_000, {}, ("rate",))
    report = ImportReporter(lambda report: None).failed(UnknownColumnsError("it lacks a column", [table] * 1_000))
    assert (report.needs, len(report.unrecognised)) == ("columns", 50)
    assert len(report.model_dump_json()) < 2 * 2**20


def test_the_service_knows_the_names_of_all_columns() -> None:
    assert get_args(ColumnName) == tuple(FIELDS)


def test_a_damaged_report_is_an_error_and_a_deleted_folder_is_not_made_again(tmp_path: Path) -> None:
    folder = ImportFolder(tmp_path, IMPORT_ID)
    folder.write_report(ImportReport(state="running", updated_at="2026-11-01T00:00:00Z"))  # type: ignore[arg-type]
    assert not folder.path.exists()
    folder.path.mkdir(parents=True)
    (folder.path / "report.json").write_text("{")
    with pytest.raises(LabError, match="cannot be read"):
        folder.report()
    for id_ in ("", "..", "a" * 31, "A" * 32, "../" + IMPORT_ID):
        with pytest.raises(LabError, match="is not the id of an import"):
            ImportFolder(tmp_path, id_)
