"""Test in a browser what a person can do on the page `/library`.

The person searches, places a picture on the map, draws a lasso, reads a region, opens a video, and goes back.
"""

import pytest
from accessibility import LOOKS, focused, scheme, violations
from library_page import (
    GROUPS,
    choose,
    draw_lasso,
    drop_picture,
    found,
    mouse,
    on_canvas,
    pixel,
    places,
    search,
    settle,
    shown,
)

FIRST_CORNER = [(0.03, 0.03), (0.37, 0.03), (0.37, 0.37), (0.03, 0.37)]
"""A lasso around the first group. Its videos are v0, v4, v8 and so on."""


def open_video(page, title):
    page.wait(f"document.getElementById('video-title').textContent === '{title}'")
    page.wait("document.querySelectorAll('#video-parts section').length > 2")


def go_back(page):
    page.evaluate("history.back()")
    page.wait("!document.getElementById('look').hidden")


def test_a_creator_searches_places_a_picture_reads_a_region_and_opens_a_video(page, library, tmp_path):
    assert page.text("#count") == "40 videos."
    search(page, "tokyo NIGHT")
    page.wait("document.getElementById('found-title').textContent.startsWith('10 videos with')")
    assert {title[:7] for title in found(page)} == {"Walking"}

    search(page, "a fast red car", "meaning")
    page.wait("document.getElementById('found-title').textContent.includes('compared with the titles')")
    assert found(page)[0].startswith("A red car"), "the search must compare meanings"
    assert "similar" in page.text("#found-list small")

    picture = tmp_path / "mine.jpg"
    picture.write_bytes(library.data.pictures[9])
    drop_picture(page, picture)
    page.wait("document.getElementById('place').textContent.startsWith('mine.jpg lies nearest to')")
    assert found(page)[0] == library.data.items[9].title
    mark, place = page.evaluate("(({x, y}) => [x, y])(window.libraryMap.model.marks[0])"), places(40)[9]
    assert mark == pytest.approx(place.tolist(), abs=0.35), "the picture of v9 must be near v9"
    assert page.evaluate("document.getElementById('search').value") == "", "the words are of the earlier search"
    settle(page)

    page.click("#search-clear")
    page.click("#whole")
    page.click("#lasso")
    draw_lasso(page, FIRST_CORNER)
    page.wait("document.getElementById('region-title').textContent === 'Your region: 10 videos'")
    assert focused(page) == "region-title"
    shares = page.texts("#region-shares li")
    assert shares[0].startswith("Contrast: more than elsewhere, in 100 of 100 comparisons")
    assert "“race” (100%)" in shares[1]
    assert shares[2] == "From 1 channel; 100% are of Channel 0."
    assert page.texts("#region-list .video-title")[0] == library.data.items[36].title, "the largest must be first"
    medians = dict(zip(page.texts("#region-medians th"), page.texts("#region-medians tr td:nth-child(2)"), strict=True))
    assert medians["Views per hour"] == "180"

    page.click("#region-list a")
    open_video(page, library.data.items[36].title)
    assert focused(page) == "video-title"
    page.wait("document.querySelector('#video-picture img').naturalWidth > 0")
    assert "No served library" in page.text(".degraded")
    go_back(page)
    assert page.text("#region-title") == "Your region: 10 videos", "the region stays"
    assert page.evaluate("document.activeElement.hash") == "#video=v36"


def test_a_search_that_finds_nothing_says_so_once(page):
    search(page, "no title has this")
    page.wait("document.getElementById('count').textContent.startsWith('No video is found with')")
    assert page.text("#count") == "No video is found with “no title has this” in the title. 40 videos."
    assert not shown(page, "#found")
    search(page, "tokyo")
    page.wait("document.getElementById('found-title').textContent.startsWith('10 videos with')")
    assert shown(page, "#found")


def test_a_video_shows_its_history_its_neighbours_and_its_way_back_to_the_map(page, library):
    search(page, "https://www.youtube.com/watch?v=v8", "video")
    page.wait("document.getElementById('found-title').textContent.includes('like the thumbnail of')")
    page.evaluate("location.hash = 'video=v8'")
    open_video(page, library.data.items[8].title)
    assert page.text(".chart-curve") == ""
    assert "8,000" in page.evaluate("document.querySelector('.chart').getAttribute('aria-label')")
    versions = page.texts("[aria-labelledby=versions-title] tbody td:nth-child(2)")
    assert versions == [library.data.items[8].title, "An earlier title"], "the newest is first"
    page.wait("[...document.querySelectorAll('#video-parts .sheet img')].every((image) => image.naturalWidth > 0)")
    near = page.texts("#video-parts .sheet .video-title")
    assert len(near) == 8
    page.click("#video-parts .sheet a")
    open_video(page, near[0])
    go_back_to = library.data.items[8].title
    page.evaluate("history.back()")
    open_video(page, go_back_to)
    page.evaluate(
        "[...document.querySelectorAll('#video-parts button')].find((b) => b.textContent.startsWith('Show it')).click()"
    )
    page.wait("!document.getElementById('look').hidden")
    page.wait("document.getElementById('found-title').textContent.includes('like the thumbnail of')")
    assert page.evaluate("location.hash") == ""
    # The earlier search has the same heading above its results. The empty search field shows that a new search began.
    page.wait("document.getElementById('search').value === ''")


