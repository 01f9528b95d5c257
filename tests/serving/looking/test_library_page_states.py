"""Test in a browser what the page `/library` shows for missing, empty, older, damaged and large maps."""

import pyarrow as pa
import pytest
from accessibility import focused, violations
from browser import KEY
from late_answers import fail
from library_page import choose, on_canvas, open_library, publish_map, requested, search, settle, shown

from demo import planted_map
from demo.planted_map import publish_planted_map
from thumblab_core.library_map import files
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.library_map.points import POINTS, read_table, write_table

UNKNOWN_DAY = -(2**31)
"""The value that stands for an unknown day of publication."""
LARGE = 12_000
"""The number of points in the planted map that is large enough to have tiles."""
MOST_PAGES = 16
"""The page chooses the size of the pictures so that it needs at most this many pages of an atlas."""


def opened(page, library, niche):
    page.open(f"{library.service.url}/library?niche={niche}#key={KEY}", ready="look")


def republish(library, niche, change):
    """Publish and promote a copy of the map of tech for another niche. `change` gets the table of points, and returns
    the changed table or the bytes of a file.
    """
    source = library.lab.store.serving.current(LIBRARY_MAP, "tech").path

    def write(folder):
        for path in source.rglob("*"):
            if path.is_file() and path.name not in (POINTS, "manifest.json", "release.json"):
                (folder / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                (folder / path.relative_to(source)).write_bytes(path.read_bytes())
        changed = change(read_table(source / POINTS))
        if isinstance(changed, bytes):
            (folder / POINTS).write_bytes(changed)
        else:
            write_table(folder / POINTS, changed)

    release = library.lab.store.publish(LIBRARY_MAP, niche, write, {"videos": 40})
    library.lab.store.serving.promote(release)


def test_without_a_map_the_page_says_so_and_another_niche_can_be_chosen(page, library):
    opened(page, library, "beauty")
    page.wait("document.getElementById('problem').textContent.includes('map')")
    assert not shown(page, "#map-parts")
    assert shown(page, "#retry")
    assert violations(page) == []
    choose(page, "niche", "tech")
    page.wait("document.getElementById('count').textContent === '40 videos.'")
    assert not shown(page, "#problem")


@pytest.mark.parametrize(("gone", "named"), [("gone", "Gone"), ("No niche!", "\u2068No niche!\u2069")])
def test_a_link_with_a_niche_that_is_gone_says_so_and_links_to_the_others(page, library, gone, named):
    opened(page, library, gone.replace(" ", "%20"))
    page.wait("!document.getElementById('niches-left').hidden")
    assert page.text("#problem") == (
        f"This lab has no niche {named}: it was retired, or it never was one. Choose another one."
    )
    assert not shown(page, "#map-parts")
    assert not shown(page, "#retry")
    assert page.evaluate("document.getElementById('niche').selectedOptions[0].textContent") == "Choose one"
    links = page.texts("#niches-left a")
    assert (links[:3], len(links)) == (["All niches", "Tech", "Gaming"], 8)
    assert violations(page) == []
    choose(page, "niche", "tech")
    page.wait("document.getElementById('count').textContent === '40 videos.'")
    assert not shown(page, "#niches-left")
    assert "none" not in page.evaluate("[...document.getElementById('niche').options].map(({ value }) => value)")


def test_an_empty_map_says_so(page, library):
    republish(library, "education", lambda table: table.slice(0, 0))
    opened(page, library, "education")
    words = "The map of Education has no videos yet. Videos come with the next collection."
    page.wait(f"document.getElementById('problem').textContent === '{words}'")
    assert not shown(page, "#map-parts")


def test_an_older_map_without_some_facts_is_shown_and_says_which_are_missing(page, library):
    republish(library, "people", lambda table: table.drop_columns(["clarity", "outlier_multiple", "niche"]))
    open_library(page, library.service, "people")
    assert "It lacks: outlier multiple, clarity, niche." in page.text("#older")
    options = page.evaluate("[...document.getElementById('colour').options].map((option) => option.value)")
    assert "clarity" not in options
    assert options[0] == "views_per_hour"
    page.click("#as-list")
    assert page.count("#list li") == 40


def test_a_video_whose_day_is_not_known_has_no_age_and_passes_no_filter_by_day(page, library):
    def change(table):
        days = [UNKNOWN_DAY, *table["published_day"].to_pylist()[1:]]
        return table.set_column(
            table.schema.get_field_index("published_day"), "published_day", pa.array(days, pa.int32())
        )

    republish(library, "gaming", change)
    open_library(page, library.service, "gaming")
    choose(page, "colour", "age")
    assert page.texts("#legend li") == ["not known"]
    page.click("#as-list")
    choose(page, "order", "newest")
    assert page.count("#list li") == 40
    assert "NaN" not in page.text("#list")
    choose(page, "before", "2026-12-31")
    assert page.text("#list-title") == "39 videos on this map"


def with_column(name, column):
    return lambda table: table.set_column(table.schema.get_field_index(name), name, [column])


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("x", pa.array([float("nan")] + [0.5] * 39, pa.float32()), "a video lies outside of it"),
        ("y", pa.array([float("inf")] + [0.5] * 39, pa.float32()), "a video lies outside of it"),
        ("title", pa.array([1.0] * 40, pa.float32()), "The column title of the map has no texts"),
        ("x", pa.array(["a"] * 40), "The column x of the map has no numbers"),
    ],
    ids=["nan", "infinite", "number as title", "text as place"],
)
def test_a_map_with_lying_columns_is_refused_in_plain_words(page, library, name, values, words):
    republish(library, "entertainment", with_column(name, values))
    opened(page, library, "entertainment")
    page.wait("!document.getElementById('problem').hidden")
    assert words in page.text("#problem")
    assert not shown(page, "#map-parts")


