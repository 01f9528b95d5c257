"""Test that the page can be used with the keyboard alone, and is accessible by the rules of WCAG 2.2 AA."""

import json
from pathlib import Path

import pytest
from browser import KEY, fill

AXE = Path(__file__).parent / "axe" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = [
    pytest.param(390, False, id="390-light"),
    pytest.param(1280, True, id="1280-dark"),
    pytest.param(390, True, id="390-dark", marks=pytest.mark.heavy),
    pytest.param(1280, False, id="1280-light", marks=pytest.mark.heavy),
]
"""The widths and colour schemes in which axe examines the page. The first two items cover both widths and both colour
schemes.
"""


def violations(browser):
    """Return the accessibility faults that axe finds on the page: each broken rule, and the elements that break it."""
    # The content security policy of the page forbids other scripts, so the test runs axe through the DevTools protocol.
    browser.evaluate(f"{AXE.read_text()}; undefined")
    found = browser.evaluate(f"axe.run(document, {json.dumps({'runOnly': TAGS})})")
    assert len(found["passes"]) > 15, "axe must have examined the page"
    return [
        (rule["id"], node["target"], node.get("failureSummary", "")[:300])
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.fixture
def settled(browser):
    """A browser without CSS transitions, so that no colour is measured during a transition."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    yield browser
    browser.call("Emulation.setEmulatedMedia", features=[])


def scheme(browser, dark):
    features = [
        {"name": "prefers-reduced-motion", "value": "reduce"},
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
    ]
    browser.call("Emulation.setEmulatedMedia", features=features)


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


def focused(browser):
    return browser.evaluate(
        "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
    )


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
