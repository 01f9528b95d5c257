"""Test the form of the page. The tests cover the key, the fields, the choice of pictures, and outdated answers."""

import json

import pytest
from browser import KEY, drag, fill

from thumblab_core.library_note import DRAWN, write_note


def test_the_key_is_removed_from_the_address_bar_and_never_sent_in_a_url(browser, service, files):
    fill(browser, service, *files[:2])
    assert KEY not in browser.evaluate("location.href")
    requests = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert requests
    assert not any(KEY in url for url in requests)
    assert {url.split("/")[2] for url in requests if url.startswith("http")} == {service.url.split("/")[2]}


def test_a_wrong_key_asks_for_the_right_one(browser, service, files):
    browser.open(f"{service.url}/#key=wrong")
    browser.evaluate("document.getElementById('title').value = 't'")
    browser.choose(*files[:2])
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("!document.getElementById('problem').hidden")
    assert "API key" in browser.evaluate("document.getElementById('problem').textContent")
    assert not browser.evaluate("document.getElementById('key-field').hidden")
    browser.evaluate(f"document.getElementById('key').value = '{KEY}'; document.getElementById('go').click()")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.evaluate("document.getElementById('key-field').hidden")


def test_an_incomplete_form_is_not_sent(browser, service, files):
    browser.open(f"{service.url}/#key={KEY}")
    browser.evaluate("document.getElementById('go').click()")
    assert "title" in browser.evaluate("document.getElementById('problem').textContent")
    browser.evaluate("document.getElementById('title').value = 't'")
    browser.choose(files[0])
    browser.evaluate("document.getElementById('go').click()")
    assert "two" in browser.evaluate("document.getElementById('problem').textContent")


@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_the_filled_page_never_scrolls_sideways(browser, service, files, width):
    fill(browser, service, *files)
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 390])
def test_a_long_file_name_does_not_widen_the_page(browser, service, tmp_path, draw, width):
    name = "Screenshot_20261101-123456_com.google.android.apps.youtube.creator final version 2"
    paths = [tmp_path / f"{name}.jpg", tmp_path / f"{name.replace('_', '')}.jpg"]
    for seed, path in enumerate(paths):
        path.write_bytes(draw(seed))
    browser.size(width)
    fill(browser, service, *paths)
    assert browser.count(".card") == 2
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("history", "compare"):
        browser.click(f"nav a[href='#{part}']")
        browser.wait(f"!document.getElementById('view-{part}').hidden")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.size(1280)


def test_every_field_has_an_accessible_name(browser, service):
    browser.open(service.url)
    unnamed = "[...document.querySelectorAll('input, select, button')].filter(n => !n.labels?.length && !n.textContent)"
    assert browser.evaluate(f"{unnamed}.length") == 0
    assert browser.evaluate("document.documentElement.lang") == "en"


def test_the_note_on_a_drawn_library_is_shown_before_any_request(browser, new_lab, run):
    lab = new_lab()
    lab.settings.data_dir.mkdir(parents=True, exist_ok=True)
    write_note(lab.settings.data_dir, DRAWN)
    with run(lab.settings, wait=False) as drawn:
        assert drawn.health()["library_note"] == DRAWN
        browser.open(drawn.url)
        browser.wait("!document.getElementById('notes').hidden")
        assert DRAWN in browser.evaluate("document.getElementById('notes').textContent")


def test_an_outdated_answer_is_marked_until_it_is_requested_again(browser, service, files):
    fill(browser, service, *files)
    outdated = (
        "[document.getElementById('outdated').hidden, document.getElementById('result').classList.contains('outdated')]"
    )
    assert browser.evaluate(outdated) == [True, False]
    for field, value in (("title", "Another title"), ("niche", "news"), ("channel", "UCother")):
        change = f"""(() => {{ const field = document.getElementById('{field}'), before = field.value; field.value = %s;
            field.dispatchEvent(new Event('input', {{ bubbles: true }})); return before; }})()"""
        before = browser.evaluate(change % json.dumps(value))
        assert browser.evaluate(outdated) == [False, True], field
        browser.evaluate(change % json.dumps(before))
        assert browser.evaluate(outdated) == [True, False], "the form must have the values of the shown answer again"
    browser.evaluate("document.querySelector('#chosen button').click()")
    assert browser.evaluate(outdated) == [False, True]
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("document.getElementById('outdated').hidden")
    assert browser.evaluate("document.querySelectorAll('.card').length") == 2


def test_a_change_during_the_request_makes_the_answer_outdated(browser, service, files):
    fill(browser, service, *files[:2])
    browser.evaluate("""document.getElementById('result').hidden = true; document.getElementById('go').click();
        document.getElementById('title').value = 'A later title'""")
    browser.wait("!document.getElementById('result').hidden")
    assert not browser.evaluate("document.getElementById('outdated').hidden")


def left_out(browser):
    return browser.evaluate(
        "document.getElementById('left-out').hidden ? '' : document.getElementById('left-out').textContent"
    )