@pytest.mark.parametrize("damage", [b"", b"<html>", b"ARROW1\0\0" + b"\xff" * 100 + b"ARROW1"])
def test_a_damaged_map_is_refused_in_plain_words(page, library, damage):
    republish(library, "entertainment", lambda table: damage)
    opened(page, library, "entertainment")
    page.wait("!document.getElementById('problem').hidden")
    assert "Arrow" in page.text("#problem") or "damaged" in page.text("#problem")
    assert not shown(page, "#map-parts")


def test_titles_are_text_and_never_markup(page, library):
    hostile = '<img src=x onerror="window.hit = 1">'

    def change(table):
        titles = [hostile, *table["title"].to_pylist()[1:]]
        return table.set_column(table.schema.get_field_index("title"), "title", [titles])

    republish(library, "gaming", change)
    open_library(page, library.service, "gaming")
    search(page, "onerror")
    page.wait("!document.getElementById('found').hidden")
    assert page.text("#found-list .video-title") == hostile
    assert page.evaluate("window.hit === undefined")


def test_a_title_of_any_length_and_direction_changes_nothing_around_it(page, library):
    turned = "\u202eTurned \u2066around"

    def change(table):
        titles = ["W" * 10_000, turned, *table["title"].to_pylist()[2:]]
        channels = ["\u202eChannel", turned, *table["channel"].to_pylist()[2:]]
        return with_column("channel", pa.array(channels))(with_column("title", pa.array(titles))(table))

    republish(library, "gaming", change)
    open_library(page, library.service, "gaming")
    page.click("#as-list")
    text = page.text("#list")
    assert "Turned around" in text
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067") & set(text)
    for width in (1280, 390):
        page.size(width)
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    page.click("#as-map")
    page.evaluate("document.getElementById('frame').scrollIntoView({ block: 'center' })")
    row = page.evaluate("window.libraryMap.model.points.find('v0')")
    x, y = on_canvas(page, *page.evaluate(f"(({{x, y}}) => [x[{row}], y[{row}]])(window.libraryMap.model.points)"))
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    page.wait("!document.getElementById('card').hidden")
    assert page.evaluate("document.getElementById('card').offsetHeight < document.getElementById('frame').offsetHeight")


def test_without_a_key_and_with_a_wrong_one_the_page_asks_for_it(page, library):
    page.evaluate("sessionStorage.clear()")
    page.open(f"{library.service.url}/library?niche=tech#video=v8", ready="look")
    page.wait("document.activeElement.id === 'key'")
    assert "API key" in page.text("#problem")
    page.call("Input.insertText", text="wrong")
    page.press("Enter", text="\r")
    page.wait("document.getElementById('problem').textContent.includes('no longer valid')")
    assert focused(page) == "key"
    page.evaluate("document.getElementById('key').value = ''")
    page.call("Input.insertText", text=KEY)
    page.press("Enter", text="\r")
    page.wait(f"document.getElementById('video-title').textContent === '{library.data.items[8].title}'")
    page.click("#video-back")
    page.wait("document.getElementById('count').textContent === '40 videos.'")
    assert shown(page, "#frame"), "the history has no earlier view of this page, so the map must be shown"


