"""Reports on imports, for the tests of the part "My channel" of the page."""

from datetime import UTC, datetime

from thumblab_core.channel_imports.report import (
    ExportTable,
    FittedChannel,
    ImportedVideos,
    ImportReport,
    ImportStep,
    OwnPastSkill,
)
from thumblab_pipelines.channels.import_report import ImportReporter
from thumblab_pipelines.owner_ctr.studio_columns import HOW_TO_NAME, UnknownColumnsError

NAME = "Content 2015-01-01_2026-11-01 My channel.csv"
TABLE = ExportTable(
    where=NAME,
    headers=["ID", "Words", "Day", "Seen", "", "Clicks", "Clicks"],
    found={"video": 1, "title": 2, "published": 3, "views": 4},
    missing=["impressions", "rate"],
)
IMPORTED = ImportedVideos(
    channel_id="UCmine",
    title="My <b>channel</b>",
    niche="gaming",
    videos=300,
    new=290,
    left_out={"Shorts, or up to three minutes and therefore possibly Shorts": 12, "no title that can be read": 1},
    pictures=298,
    downloaded=288,
    without_picture=2,
    missing=["aaaaaaaaaaa: https://i.ytimg.com answered 404", "bbbbbbbbbbb: the image host gave no answer"],
    with_ctr=280,
    usual_ctr=0.0432,
    refused=["broken.zip is a damaged .zip file"],
    remarks=["the names of some columns are not known"],
    tables=[TABLE],
)
SKILL = OwnPastSkill(
    videos=40,
    pairs=412,
    right=0.63,
    low=0.55,
    high=0.71,
    right_unadapted=0.52,
    gained=0.11,
    gained_low=0.02,
    gained_high=0.2,
)
FITTED = FittedChannel(
    adapted=True, videos=297, left_out={"picture cannot be read": 1}, compared=0, release="r", model="m", skill=SKILL
)


def report(state, **more):
    return ImportReport(state=state, updated_at=datetime.now(UTC), **more)


RUNNING = report(
    "running",
    steps=[ImportStep(name="reading exports", done=1, total=1), ImportStep(name="pictures", done=120, total=300)],
)
DONE = report("done", steps=RUNNING.steps, imported=IMPORTED, fitted=FITTED)
LACKING = UnknownColumnsError(f"{NAME} lacks the column Impressions. If it is another one, {HOW_TO_NAME}", [])
UNRECOGNISED = ImportReporter(lambda report: None).failed(LACKING).model_copy(update={"unrecognised": [TABLE]})


def end(browser, stored, last):
    stored.folder.write_report(last)
    browser.wait(f"document.getElementById('learning').dataset.state === '{last.state}'")