def test_the_mouse_shows_a_video_and_a_click_opens_it(page, library):
    page.evaluate("document.getElementById('frame').scrollIntoView({ block: 'center' })")
    x, y = on_canvas(page, *places(40)[13])
    mouse(page, "mouseMoved", x, y)
    page.wait("!document.getElementById('card').hidden")
    row = page.evaluate("window.libraryMap.hovered")
    assert page.text("#card strong") == library.data.items[row].title
    mouse(page, "mousePressed", x, y, button="left", buttons=1, clickCount=1)
    mouse(page, "mouseReleased", x, y, button="left", clickCount=1)
    open_video(page, library.data.items[row].title)


def test_fingers_drag_and_pinch_and_a_tap_only_shows_the_video(page, library):
    page.evaluate("document.getElementById('frame').scrollIntoView({ block: 'center' })")
    before = page.evaluate("(({x, y, zoom}) => ({x, y, zoom}))(window.libraryMap.camera)")

    def touch(kind, *points):
        page.call(
            "Input.dispatchTouchEvent",
            type=kind,
            touchPoints=[{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)],
        )

    x, y = on_canvas(page, 0.5, 0.5)
    touch("touchStart", (x, y))
    touch("touchMove", (x + 60, y + 30))
    touch("touchEnd")
    moved = page.evaluate("(({x, y, zoom}) => ({x, y, zoom}))(window.libraryMap.camera)")
    assert moved["x"] < before["x"]
    assert moved["y"] < before["y"]
    touch("touchStart", (x - 40, y), (x + 40, y))
    touch("touchMove", (x - 80, y), (x + 80, y))
    touch("touchEnd")
    assert page.evaluate("window.libraryMap.camera.zoom") == pytest.approx(2 * before["zoom"], rel=0.05)
    page.click("#whole")
    place = on_canvas(page, *places(40)[13])
    touch("touchStart", place)
    touch("touchEnd")
    page.wait("!document.getElementById('card').hidden")
    assert page.evaluate("location.hash") == "", "a finger hides what it touches, so a tap opens nothing"
    page.click("#card a")
    page.wait("document.querySelectorAll('#video-parts section').length > 2")


def test_everything_needs_no_mouse(page, library):
    def tab_to(name, most=40):
        for _ in range(most):
            page.press("Tab")
            if focused(page) == name:
                return
        raise AssertionError(f"Tab must lead to {name}")

    page.evaluate("document.getElementById('after').focus()")
    tab_to("search")
    page.call("Input.insertText", text="unboxing")
    page.press("Enter", text="\r")
    page.wait("document.getElementById('found-title').textContent.startsWith('10 videos')")
    tab_to("frame")
    page.press("+", text="+")
    assert page.evaluate("window.libraryMap.camera.zoom") == pytest.approx(1.5)
    page.press("0", text="0")
    page.evaluate("window.libraryMap.camera.zoomAt(3); window.libraryMap.move()")
    for key in ("ArrowLeft", "ArrowUp"):
        page.press(key, times=2)
    page.wait("document.getElementById('said').textContent !== ''")
    page.press("Home")
    page.evaluate(f"Object.assign(window.libraryMap.camera, {{ x: {places(40)[2][0]}, y: {places(40)[2][1]} }})")
    page.press("ArrowRight")
    page.press("ArrowLeft")
    page.wait("document.getElementById('said').textContent.startsWith('Below the cross: ')")
    page.press("Enter", text="\r")
    page.wait("document.querySelectorAll('#video-parts section').length > 2")
    assert focused(page) == "video-title"
    page.press("Escape")
    page.wait("!document.getElementById('look').hidden")
    assert focused(page) == "frame"
    page.evaluate("document.getElementById('in-sight').focus()")
    page.press("Enter", text="\r")
    page.wait("document.getElementById('region-title').textContent.startsWith('What was in sight')")
    assert focused(page) == "region-title"
    page.press("Escape")
    page.wait("document.getElementById('region').hidden")


