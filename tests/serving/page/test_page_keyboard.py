"""Test that the page can be used with the keyboard alone, and is accessible by the rules of WCAG 2.2 AA."""

import pytest
from accessibility import LOOKS, focused, scheme, violations
from browser import KEY, fill


@pytest.fixture
def settled(browser):
    """A browser without CSS transitions, so that no colour is measured during a transition."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    yield browser
    browser.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_nothing(settled, service, files, width, dark):
    settled.open(service.url)
    settled.evaluate("localStorage.clear()")
    scheme(settled, dark)
    settled.size(width)
    settled.open(service.url)
    assert violations(settled) == [], "the first visit"
    fill(settled, service, *files)
    settled.click("#see")
    settled.click(f"input[name=surrounding-theme][value={'dark' if dark else 'light'}]")
    assert violations(settled) == [], "an answer"
    settled.evaluate("""(() => { const field = document.getElementById('title'); field.value = 'Another';
        field.dispatchEvent(new Event('input', { bubbles: true })); })()""")
    assert violations(settled) == [], "an outdated answer"
    settled.click("#add-title")
    settled.click("#own-titles")
    settled.evaluate("document.querySelector('#more-titles input').value = 'A second title'")
    settled.click("#go")
    settled.wait("!document.getElementById('packages').hidden")
    assert violations(settled) == [], "several titles"
    settled.click("nav a[href='#lab']")
    settled.wait("!document.getElementById('lab-details').hidden")
    assert violations(settled) == [], "the lab"
    settled.click("nav a[href='#history']")
    settled.wait("document.querySelectorAll('.past').length > 0")
    assert violations(settled) == [], "the history"
    settled.evaluate(
        "[...document.querySelectorAll('.past button')].find(n => n.textContent.startsWith('Add')).click()"
    )
    settled.wait("document.getElementById('outcome').open")
    assert violations(settled) == [], "the form that reports an outcome must be accessible"


def test_axe_finds_nothing_on_the_page_of_an_empty_lab(settled, new_lab, run):
    with run(new_lab().settings, wait=False) as service:
        settled.size(1280)
        settled.open(service.url)
        settled.wait("!document.getElementById('setup').hidden")
        assert violations(settled) == []


def test_a_comparison_needs_no_mouse(browser, service, files):
    browser.size(1280)
    browser.open(f"{service.url}/#key={KEY}")
    browser.choose(*files[:2])
    for _ in range(10):
        browser.press("Tab")
        if focused(browser) == "title":
            break
    browser.call("Input.insertText", text="With the keyboard alone")
    browser.press("Enter", text="\r")
    browser.wait("!document.getElementById('result').hidden")
    assert focused(browser) == "verdict", "the focus must move to the answer"
    reached = []
    for _ in range(60):
        browser.press("Tab")
        reached.append(focused(browser))
        assert (
            browser.evaluate("""(() => { const n = document.activeElement;
            if (n === document.body) return true;
            const s = getComputedStyle(n); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2; })()""")
        ), f"the focus on {reached[-1]} must be visible"
    for control in (
        "see",
        "export-image",
        "export-table",
        "export-page",
        "surrounding-picture",
        "surrounding-length",
        "stage",
    ):
        assert control in reached


def test_a_dialog_takes_the_focus_and_escape_gives_it_back(browser, service, files):
    fill(browser, service, *files[:2])
    browser.click("nav a[href='#history']")
    browser.wait("document.querySelectorAll('.past').length > 0")
    browser.evaluate("document.getElementById('clear').focus()")
    browser.press("Enter", text="\r")
    browser.wait("document.getElementById('confirm').open")
    assert focused(browser).startswith("confirm")
    browser.press("Escape")
    browser.wait("!document.getElementById('confirm').open")
    assert focused(browser) == "clear"
    assert browser.count(".past") > 0