def test_each_file_that_is_left_out_is_named_with_the_reason(browser, service, files, tmp_path, draw):
    (tmp_path / "notes.txt").write_text("a")
    (tmp_path / "<b>.svg").write_text("<svg/>")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    more = []
    for n in range(20):
        more.append(tmp_path / f"more-{n}.jpg")
        more[-1].write_bytes(draw(n, (64, 36)))
    browser.open(f"{service.url}/#key={KEY}")
    browser.choose(files[0], tmp_path / "notes.txt", tmp_path / "<b>.svg")
    assert (
        left_out(browser)
        == "Left out: notes.txt, <b>.svg. Only JPEG, PNG, WebP, AVIF, GIF and BMP pictures can be ranked here."
    )
    assert browser.evaluate("document.querySelectorAll('#chosen li').length") == 1
    browser.choose(tmp_path / "IMG_1.HEIC")
    assert (
        left_out(browser)
        == "Left out: IMG_1.HEIC. Browsers cannot show HEIC pictures; save them as JPEG, or use thumblab score."
    )
    browser.choose(*more)
    assert left_out(browser) == "Left out: more-19.jpg. At most 20 are compared; remove one first."
    browser.evaluate("document.getElementById('go').click()")
    assert "more-19.jpg" in left_out(browser), "the file must still be left out"
    browser.evaluate("document.querySelector('#chosen button').click()")
    assert left_out(browser) == ""


def test_a_file_dropped_anywhere_is_chosen_and_the_page_stays(browser, service, files):
    browser.open(f"{service.url}/#key={KEY}")
    for n, (x, y) in enumerate([(5, 5), (400, 60)], start=1):
        drag(browser, x, y, {"items": [], "files": [str(files[n - 1])]})
        browser.wait(f"document.querySelectorAll('#chosen li').length === {n}")
        assert not browser.evaluate("document.getElementById('drop').classList.contains('over')")
    link = {"mimeType": "text/uri-list", "data": "http://127.0.0.1:1/elsewhere"}
    drag(browser, 5, 5, {"items": [link]})
    browser.wait("!document.getElementById('left-out').hidden")
    assert "not a file" in left_out(browser)
    assert browser.evaluate("location.href").startswith(service.url)
    assert browser.evaluate("document.querySelectorAll('#chosen li').length") == 2


@pytest.mark.parametrize("title", ["\u200b", " \u200f\u202e ", "\u0301", "\u3164"])
def test_an_invisible_title_is_not_accepted(browser, service, files, title):
    fill(browser, service, *files[:2], title=title)
    assert browser.evaluate("document.getElementById('problem').textContent") == "Give the title of the video."


def test_the_page_says_how_often_such_rankings_were_right(browser, service, files):
    fill(browser, service, *files[:2])
    shown = browser.evaluate("document.getElementById('skill').textContent")
    assert shown.startswith("On unseen channels, the model ordered 70 % of 1,000 held-out pairs of pictures")
    assert not browser.evaluate("document.getElementById('skill').hidden")


def test_the_page_sends_the_channel_and_says_whether_the_answer_is_adapted(browser, service, files):
    fill(browser, service, *files[:2])
    assert browser.evaluate("document.getElementById('adapted').hidden")
    for given, message in (("  UCnobody ", "Not adapted to UCnobody."), ("", "")):
        browser.evaluate(f"document.getElementById('channel').value = {json.dumps(given)}")
        browser.evaluate("document.getElementById('result').hidden = true; document.getElementById('go').click()")
        browser.wait("!document.getElementById('result').hidden")
        assert browser.evaluate("document.getElementById('adapted').textContent") == message
        missing = browser.evaluate("document.getElementById('degraded').textContent")
        assert ("thumblab channel add UCnobody" in missing) is bool(given)
    id_ = "UCBJycsmduvYEL83R_U4JriQ"
    browser.evaluate(f"document.getElementById('channel').value = 'https://www.youtube.com/channel/{id_}/videos'")
    browser.evaluate("document.getElementById('result').hidden = true; document.getElementById('go').click()")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.evaluate("document.getElementById('adapted').textContent") == f"Not adapted to {id_}."
    browser.evaluate("document.getElementById('channel').value = '\\u200b'")
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("!document.getElementById('problem').hidden")
    problem = browser.evaluate("document.getElementById('problem').textContent")
    assert problem == "Give the channel's name, its @handle, a link to it or its id; or leave the field empty."


def test_an_answer_that_is_given_up_while_it_is_read_is_no_error(browser, service, files):
    browser.open(f"{service.url}/#key={KEY}")
    browser.evaluate("document.getElementById('title').value = 'A title'")
    browser.choose(*files[:2])
    browser.evaluate("""(() => {
        const real = window.fetch;
        let isFirst = true;
        window.fetch = (path, options) => {
            if (!path.startsWith('v1/score') || !isFirst) return real(path, options);
            isFirst = false;
            const fail = (stream) => options.signal.addEventListener('abort', () => stream.error(options.signal.reason));
            return Promise.resolve(new Response(new ReadableStream({ start: fail })));
        };
        for (let times = 0; times < 2; times += 1) document.getElementById('form').requestSubmit();
    })()""")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.evaluate("document.getElementById('problem').hidden"), browser.text("#problem")