def test_pictures_that_cannot_be_loaded_are_told_and_the_points_stay(page):
    fail(page, "map/atlases/")
    choose(page, "niche", "all")
    page.wait("document.getElementById('pictures-note').textContent.startsWith('Some pictures could not be loaded')")
    assert page.text("#count") == "20 videos."


@pytest.fixture(scope="module")
def large(library):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "LARGE", LARGE)
        patch.setattr(planted_map, "MOST_TILES", 2 * MOST_PAGES * 256)
        return publish_planted_map(library.lab.store, LARGE, "news")


def test_a_large_map_loads_only_the_tiles_in_sight(page, library, large):
    page.events.clear()
    open_library(page, library.service, "news")
    assert page.text("#count") == f"A sample of 4,000 of {LARGE:,} videos is loaded here; zoom in for the others."
    assert [url for url in requested(page) if url.endswith("/v1/library/news/map")] == []
    page.evaluate("window.libraryMap.camera.fit({ left: 0.4, right: 0.45, top: 0.4, bottom: 0.45 }, 40)")
    page.evaluate("window.libraryMap.move()")
    page.wait("window.libraryMap.model.points.length !== 4000")
    loaded = page.evaluate("""(() => {
        const { model, camera } = window.libraryMap;
        const { left, top, right, bottom } = camera.sight();
        const { x, y } = model.points;
        return x.filter((value, row) => value >= left && value <= right && y[row] >= top && y[row] <= bottom).length;
    })()""")
    every = read_table(large.path / POINTS).to_pandas()
    left, top, right, bottom = page.evaluate(
        "(({left, top, right, bottom}) => [left, top, right, bottom])(window.libraryMap.camera.sight())"
    )
    here = every[(every.x >= left) & (every.x <= right) & (every.y >= top) & (every.y <= bottom)]
    assert loaded == len(here) > 0, "after zooming in, all visible videos must be loaded"
    assert on_canvas(page, 0.42, 0.42)[0] > 0


def test_pictures_from_many_pages_are_loaded_at_a_size_at_which_their_pages_fit_into_memory(page, library, large):
    """The pictures of a map are on pages of many tiles. The tiles of this map are in random order, so the visible
    pictures are on nearly all pages.
    """
    open_library(page, library.service, "news")
    page.evaluate("window.libraryMap.camera.fit({ left: 0.3, right: 0.7, top: 0.3, bottom: 0.7 }, 40)")
    page.evaluate("window.libraryMap.camera.zoomAt(4); window.libraryMap.move()")
    page.wait("window.libraryMap.model.points.length !== 4000")
    settle(page)
    asked, wanted = page.evaluate("""(() => {
        const { model, shown, camera } = window.libraryMap;
        const { pages, levels } = model.atlas;
        const top = levels.at(-1);
        const of = (tile) => top.pages[Math.floor(tile / (top.columns * top.rows))];
        const inSight = new Set(shown.map(({ row }) => of(model.points.tile[row])));
        return [top.pages.filter((name) => pages.has(name)).length, inSight.size];
    })()""")
    assert wanted > MOST_PAGES, "the pictures in sight are on more pages"
    assert asked <= MOST_PAGES


def test_a_map_that_is_published_meanwhile_is_not_mixed_with_the_old_one(page, library):
    page.evaluate("""(() => {
        const real = window.fetch;
        let asked = 0;
        window.fetch = async (path, options) => {
            const reply = await real(path, options);
            if (!String(path).endsWith('clusters') || asked++ > 0) return reply;
            return Response.json({ ...(await reply.json()), release: 'another' });
        };
        window.askedClusters = () => asked;
    })()""")
    choose(page, "niche", "all")
    page.wait("document.getElementById('count').textContent === '20 videos.'")
    assert page.evaluate("window.askedClusters()") == 2, "the second attempt must get answers of one release"
    publish_map(library)
    choose(page, "niche", "tech")
    page.wait("document.getElementById('count').textContent === '40 videos.'")
    settle(page)
