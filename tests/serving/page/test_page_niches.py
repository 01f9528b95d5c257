"""Test in a browser the part *Lab* of the page, which shows the niches.

A person adds, edits, retires and restores niches. The page shows the cost of a niche before it is added.
"""

import json
import time

import httpx
import pytest
from accessibility import LOOKS, focused, scheme, violations
from browser import KEY
from late_answers import fail
from sqlalchemy import create_engine, text

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.niches import DEFAULT_NAMES


@pytest.fixture(scope="module")
def with_niches(lab_at, run, migrated_database, tmp_path_factory):
    """A running service with a database and without a model."""
    lab = lab_at(tmp_path_factory.mktemp("lab"), database_url=migrated_database())
    with run(lab.settings, wait=False) as service:
        service.lab = lab
        yield service


@pytest.fixture
def service(with_niches):
    yield with_niches
    engine = create_engine(with_niches.lab.settings.database_url.get_secret_value())
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM niches WHERE number > 7"))
        connection.execute(text("UPDATE niches SET retired_at = NULL, version = 1"))
    engine.dispose()
    (with_niches.lab.settings.data_dir / "niches.json").unlink(missing_ok=True)


@pytest.fixture
def page(browser, service):
    browser.size(1280)
    browser.open(f"{service.url}/#key={KEY}")
    browser.evaluate("location.hash = 'lab'")
    browser.wait("document.querySelectorAll('#niches-list .niche').length > 0")
    return browser


def niche_names(page):
    return page.texts("#niches-list h4 code")


def write(page, field, value):
    page.evaluate(
        f"(f => {{ f.value = {json.dumps(value)}; f.dispatchEvent(new Event('input', {{ bubbles: true }})); }})"
        f"(document.getElementById('niche-{field}'))"
    )


def press(page, name, niche):
    page.click(f"[aria-label='{name}: {niche}']")


def wait_for_button(page, words):
    page.wait(f"document.getElementById('niche-send').textContent === {json.dumps(words)}")


def test_a_niche_is_added_after_its_cost_was_shown(page, service):
    assert niche_names(page) == list(DEFAULT_NAMES)
    page.click("#niche-add")
    write(page, "name", "meal-prep")
    write(page, "searches", "recipe\n\n meal prep ")
    write(page, "channels", "https://www.youtube.com/@Chef")
    page.click("#niche-send")
    wait_for_button(page, "Add Meal prep")
    assert "at most 2 of 100 searches and" in page.text("#niche-preview .niche-cost")
    assert "@chef" in page.texts("#niche-preview dd")
    assert "meal-prep" not in [niche["name"] for niche in listed(service)]
    # After a change of the values, the page must show the cost again before the niche can be saved.
    write(page, "searches", "recipe")
    assert page.text("#niche-send") == "See what it costs"
    page.click("#niche-send")
    wait_for_button(page, "Add Meal prep")
    assert "at most 1 of 100 searches" in page.text("#niche-preview .niche-cost")
    page.click("#niche-send")
    page.wait("!document.getElementById('niche-dialog').open")
    page.wait("document.querySelectorAll('#niches-list .niche').length === 8")
    assert page.text("#niches-done") == "Meal prep is added. Its next refresh collects it."
    assert focused(page) == "niches-title"
    assert listed(service)[-1]["searches"] == ["recipe"]
    # A moment later, the menu of the part Compare offers the new niche.
    page.wait("[...document.getElementById('niche').options].some(({ value }) => value === 'meal-prep')")
    assert page.complaints() == []


def test_a_niche_is_edited_and_an_edit_of_another_person_is_not_lost(page, service):
    press(page, "Edit", "Tech")
    assert page.evaluate("document.getElementById('niche-name-field').hidden")
    assert page.evaluate("document.getElementById('niche-category').value") == "28"
    write(page, "searches", "phones")
    page.click("#niche-send")
    wait_for_button(page, "Change Tech")
    other = service.client.put("/api/v1/niches/tech", json={"version": 1, "searches": ["laptops"], "category_id": 28})
    assert other.status_code == 200
    page.click("#niche-send")
    page.wait("!document.getElementById('niche-problem').hidden")
    assert "somebody else has changed tech" in page.text("#niche-problem")
    page.click("#niche-preview button")
    page.wait("document.getElementById('niche-searches').value === 'laptops'")
    write(page, "searches", "laptops\nphones")
    page.click("#niche-send")
    wait_for_button(page, "Change Tech")
    page.click("#niche-send")
    page.wait("document.getElementById('niches-done').textContent.startsWith('Tech is changed')")
    assert listed(service)[0]["searches"] == ["laptops", "phones"]


