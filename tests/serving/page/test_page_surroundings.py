"""Test the imitations of YouTube's pages, which show a picture next to other videos."""

import pytest
from browser import KEY, fill

PLACES = {"home": 330, "phone": 390, "suggested": 168, "tv": 204}


def pick(browser, name, value):
    browser.click(f"input[name=surrounding-{name}][value={value}]")


def test_pictures_are_shown_on_youtube_before_anything_is_ranked(browser, service, files):
    browser.open(f"{service.url}/")
    assert browser.evaluate("document.getElementById('surroundings').hidden")
    browser.choose(files[0])
    browser.wait("!document.getElementById('surroundings').hidden")
    assert browser.count("#stage .yours img") == 1
    assert browser.text("#stage .yours .yt-title") == "The title of the video"
    assert "Rank the pictures" in browser.text("#stage-note")


@pytest.mark.parametrize("place", PLACES)
def test_each_place_shows_the_picture_in_its_size_between_neighbours(browser, service, files, place):
    browser.size(1400)
    fill(browser, service, *files[:2], title="The title that I gave")
    pick(browser, "place", place)
    assert browser.evaluate("document.querySelector('#stage .yours .yt-picture').clientWidth") == PLACES[place]
    assert browser.text("#stage .yours .yt-title") == "The title that I gave"
    assert browser.text("#stage .yours .yt-badge") == "12:34"
    others = browser.texts("#stage .yt-video:not(.yours) .yt-title")
    assert len(others) >= 2
    assert all(title.startswith("Title <b>") for title in others)
    assert "the lab has no pictures of them here" in browser.text("#stage-note")
    assert browser.complaints() == []


def test_the_theme_changes_the_ground_and_the_text(browser, service, files):
    fill(browser, service, *files[:2])
    colours = "(s => [s.backgroundColor, s.color])(getComputedStyle(document.getElementById('stage')))"
    pick(browser, "theme", "light")
    assert browser.evaluate(colours) == ["rgb(255, 255, 255)", "rgb(15, 15, 15)"]
    pick(browser, "theme", "dark")
    assert browser.evaluate(colours) == ["rgb(15, 15, 15)", "rgb(241, 241, 241)"]
    assert "dark theme" in browser.evaluate("document.getElementById('stage').getAttribute('aria-label')")


def test_the_picture_and_the_length_can_be_chosen_with_the_keyboard(browser, service, files):
    fill(browser, service, *files)
    browser.evaluate("document.querySelector('input[name=surrounding-picture]:checked').focus()")
    before = browser.evaluate("document.querySelector('#stage .yours img').src")
    browser.press("ArrowRight")
    after = browser.evaluate("document.querySelector('#stage .yours img').src")
    assert after != before
    browser.evaluate("document.getElementById('surrounding-length').select()")
    browser.call("Input.insertText", text="1:02:03")
    assert browser.text("#stage .yours .yt-badge") == "1:02:03"


def test_neighbours_of_another_niche_are_not_shown(browser, service, files):
    fill(browser, service, *files[:2])
    assert browser.count("#stage .yt-video:not(.yours)") > 0
    browser.evaluate("""(() => { const niche = document.getElementById('niche'); niche.value = 'beauty';
        niche.dispatchEvent(new Event('input', { bubbles: true })); })()""")
    assert browser.count("#stage .yt-video:not(.yours)") == 0


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("place", PLACES)
def test_a_phone_never_scrolls_the_page_sideways(browser, service, files, width, place):
    fill(browser, service, *files[:2])
    browser.size(width)
    pick(browser, "place", place)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_the_section_is_hidden_without_pictures(browser, service, files):
    browser.open(f"{service.url}/#key={KEY}")
    browser.choose(files[0])
    browser.wait("!document.getElementById('surroundings').hidden")
    browser.click("#chosen button")
    assert browser.evaluate("document.getElementById('surroundings').hidden")