def test_each_colouring_has_a_legend_and_points_have_the_colours_of_it(page):
    options = page.evaluate("[...document.getElementById('colour').options].map((option) => option.value)")
    assert options[:3] == ["outlier_multiple", "views_per_hour", "age"]
    assert set(options) > {"clarity", "contrast", "title_match", "cluster"}
    for option in options:
        choose(page, "colour", option)
        settle(page)
        assert page.evaluate("document.querySelectorAll('#legend span, #legend li').length") >= 3, option
    choose(page, "colour", "cluster")
    settle(page)
    swatches = page.evaluate("""[...document.querySelectorAll('#legend li')].map((item) =>
        [item.textContent, getComputedStyle(item.firstChild).backgroundColor])""")
    colours = {words: [int(value) for value in rgb[4:-1].split(",")] for words, rgb in swatches}
    for number, words in enumerate(GROUPS):
        assert pixel(page, f"v{number}") == colours[", ".join(words)], words


def test_filters_by_day_and_by_niche_and_the_own_channel(page, library):
    choose(page, "after", "2026-10-01")
    page.click("#as-list")
    assert page.text("#list-title") == "10 videos on this map"
    choose(page, "before", "2026-09-01")
    assert "no video is shown" in page.text("#dates-note")
    choose(page, "after", "")
    assert page.text("#list-title") == "1 video on this map"
    choose(page, "before", "")
    choose(page, "channel", "channel 2")
    assert page.text("#own-note") == "10 videos of this channel have rings."
    choose(page, "niche", "all")
    page.wait("document.getElementById('count').textContent === '20 videos.'")
    assert page.text("#own-note") == "5 videos of this channel have rings."
    assert page.evaluate("location.search") == "?niche=all"


def test_the_list_has_the_same_videos_in_the_chosen_order(page, library):
    page.click("#as-list")
    assert not shown(page, "#frame")
    assert page.count("#list li") == 40
    choose(page, "order", "newest")
    titles = page.texts("#list .video-title")
    assert titles == [item.title for item in reversed(library.data.items)]
    search(page, "phone")
    page.wait("document.querySelectorAll('#list li').length === 10")
    page.click("#list a")
    page.wait("!document.getElementById('video').hidden")
    go_back(page)
    assert page.evaluate("document.activeElement.classList.contains('video')"), "the focus returns to the list"


def test_each_group_has_its_name_on_the_map_although_pictures_are_everywhere(page):
    page.size(390)
    page.evaluate("""(() => {
        const { context } = window.libraryMap;
        const write = context.fillText.bind(context);
        window.written = [];
        context.fillText = (text, ...rest) => {
            window.written.push(text);
            write(text, ...rest);
        };
        window.libraryMap.draw();
    })()""")
    settle(page)
    assert set(page.evaluate("window.written")) == {" · ".join(words) for words in GROUPS}


def test_a_group_is_shown_and_read_as_a_region(page):
    assert page.texts("#group-list > li > button") == [", ".join(words) for words in GROUPS]
    page.click("#group-list > li:nth-child(2) button")
    assert page.text("#region-title") == "Group bread, bake: 10 videos"
    assert page.evaluate("window.libraryMap.camera.zoom") > 1.3
    page.click("#region-clear")
    assert not shown(page, "#region")


def assert_no_sideways_scroll(page, what):
    # The visible width of a window with a scroll bar is `clientWidth`. The page must not be wider.
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), what


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_no_field_covers_another_one(page, library, width):
    page.size(width)
    assert_no_sideways_scroll(page, width)
    boxes = page.evaluate("""[...document.querySelectorAll('.controls input, .controls select')].map((field) => {
        const { left, right, top, bottom } = field.getBoundingClientRect();
        return [left, right, top, bottom];
    })""")
    for number, (left, right, top, bottom) in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert right <= other[0] or left >= other[1] or bottom <= other[2] or top >= other[3]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(page, library, width, dark):
    scheme(page, dark)
    page.size(width)

    def examine(what):
        settle(page)
        assert violations(page) == [], what
        assert_no_sideways_scroll(page, what)

    search(page, "phone")
    page.wait("!document.getElementById('found').hidden")
    page.click("#group-list button")
    examine("a map with a region")
    page.click("#as-list")
    examine("a list")
    page.evaluate("location.hash = 'video=v8'")
    open_video(page, library.data.items[8].title)
    examine("a video")


def test_the_page_has_no_video_in_itself_and_the_other_page_leads_to_it(library):
    reply = library.service.client.get("/library", headers={"X-API-Key": ""})
    assert reply.headers["cache-control"] == "no-cache"
    assert library.data.items[0].title not in reply.text
    assert 'href="library"' in library.service.client.get("/").text
    assert "unsafe" not in reply.headers["content-security-policy"]