def test_a_niche_is_retired_and_taken_up_again_with_the_keyboard(page, service):
    page.evaluate("document.querySelector(\"[aria-label='Retire: Gaming']\").focus()")
    page.press("Enter", text="\r")
    page.wait("document.getElementById('niche-ask').open")
    assert "which saves at most" in page.text("#niche-ask-words")
    page.press("Escape")
    page.wait("!document.getElementById('niche-ask').open")
    assert "gaming" in niche_names(page)
    page.press("Enter", text="\r")
    page.wait("document.getElementById('niche-ask').open")
    assert focused(page) == "niche-ask-yes"
    page.press("Enter", text="\r")
    page.wait("!document.getElementById('niches-retired').hidden")
    assert page.text("#niches-done") == "Gaming is retired. Its data is kept."
    assert "gaming" not in niche_names(page)
    page.wait("![...document.getElementById('niche').options].some(({ value }) => value === 'gaming')")
    page.evaluate("document.getElementById('niches-retired').open = true")
    press(page, "Take up again", "Gaming")
    assert "That costs at most" in page.text("#niche-ask-words")
    page.click("#niche-ask-yes")
    page.wait("document.getElementById('niches-retired').hidden")
    assert niche_names(page) == list(DEFAULT_NAMES)


def test_what_cannot_be_a_niche_is_refused_with_the_reason_and_the_entries_stay(page):
    page.click("#niche-add")
    write(page, "name", "Meal Prep")
    write(page, "searches", "recipe")
    page.click("#niche-send")
    page.wait("!document.getElementById('niche-problem').hidden")
    assert "cannot be the name of a niche" in page.text("#niche-problem")
    assert page.evaluate("document.getElementById('niche-searches').value") == "recipe"
    write(page, "name", "tech")
    page.click("#niche-send")
    page.wait("document.getElementById('niche-problem').textContent.includes('already')")
    assert "thumblab" not in page.text("#niche-problem")


def test_a_key_without_the_scope_admin_is_told_what_it_lacks(browser, service):
    key = NamedKeys(service.lab.settings).add("scorer", ["score"])
    browser.open(f"{service.url}/#key={key}")
    browser.evaluate("location.hash = 'lab'")
    browser.wait("!document.getElementById('niches-note').hidden")
    assert browser.text("#niches-note") == "To see and change the niches, the key needs the scope admin."
    assert browser.evaluate("document.getElementById('niches-box').hidden")


def test_niches_that_cannot_be_read_are_not_shown_as_none(page):
    fail(page, "api/v1/niches")
    page.evaluate("location.hash = 'history'")
    page.evaluate("location.hash = 'lab'")
    page.wait("document.getElementById('niches-note').textContent.startsWith('The niches could not be read.')")
    assert page.evaluate("document.getElementById('niches-box').hidden")


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_the_niches_and_their_form_have_no_accessibility_faults(page, service, width, dark):
    scheme(page, dark)
    page.size(width)
    service.client.post("/api/v1/niches/news/retire")
    page.evaluate("location.reload()")
    page.wait("document.readyState === 'complete' && document.querySelectorAll('#niches-list .niche').length === 6")
    page.evaluate("document.getElementById('niches-retired').open = true")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#niche-add")
    write(page, "name", "cooking")
    write(page, "searches", "recipe")
    page.click("#niche-send")
    wait_for_button(page, "Add Cooking")
    assert violations(page) == []
    page.click("#niche-cancel")
    press(page, "Retire", "Tech")
    assert violations(page) == []


@pytest.mark.parametrize(
    ("gone", "shown"), [("gone", "Gone"), ("news", "News"), ("No niche!", "\u2068No niche!\u2069")]
)
def test_a_link_with_a_niche_that_is_gone_says_so_and_lists_the_others(browser, service, gone, shown):
    service.client.post("/api/v1/niches/news/retire")
    wait_until_gone(service, "news")
    browser.open(f"{service.url}/?{httpx.QueryParams({'niche': gone})}#key={KEY}")
    browser.wait("!document.getElementById('niche-gone').hidden")
    words = browser.text("#niche-gone")
    assert f"This lab has no niche {shown}: it was retired, or it never was one." in words
    assert "Its niches are Tech, Gaming, Education, Entertainment, People, Beauty. Tech is chosen now." in words
    assert browser.evaluate("document.getElementById('niche').value") == "tech"
    browser.evaluate("document.getElementById('niche').dispatchEvent(new Event('change', { bubbles: true }))")
    assert browser.evaluate("document.getElementById('niche-gone').hidden")
    assert browser.complaints() == []


def test_a_link_with_a_niche_of_the_lab_chooses_it(browser, service):
    browser.open(f"{service.url}/?niche=beauty#key={KEY}")
    browser.wait("document.getElementById('niche').dataset.known === 'yes'")
    assert browser.evaluate("document.getElementById('niche').value") == "beauty"
    assert browser.evaluate("document.getElementById('niche-gone').hidden")


def listed(service):
    return service.client.get("/api/v1/niches").json()["niches"]


def wait_until_gone(service, niche):
    """Wait until the service no longer lists a niche that was retired."""
    for _ in range(100):
        if niche not in service.health()["indices"]:
            return
        time.sleep(0.1)
    raise AssertionError(f"the service still has the niche {niche}")
