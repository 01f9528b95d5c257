"""Test how a person at the page chooses the columns of an export by hand."""

import json

from accessibility import focused
from browser import SCRIPTS
from channel_reports import DONE, NAME, UNRECOGNISED, end


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


def test_columns_that_were_recognised_wrongly_are_chosen_before_the_export_is_given_again(browser, follow, export):
    end(browser, follow(), DONE)
    browser.click("#learnt-notes summary")
    browser.click("#learnt-notes button")
    browser.evaluate("document.getElementById('column-views').value = 'Seen'")
    browser.choose(export, field="#exports")
    browser.wait("document.querySelectorAll('#exports-chosen li').length === 1")
    chosen = f"import('{SCRIPTS}/channel_columns.js').then((module) => module.chosenColumns())"
    assert browser.evaluate(chosen) == {"views": "Seen"}
