"""Test how a person at the page chooses the columns of an export by hand."""

import json

import pytest
from accessibility import focused
from browser import SCRIPTS
from channel_reports import DONE, NAME, UNRECOGNISED, end

from thumblab_core.database.channels import Channel
from thumblab_core.errors import LabError
from thumblab_pipelines.channels.from_export import ImportedExports
from thumblab_pipelines.channels.import_report import ImportReporter
from thumblab_pipelines.owner_ctr.studio_columns import find_columns
from thumblab_serving.channels.export_store import file_name

HEADER = ["Content", "Video title", "Video publish time", "Views", "Impressions", "Impressions click-through rate (%)"]
ROWS = [[f"video_{n:05d}", f"T{n}", "Oct 1 2026", "100", "1000", "4.5"] for n in range(5)]


def test_columns_that_are_not_recognised_are_chosen_by_hand(browser, follow):
    stored = follow()
    end(browser, stored, UNRECOGNISED)
    browser.wait("!document.getElementById('columns').hidden")
    assert (
        browser.text("#learning-now")
        == f"{NAME} lacks the column Impressions. If it is another one, choose it by hand."
    )
    assert focused(browser) == "column-impressions"
    options = browser.texts("#column-impressions option")
    assert options == [
        "Not recognised: choose one",
        "ID",
        "Words",
        "Day",
        "Seen",
        "Column 5, without a name",
        "Clicks",
        "Clicks",
    ]
    assert browser.texts("#column-title option")[0] == "As recognised: Words"
    for name, value in (("impressions", "Seen"), ("rate", "7")):
        browser.evaluate(f"document.getElementById('column-{name}').value = {json.dumps(value)}")
    chosen = browser.evaluate(f"import('{SCRIPTS}/channel_columns.js').then((module) => module.chosenColumns())")
    assert chosen == {"impressions": "Seen", "rate": "7"}, (
        "a column name that occurs twice must be replaced by the number of the column"
    )


def test_columns_can_still_be_chosen_after_the_page_was_loaded_again(browser, follow):
    follow(UNRECOGNISED)
    browser.wait("document.getElementById('learning').dataset.state === 'failed'")
    assert browser.evaluate("document.getElementById('columns').hidden"), "the focus must not move by itself"
    browser.click("#columns-from-export")
    assert not browser.evaluate("document.getElementById('columns').hidden")
    assert focused(browser) == "column-impressions"
    assert "choose the export once more" in browser.text("#columns-why")


def chosen(browser):
    return browser.evaluate(f"import('{SCRIPTS}/channel_columns.js').then((module) => module.chosenColumns())")


def test_the_button_keeps_the_columns_that_are_chosen_already(browser, follow):
    follow(UNRECOGNISED)
    browser.click("#columns-from-export")
    browser.evaluate("document.getElementById('column-rate').value = '7'")
    browser.evaluate("document.activeElement.blur()")
    browser.click("#columns-from-export")
    assert chosen(browser) == {"rate": "7"}
    assert focused(browser) == "column-impressions"


def give(browser, *paths):
    browser.choose(*paths, field="#exports")
    browser.wait(f"document.getElementById('exports-chosen').textContent.includes('{paths[-1].name}')")


def test_columns_chosen_after_a_reload_are_not_sent_with_the_export_of_another_channel(
    browser, follow, export, tmp_path
):
    other = tmp_path / "Content 2015-01-01_2026-11-01 Other.csv"
    other.write_text("Content,Video title\n")
    follow(UNRECOGNISED)
    browser.click("#columns-from-export")
    browser.evaluate("document.getElementById('column-rate').value = '7'")
    give(browser, export, other)
    assert chosen(browser) == {"rate": "7"}, "one of the exports is the one whose columns were chosen"
    browser.click(f"[aria-label='Remove {NAME}']")
    assert chosen(browser) == {}
    assert not browser.evaluate("document.getElementById('columns').checkVisibility()")
    browser.click("#columns-from-export")
    assert chosen(browser) == {}
    assert not browser.evaluate("document.getElementById('columns').checkVisibility()")
    assert browser.text("#channel-problem").startswith(f"The columns are those of {NAME}. Choose this export first")
    give(browser, export)
    browser.click("#columns-from-export")
    assert browser.evaluate("document.getElementById('columns').checkVisibility()")


@pytest.mark.parametrize("name", ["a\u200db\u00a0c .csv", "a b.csv"])
def test_an_export_is_known_by_its_name_as_the_service_stores_it(browser, service, name):
    browser.open(service.url)
    is_export = (
        f"import('{SCRIPTS}/channel_files.js').then((module) => "
        f"module.isExportOf({json.dumps({'files': [file_name(name, 0)]})}, [{{ name: {json.dumps(name)} }}]))"
    )
    assert browser.evaluate(is_export)


def test_columns_that_were_recognised_wrongly_are_chosen_before_the_export_is_given_again(browser, follow, export):
    end(browser, follow(), DONE)
    browser.click("#learnt-notes summary")
    browser.click("#learnt-notes button")
    browser.evaluate("document.getElementById('column-views').value = 'Seen'")
    browser.choose(export, field="#exports")
    browser.wait("document.querySelectorAll('#exports-chosen li').length === 1")
    chosen = f"import('{SCRIPTS}/channel_columns.js').then((module) => module.chosenColumns())"
    assert browser.evaluate(chosen) == {"views": "Seen"}


@pytest.mark.parametrize(
    ("renamed", "given", "expected"),
    [
        (("Views", "Thumbnail impressions"), {}, "and export again, or choose one of them by hand."),
        ((HEADER[5], "Seen"), {}, "If one of these is the column, choose it by hand. Otherwise open Advanced mode"),
        (("Views", "Seen"), {"rate": "Clicks"}, "has no column 'Clicks', which was chosen by hand; it has Content,"),
    ],
    ids=["several", "missing", "wrong choice"],
)
def test_a_reason_about_columns_names_no_field_of_a_request(browser, follow, renamed, given, expected):
    reporter = ImportReporter(lambda report: None)
    with pytest.raises(LabError) as caught:
        find_columns(NAME, [renamed[1] if name == renamed[0] else name for name in HEADER], ROWS, None, given)
    follow(reporter.failed(caught.value))
    assert expected in browser.text("#learning-now")
    assert "`" not in browser.text("#learning")


def test_a_remark_and_a_refusal_about_columns_name_no_field_of_a_request(browser, follow):
    written = []
    found = find_columns(NAME, ["Film", *HEADER[1:]], ROWS, None, {})
    with pytest.raises(LabError) as caught:
        find_columns("other.csv", [*HEADER[:5], "Seen"], ROWS, None, {})
    imported = ImportedExports(Channel("UCmine", "Mine"), "tech", remarks=found.remarks, refused=[str(caught.value)])
    ImportReporter(written.append).imported(imported)
    follow(written[-1])
    browser.wait("document.querySelectorAll('#learnt-notes li').length === 1")
    assert browser.text("#learnt-notes li").endswith("'Film' as Content; if one is wrong, choose it by hand")
    assert "the column, choose it by hand. Otherwise" in browser.text("#learnt-notes .problem")
    assert "`" not in browser.text("#learning")
