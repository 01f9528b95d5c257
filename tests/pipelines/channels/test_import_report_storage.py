"""Test that the report of an import names no bucket and no folder of the lab's storage."""

import pytest

from thumblab_core.channel_imports.report import ImportReport
from thumblab_core.errors import LabError
from thumblab_core.object_store.bucket import StoreError
from thumblab_core.releases.release import UnreadError
from thumblab_pipelines.channels.import_report import ImportReporter
from thumblab_pipelines.collection.download import UnwritableImagesError


def away() -> StoreError:
    return StoreError("s3://secret-bucket/lab cannot be used for 1f/2e (connection refused)")


def unread() -> LabError:
    error = UnreadError("the release cannot be read now (s3://secret-bucket/lab cannot be listed)")
    error.__cause__ = away()
    return error


@pytest.mark.parametrize(
    "error",
    [away(), unread(), UnwritableImagesError("the image store /srv/secret-bucket cannot be written (read-only)")],
    ids=["store", "release", "folder"],
)
def test_the_report_of_a_failure_of_the_storage_names_no_bucket_and_no_folder(error: LabError) -> None:
    report = ImportReporter(lambda _: None).failed(error)
    assert str(report.reason).startswith("the lab cannot use its storage now; give the export again later")


def test_a_note_about_the_storage_names_no_bucket() -> None:
    reports: list[ImportReport] = []
    ImportReporter(reports.append).note(f"the library of tech could not be built: {away()}")
    assert reports[-1].notes == [
        "the library of tech could not be built: the lab's object store cannot be used for 1f/2e (connection refused)"
    ]
