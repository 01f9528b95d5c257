"""Examine a page in the browser by the rules of WCAG 2.2 AA, in several widths and colour schemes."""

import json
from pathlib import Path

import pytest

AXE = Path(__file__).parent / "serving" / "page" / "axe" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = [
    pytest.param(390, False, id="390-light"),
    pytest.param(1280, True, id="1280-dark", marks=pytest.mark.slow),
    pytest.param(390, True, id="390-dark", marks=pytest.mark.slow),
    pytest.param(1280, False, id="1280-light", marks=pytest.mark.slow),
]
"""The widths and colour schemes in which axe examines the page."""


def violations(browser):
    """Return the accessibility faults that axe finds on the page: each broken rule, and the elements that break it."""
    # The page's content security policy forbids scripts of other origins, so the test runs axe through the DevTools
    # protocol.
    browser.evaluate(f"{AXE.read_text()}; undefined")
    found = browser.evaluate(f"axe.run(document, {json.dumps({'runOnly': TAGS})})")
    assert len(found["passes"]) > 15, "axe must have examined the page"
    return [
        (rule["id"], node["target"], node.get("failureSummary", "")[:300])
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def scheme(browser, dark):
    features = [
        {"name": "prefers-reduced-motion", "value": "reduce"},
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
    ]
    browser.call("Emulation.setEmulatedMedia", features=features)


def focused(browser):
    return browser.evaluate(
        "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
    )
