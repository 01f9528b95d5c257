"""Test that an outcome of a test on YouTube can be corrected, and that nothing takes the place of its comparison."""

from browser import fill
from late_answers import hold, release, wait_for_held
from sqlalchemy import create_engine, text
from test_page_history import CHANNEL, COMPARISONS, compare, empty_history, outcome, show_history, stocked
from test_page_titles import write

__all__ = ["empty_history", "stocked"]

FIELDS = ("channel", "video", "started", "ended", "result")


def form(browser):
    """Return what the form of an outcome has: its fields, and for each picture whether it was tested, its share and
    whether it won.
    """
    fields = browser.evaluate(f"{list(FIELDS)}.map((name) => document.getElementById(`outcome-${{name}}`).value)")
    pictures = browser.evaluate("""[...document.querySelectorAll('#outcome-variants li')].map((row) => [
        row.querySelector('[type=checkbox]').checked, row.querySelector('.share').value,
        row.querySelector('[type=radio]').checked])""")
    return dict(zip(FIELDS, fields, strict=True)), pictures


def press(browser, words):
    button = f"[...document.querySelectorAll('.past button')].find((b) => b.textContent === '{words}')"
    browser.evaluate(f"((node) => {{ node.focus(); node.click(); }})({button})")
    browser.wait("document.getElementById('outcome').open")


def stored(service, columns):
    with create_engine(service.lab.settings.database_url.get_secret_value()).connect() as connection:
        return connection.execute(text(f"SELECT {columns} FROM experiments WHERE video_id = 'bbbbbbbbbbb'")).all()


def test_a_correction_begins_with_all_that_was_given_and_loses_nothing(browser, stocked, files):
    compare(browser, stocked, *files, title="What was tested")
    press(browser, "Add what YouTube showed")
    assert browser.evaluate("document.getElementById('outcome-again').hidden")
    browser.evaluate("""(() => { const rows = [...document.querySelectorAll('#outcome-variants li')];
        rows[0].querySelector('[type=checkbox]').click();
        rows[2].querySelector('[type=radio]').click();
        rows[1].querySelector('.share').value = '46,1';
        rows[2].querySelector('.share').value = '53.9'; })()""")
    given = {"channel": CHANNEL, "video": "bbbbbbbbbbb", "started": "2020-11-01", "ended": "2020-11-09"}
    assert outcome(browser, **given) == ""
    browser.wait("document.querySelectorAll('.past .outcome').length === 1")
    assert browser.evaluate("document.activeElement.textContent") == "Correct the outcome", "the focus stays"
    browser.open(f"{stocked.url}/#history")
    browser.wait("document.querySelectorAll('.past .outcome').length === 1")
    press(browser, "Correct the outcome")
    assert form(browser) == (
        {**given, "result": "winner"},
        [[False, "", False], [True, "46.1", False], [True, "53.9", True]],
    )
    assert not browser.evaluate("document.getElementById('outcome-again').hidden")
    assert outcome(browser, ended="2020-11-10") == ""
    browser.wait("!document.getElementById('outcome').open")
    assert [tuple(map(str, row)) for row in stored(stocked, "started_on, ended_on, outcome, winner")] == [
        ("2020-11-01", "2020-11-10", "winner", "2")
    ]
    press(browser, "Correct the outcome")
    assert form(browser)[0]["ended"] == "2020-11-10"
    browser.click("#outcome-cancel")


def test_a_live_answer_keeps_the_outcome_that_another_tab_has_added(browser, stocked, files):
    fill(browser, stocked, *files[:2], title="A title that was tested")
    browser.wait(f"{COMPARISONS}.then(async ({{ stored }}) => (await stored()).length === 1)")
    browser.evaluate(
        COMPARISONS
        + """.then(async ({ keep, stored }) => {
        const [one] = await stored();
        await keep({ ...one, outcome: { outcome: 'inconclusive', winner: null, video_id: 'v', experiment_id: 7 } });
    })"""
    )
    browser.click("#live")
    write(browser, "#title", "Another title")
    browser.wait("document.querySelector('#asked dd').textContent === 'Another title'")
    browser.click("#live")
    show_history(browser)
    browser.wait("document.querySelectorAll('.past').length === 2")
    assert browser.texts(".past h3") == ["Another title", "A title that was tested"]
    assert "Stored in the lab as experiment 7" in browser.text(".past .outcome")


def test_an_answer_that_arrives_while_the_history_is_shown_is_in_its_list(browser, stocked, files):
    fill(browser, stocked, *files[:2], title="The first")
    hold(browser, "v1/score")
    write(browser, "#title", "The slow one")
    browser.click("#go")
    wait_for_held(browser)
    show_history(browser)
    browser.wait("document.querySelectorAll('.past').length === 1")
    release(browser)
    browser.wait("document.querySelector('.past h3').textContent === 'The slow one'")
