"""Test in a browser that searches on the page `/library` follow its filters and its maps."""

import json

from browser import SCRIPTS
from library_page import choose, drop_picture, found, search

DAYS = ("2026-09-06", "2026-10-04")
"""The first and the last day of the tests of filters. The video number n was published n days after 2026-09-01."""


def test_a_search_by_meaning_finds_the_most_similar_videos_of_the_chosen_days(page, library):
    """The service finds a limited number of videos. The videos of the chosen days need not be among those of all days."""
    page.evaluate("""(() => { const ask = window.fetch; window.sent = []; window.fetch = async (path, options) => {
        if (!String(path).startsWith('v1/similar')) return ask(path, options);
        const query = { ...JSON.parse(options.body), k: 3 };
        window.sent.push(query);
        return ask(path, { ...options, body: JSON.stringify(query) });
    }; })()""")
    search(page, "a fast red car", "meaning")
    page.wait("document.getElementById('found-title').textContent.startsWith('3 videos by')")
    page.click("#in-sight")
    page.wait("document.getElementById('region-title').textContent.startsWith('What was in sight')")
    choose(page, "after", DAYS[0])
    choose(page, "before", DAYS[1])
    page.wait(f"window.sent.at(-1).published_before === {json.dumps(DAYS[1])}")
    page.wait("document.getElementById('search-busy').hidden")
    assert page.text("#found-title").startswith("3 videos by “a fast red car”")
    numbers = [int(title.rsplit(" ", 1)[1]) for title in found(page)]
    assert all(5 <= number <= 33 for number in numbers)
    assert page.text("#region-title").startswith("What was in sight"), "the region stays"
    assert page.evaluate("document.getElementById('search').value") == "a fast red car"
    sent = page.evaluate("window.sent.length")
    choose(page, "after", "2026-10-05")
    assert "after the last one" in page.text("#dates-note")
    assert page.evaluate("window.sent.length") == sent, "a span without a day is not searched"


def test_a_picture_of_one_map_can_be_found_on_another_map(page, library, tmp_path):
    picture = tmp_path / "mine.jpg"
    picture.write_bytes(library.data.pictures[9])
    drop_picture(page, picture)
    page.wait("document.getElementById('place').textContent.startsWith('mine.jpg lies nearest to')")
    page.evaluate("""(() => { const ask = window.fetch; window.niches = []; window.fetch = async (path, options) => {
        if (String(path).startsWith('v1/similar')) window.niches.push(options.body.get('niche'));
        return ask(path, options);
    }; })()""")
    choose(page, "niche", "all")
    page.wait("document.getElementById('count').textContent === '20 videos.'")
    page.click("#marks .mark")
    page.wait("document.getElementById('place').textContent.startsWith('mine.jpg lies nearest to')")
    assert page.evaluate("window.niches") == [None], "the picture is compared with the videos of the open map"


def test_a_growth_about_which_nothing_is_known_has_no_figures(page):
    """With two channels, an interval may reach from 0 to several hundred thousand."""
    growth = {"ratio": 3.3, "low": 0.00002, "high": 448917.1, "rising": False}
    group = {"level": 0, "id": 1, "parent": None, "label": ["keyboards"], "traits": [], "videos": 9, "channels": 2}
    groups = [{**group, "outlier_multiple": None, "growth": growth}]
    groups.append({**group, "growth": {**growth, "low": 1.1, "high": 9.9}, "outlier_multiple": None})
    page.evaluate(f"import('{SCRIPTS}/look/groups.js').then((m) => m.drawGroups({json.dumps(groups)}, () => {{}}))")
    assert page.texts("#group-list .soft") == [
        "9 videos of 2 channels · too few channels to say whether it grows",
        "9 videos of 2 channels · its share of the new videos is 3.3 times its share in the weeks before "
        "(95% interval 1.1 to 9.9)",
    ]


def test_the_page_begins_with_the_title_of_a_channel_that_was_given_by_its_handle(page, library):
    last = {"channel": "@c2", "title": "Channel 2", "niche": "tech"}
    page.evaluate(f"localStorage.setItem('thumblab-last-asked', {json.dumps(json.dumps(last))})")
    page.open(f"{library.service.url}/library?niche=tech", ready="look")
    page.wait("document.getElementById('own-note').textContent.startsWith('10 videos of this channel')")
    assert page.evaluate("document.getElementById('channel').value") == "Channel 2"
    choose(page, "channel", "@c2")
    assert page.text("#own-note").startswith("This map has no video of a channel with this name.")
