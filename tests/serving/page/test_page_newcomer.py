"""Test that the page is clear to a person who has never used the lab: no ids, no commands, no contradictions."""

import json

import pytest
from browser import KEY, SCRIPTS, drag, fill
from test_page_titles import TITLES, compare, write

from thumblab_core.keys.named_keys import OWN_KEY
from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.channels.export_store import ExportStore


@pytest.fixture
def learnt(service, browser):
    """Add a channel that has too few videos for an adapter. The channel belongs to the niche news.

    After the test, delete the browser's record of the last request.
    """
    adapters = ChannelAdapters(ReleaseStore(service.app.state.settings.releases))
    about = ChannelAdapterInfo("UCgadgets", "Pocket Gadgets", "a model", 3, None, niche="news")
    adapters.publish(about, None, 3, [], {})
    yield
    adapters.remove("UCgadgets")
    browser.evaluate("localStorage.removeItem('thumblab-last-asked')")


def shown(browser, id_):
    return browser.evaluate(f"document.getElementById('{id_}').checkVisibility()")


def test_a_channel_is_offered_shown_and_remembered_by_its_title(browser, service, files, learnt):
    browser.open(f"{service.url}/#key={KEY}")
    browser.wait("document.querySelectorAll('#learnt-channels option').length === 1")
    assert browser.evaluate("document.querySelector('#learnt-channels option').value") == "Pocket Gadgets"
    browser.click("nav a[href='#channel']")
    browser.wait("document.querySelectorAll('#known-channels button').length === 1")
    browser.click("#known-channels button")
    assert browser.evaluate("document.getElementById('channel').value") == "Pocket Gadgets"
    assert not shown(browser, "niche-note")
    browser.evaluate("""(() => { const niche = document.getElementById('niche');
        niche.value = 'tech'; niche.dispatchEvent(new Event('change', { bubbles: true })); })()""")
    assert browser.text("#niche-note") == "The videos of Pocket Gadgets are in News, and you compare in Tech."
    write(browser, "#title", TITLES[0])
    browser.choose(*files[:2])
    browser.click("#go")
    browser.wait("!document.getElementById('result').hidden")
    for part in ("#result", "#surroundings"):
        assert "Pocket Gadgets" in browser.text(part)
    visible = browser.evaluate(
        "document.getElementById('result').innerText + document.getElementById('surroundings').innerText"
    )
    assert "added channel adapter of Pocket Gadgets is not used" in visible
    assert "UCgadgets" not in visible, "the page must not show the channel's id, because its owner never saw it"
    assert "thumblab" not in visible, "the page must not name a command, because its user may have no shell"
    browser.open(f"{service.url}/#key={KEY}")
    last = browser.evaluate("[document.getElementById('channel').value, document.getElementById('niche').value]")
    assert last == ["Pocket Gadgets", "tech"]


def test_a_grid_and_the_cards_below_it_name_their_questions_and_limits(browser, unproven_lab, run, files):
    with run(unproven_lab.settings) as unproven:
        compare(browser, unproven, TITLES[:2], *files[:2])
        assert "which title with which picture" in browser.text("#asking")
        assert "so it names no best package" in browser.text("#degraded")
        assert "ordered by evidence" not in browser.text("#degraded")
        assert "which picture is better under this title?" in browser.text("#cards-note")
        assert "so it names no winner" in browser.text("#cards-limits")
        assert "ordered by evidence" in browser.text("#cards-limits")
        assert browser.count("#grid tbody th small") == 0
        assert "impressions" in browser.text("#plan-words")
        browser.click("#more-titles .remove")
        browser.click("#go")
        browser.wait("document.getElementById('packages').hidden")
        assert not any(shown(browser, id_) for id_ in ("asking", "cards-note", "cards-limits"))
        assert "ordered by evidence" in browser.text("#degraded")


def test_the_page_reports_an_unknown_key_at_once_in_its_own_words(browser, service):
    browser.open(f"{service.url}/#key=revoked")
    browser.wait("!document.getElementById('problem').hidden")
    assert browser.text("#problem").startswith("This link is no longer valid")
    assert shown(browser, "key-field")
    browser.evaluate(f"location.hash = 'key={KEY}'")
    browser.wait("document.getElementById('problem').hidden")
    assert not shown(browser, "key-field")


def test_the_form_names_missing_fields_until_they_are_filled(browser, service, files):
    browser.open(f"{service.url}/#key={KEY}")
    write(browser, "#title", TITLES[0])
    browser.choose(files[0])
    browser.click("#go")
    assert browser.text("#problem") == "Choose at least two thumbnails to compare."
    browser.choose(files[1])
    browser.wait("document.getElementById('problem').hidden")


def test_a_file_that_is_not_an_export_stays_on_my_channel(browser, service, tmp_path):
    other = tmp_path / "report.pdf"
    other.write_bytes(b"%PDF")
    browser.open(f"{service.url}/#key={KEY}")
    browser.click("nav a[href='#channel']")
    drag(browser, 5, 5, {"items": [], "files": [str(other)]})
    browser.wait("!document.getElementById('channel-problem').hidden")
    assert browser.text("#channel-problem").startswith("Left out: report.pdf. An export is a .zip or .csv file")
    assert shown(browser, "view-channel")


def test_a_tab_finds_the_import_that_another_tab_has_begun(browser, service):
    store = ExportStore(service.app.state.settings)
    browser.open(f"{service.url}/#key={KEY}")
    browser.evaluate("sessionStorage.removeItem('thumblab-channel-import')")
    stored, _ = store.add([("Content.csv", b"")], OWN_KEY)
    try:
        browser.open(f"{service.url}/#key={KEY}")
        browser.wait("!document.getElementById('nav-learning').hidden")
        assert browser.evaluate("document.getElementById('learn').disabled")
        browser.click("nav a[href='#channel']")
        assert shown(browser, "learning")
    finally:
        store.remove(stored)
        browser.evaluate("sessionStorage.removeItem('thumblab-channel-import')")


def test_the_picture_that_won_counts_as_tested_and_the_form_shows_the_pictures(browser, service, files):
    fill(browser, service, *files)
    browser.click("nav a[href='#history']")
    browser.wait("document.querySelectorAll('#comparisons li.past').length > 0")
    browser.evaluate("[...document.querySelectorAll('#comparisons button')][1].click()")
    assert browser.count("#outcome-variants img") == 3
    boxes = "[...document.querySelectorAll('#outcome-variants input[type=checkbox]')].map((box) => box.checked)"
    assert browser.evaluate(boxes) == [True, True, False]
    browser.click("#outcome-variants li:last-child input[type=radio]")
    assert browser.evaluate(boxes) == [True, True, True]
    browser.evaluate("document.getElementById('outcome').close()")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("no face model: run `thumblab models pull`", "no face model"),
        ("it is not used, because it is old; run `thumblab channel add X` again", "it is not used, because it is old"),
        ("set THUMBLAB_IMAGE_ENCODER", ""),
        ("a; b: c", "a; b: c"),
    ],
)
def test_a_sentence_is_shown_without_its_command(browser, service, sentence, expected):
    browser.open(service.url)
    module = f"import('{SCRIPTS}/for_operators.js').then((module) => module.withoutCommands({json.dumps(sentence)}))"
    assert browser.evaluate(module) == expected
