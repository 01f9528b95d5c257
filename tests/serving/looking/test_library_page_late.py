"""Test in a browser how the page `/library` treats late answers.

A late answer belongs to an earlier request. The page must ignore the late answer.
"""

import json

from late_answers import fail, hold, release, wait_for_held
from library_page import choose, drop_picture, found, search


def title_of(page):
    return page.text("#video-title")


def test_a_slow_search_does_not_take_the_place_of_a_newer_one(page):
    hold(page, "v1/similar")
    search(page, "a fast red car", "meaning")
    wait_for_held(page)
    search(page, "tokyo")
    page.wait("document.getElementById('found-title').textContent.startsWith('10 videos with')")
    release(page)
    assert page.text("#found-title").startswith("10 videos with")
    assert {title[:7] for title in found(page)} == {"Walking"}
    assert page.evaluate("document.getElementById('search-busy').hidden")


def test_a_cleared_search_stays_cleared(page):
    search(page, "phone")
    page.wait("!document.getElementById('found').hidden")
    hold(page, "v1/similar")
    search(page, "a fast red car", "meaning")
    wait_for_held(page)
    page.click("#search-clear")
    release(page)
    assert page.evaluate("document.getElementById('found').hidden")


def test_a_slow_map_does_not_take_the_place_of_a_newer_one(page):
    hold(page, "v1/library/all/map")
    choose(page, "niche", "all")
    page.wait("window.held.length > 0")
    page.evaluate("window.slow = null")
    choose(page, "niche", "tech")
    page.wait("document.getElementById('loading').hidden")
    release(page)
    assert page.text("#count") == "40 videos."
    assert page.evaluate("location.search") == "?niche=tech"


def test_what_was_asked_on_one_map_is_not_shown_on_the_next_one(page, library, tmp_path):
    picture = tmp_path / "mine.jpg"
    picture.write_bytes(library.data.pictures[9])
    hold(page, "v1/similar")
    drop_picture(page, picture)
    wait_for_held(page)
    choose(page, "niche", "all")
    page.wait("document.getElementById('count').textContent === '20 videos.'")
    release(page)
    assert page.evaluate("document.getElementById('found').hidden")
    assert page.count("#marks li") == 0


def test_a_slow_video_does_not_take_the_place_of_the_next_one_or_of_the_map(page, library):
    hold(page, "v1/videos/v4")
    page.evaluate("location.hash = 'video=v4'")
    wait_for_held(page)
    page.evaluate("location.hash = 'video=v8'")
    page.wait(f"document.getElementById('video-title').textContent === {json.dumps(library.data.items[8].title)}")
    release(page)
    assert title_of(page) == library.data.items[8].title
    hold(page, "v1/videos/v4")
    page.evaluate("location.hash = 'video=v4'")
    wait_for_held(page)
    page.evaluate("location.hash = ''")
    page.wait("!document.getElementById('look').hidden")
    release(page)
    assert page.evaluate("document.title") == "Library – Thumbnail Lab"


def test_an_error_of_an_older_search_is_not_told_and_a_newer_search_clears_it(page):
    fail(page, "v1/similar")
    search(page, "a fast red car", "meaning")
    page.wait("document.getElementById('search-problem').textContent === 'It failed.'")
    search(page, "phone")
    page.wait("document.getElementById('search-problem').hidden")
    page.evaluate("""(() => {
        const real = window.fetch;
        window.fetch = async (...given) => {
            if (!String(given[0]).includes('v1/similar')) return real(...given);
            await new Promise((resolve) => window.held.push(resolve));
            return Response.json({ detail: 'too late' }, { status: 503 });
        };
    })()""")
    search(page, "a fast red car", "meaning")
    wait_for_held(page)
    search(page, "phone")
    release(page)
    assert page.evaluate("document.getElementById('search-problem').hidden")
