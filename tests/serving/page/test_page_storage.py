"""Test the page in a browser that stores nothing, and with files that change while the page is open."""

import json
import os

from browser import KEY, SCRIPTS, fill
from test_page_titles import write

BLOCKED = """for (const name of ['sessionStorage', 'localStorage', 'indexedDB']) {
    Object.defineProperty(window, name, { configurable: true,
        get() { throw new DOMException('storage is blocked', 'SecurityError'); } });
}"""


def save_again(path, data):
    """Write a file as a picture editor does: with other content, and at a later time."""
    path.write_bytes(data)
    later = path.stat().st_mtime + 60
    os.utime(path, (later, later))


def test_a_browser_that_blocks_all_storage_shows_each_part_and_ranks(browser, service, files):
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source=BLOCKED)["identifier"]
    try:
        fill(browser, service, *files[:2])
        assert browser.count(".card") == 2
        browser.wait("!document.getElementById('kept').hidden")
        assert "could not store it (storage is blocked)" in browser.text("#kept")
        for part in ("channel", "history", "lab", "compare"):
            browser.click(f"nav a[href='#{part}']")
            browser.wait(f"!document.getElementById('view-{part}').hidden")
        thrown = [each for each in browser.complaints() if each["method"] == "Runtime.exceptionThrown"]
        assert thrown == []
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_a_picture_that_was_saved_again_after_it_was_chosen_is_named(browser, service, files, draw):
    browser.open(f"{service.url}/#key={KEY}")
    write(browser, "#title", "What was edited")
    browser.choose(*files)
    save_again(files[0], draw(10))
    browser.click("#go")
    browser.wait("!document.getElementById('problem').hidden")
    assert browser.text("#problem") == (
        "one.jpg was changed, moved or deleted on this computer after you chose it. Remove it here, and choose it again."
    )
    browser.click("[aria-label='Remove one.jpg']")
    browser.choose(files[0])
    browser.click("#go")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.count(".card") == 3


def test_an_export_that_was_saved_again_after_it_was_chosen_is_named(browser, service, export):
    browser.open(f"{service.url}/#key={KEY}")
    browser.click("nav a[href='#channel']")
    browser.choose(export, field="#exports")
    save_again(export, b"Content\n")
    browser.click("#learn")
    browser.wait("!document.getElementById('channel-problem').hidden")
    assert browser.text("#channel-problem").startswith(f"{export.name} was changed, moved or deleted on this computer")


def test_the_pictures_of_neighbours_that_arrived_are_shown_although_later_ones_failed(browser, service):
    browser.open(f"{service.url}/#key={KEY}")
    near = [{"video_id": f"late-{n}", "similarity": 1 - n / 100} for n in range(30)]
    found = [{"video_id": "late-0", "media_type": "image/gif", "image_base64": "R0lGODlhAQABAAAAACw="}]
    shown = browser.evaluate(f"""import('{SCRIPTS}/library.js').then(async ({{ libraryImage, loadPictures }}) => {{
        const first = libraryImage('late-0');
        document.body.append(first);
        const [ask, asked] = [window.fetch, []];
        window.fetch = async (path, options) => {{
            if (!String(path).startsWith('v1/library/pictures')) return ask(path, options);
            asked.push(path);
            if (asked.length > 1) throw new TypeError('no network');
            return Response.json({{ pictures: {json.dumps(found)}, missing: [], degraded: [] }});
        }};
        await loadPictures({{ thumbnails: [{{ neighbours: {json.dumps(near)} }}] }});
        window.fetch = ask;
        return [asked.length, first.hidden];
    }})""")
    assert shown == [2, False]
