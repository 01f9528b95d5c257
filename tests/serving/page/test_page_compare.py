"""Test a comparison on the page: how pictures are added, what the result shows, and how the result changes with the
inputs.
"""

import json

import pytest
from browser import KEY, SCRIPTS, fill, paste
from PIL import Image

CHANGE = """(() => {{ const field = document.getElementById('{field}'); field.value = {value};
    field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"""


def change(browser, field, value):
    browser.evaluate(CHANGE.format(field=field, value=json.dumps(value)))


@pytest.fixture
def pngs(tmp_path, draw):
    paths = [tmp_path / f"{n}.png" for n in range(2)]
    for n, path in enumerate(paths):
        path.write_bytes(draw(n, kind="PNG"))
    return paths


def test_pasted_pictures_are_ranked_under_names_of_their_own(browser, service, pngs):
    browser.open(f"{service.url}/#key={KEY}")
    paste(browser, *pngs)
    assert browser.texts(".file-name") == ["pasted-1.png", "pasted-2.png"]
    change(browser, "title", "Two pasted pictures")
    browser.click("#go")
    browser.wait("!document.getElementById('result').hidden")
    assert sorted(browser.texts(".card .name")) == ["pasted-1.png", "pasted-2.png"]
    assert browser.complaints() == []


def test_text_that_is_pasted_into_a_field_stays_text(browser, service):
    browser.open(f"{service.url}/#key={KEY}")
    taken = browser.evaluate("""(() => { const data = new DataTransfer(); data.setData('text/plain', 'a title');
        data.items.add(new File(['x'], 'table.png', { type: 'image/png' }));
        const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
        document.getElementById('title').dispatchEvent(event); return event.defaultPrevented; })()""")
    assert not taken
    assert browser.count("#chosen li") == 0


def test_two_files_with_one_name_get_different_names(browser, service, files, tmp_path, draw):
    (tmp_path / "other").mkdir()
    same_name = tmp_path / "other" / files[0].name
    same_name.write_bytes(draw(9))
    long_name = tmp_path / f"{'long ' * 45}.jpg"  # The name is longer than the service allows for an id.
    long_name.write_bytes(draw(10))
    fill(browser, service, files[0], same_name, long_name)
    assert sorted(browser.texts(".card .name")) == [f"{'long ' * 20}.jpg", "one (2).jpg", "one.jpg"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_pictures_are_ranked_together(browser, service, tmp_path, draw):
    paths = [tmp_path / f"{n}.jpg" for n in range(20)]
    for n, path in enumerate(paths):
        path.write_bytes(draw(n))
    browser.open(f"{service.url}/#key={KEY}")
    browser.choose(*paths)
    assert browser.text("#count") == "20 pictures"
    change(browser, "title", "Twenty pictures")
    browser.click("#go")
    browser.wait("!document.getElementById('result').hidden", seconds=120)
    assert browser.count(".card") == 20
    browser.size(390)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_result_shows_its_title_niche_channel_and_time(browser, service, files):
    fill(browser, service, *files[:2], title="<b>What I asked</b>")
    facts = dict(zip(browser.texts("#asked dt"), browser.texts("#asked dd"), strict=True))
    assert facts["Title"] == "<b>What I asked</b>"
    assert facts["Niche"] == "Tech"
    assert facts["Channel"] == "none given"
    assert str(browser.evaluate("new Date().getFullYear()")) in facts["Ranked"]
    change(browser, "title", "Another title")
    assert browser.text("#asked dd") == "<b>What I asked</b>", "the result must still show the request that it answers"


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((400, 300), "Not 16:9. YouTube cuts off 25% of it at the top and the bottom."),
        ((640, 270), "Not 16:9. YouTube cuts off 25% of it at the left and the right."),
        ((320, 180), ""),
        ((1366, 768), ""),
    ],
)
def test_the_part_of_a_picture_that_youtube_cuts_off_is_named_and_shown(browser, service, tmp_path, draw, size, said):
    path = tmp_path / "picture.jpg"
    path.write_bytes(draw(3, size))
    fill(browser, service, path, path)
    browser.wait("[...document.querySelectorAll('#chosen img')].every(n => n.complete)")
    assert browser.texts("#chosen .crop") == [said] * 2
    assert browser.texts(".card .crop") == [said] * 2
    for selector in ("#chosen img", ".card .picture img", "#stage .yours img"):
        fit = f"(n => [n.clientWidth / n.clientHeight, getComputedStyle(n).objectFit])(document.querySelector('{selector}'))"
        shape, kind = browser.evaluate(fit)
        assert shape == pytest.approx(16 / 9, abs=0.05)
        assert kind == "cover"


def test_an_outdated_answer_can_be_asked_again_where_it_says_so(browser, service, files):
    fill(browser, service, *files[:2])
    change(browser, "title", "A better title")
    assert not browser.evaluate("document.getElementById('outdated').hidden")
    browser.click("#again")
    browser.wait("document.getElementById('outdated').hidden")
    assert browser.text("#asked dd") == "A better title"


def test_a_live_answer_follows_a_change_and_leaves_the_focus_alone(browser, service, files):
    fill(browser, service, *files[:2])
    browser.click("#live")
    browser.evaluate("document.getElementById('title').focus()")
    change(browser, "title", "A live title")
    assert not browser.evaluate("document.getElementById('outdated').hidden"), (
        "the result must be marked as outdated until the new answer comes"
    )
    browser.wait("document.getElementById('outdated').hidden")
    assert browser.text("#asked dd") == "A live title"
    assert browser.evaluate("document.activeElement.id") == "title"
    change(browser, "title", "")
    browser.evaluate("new Promise(done => setTimeout(done, 1500))")
    assert browser.evaluate("document.getElementById('problem').hidden"), "an empty title must not be sent"
    assert not browser.evaluate("document.getElementById('outdated').hidden")
    browser.click("#live")
    browser.open(f"{service.url}/")
    assert not browser.evaluate("document.getElementById('live').checked"), "the page must remember the choice"


def test_a_service_that_is_gone_is_named_as_the_reason(browser, service, files):
    fill(browser, service, *files[:2])
    browser.evaluate("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    browser.click("#go")
    browser.wait("!document.getElementById('problem').hidden")
    assert browser.text("#problem") == "The service cannot be reached. Is it running?"


def test_an_answer_of_a_proxy_that_is_not_json_is_a_clear_error(browser, service, files):
    fill(browser, service, *files[:2])
    browser.evaluate("window.fetch = async () => new Response('<h1>Bad gateway</h1>', { status: 502 })")
    browser.click("#go")
    browser.wait("!document.getElementById('problem').hidden")
    assert browser.text("#problem") == "The service answered with status 502 and gave no reason."


def test_a_transparent_picture_and_a_tiny_one_are_answered_one_by_one(browser, service, files, tmp_path):
    tiny = tmp_path / "tiny.png"
    Image.new("RGB", (8, 8), "red").save(tiny)
    fill(browser, service, *files[:2], tiny)
    assert "8x8" in browser.text(".card.failed .error")
    assert browser.count(".card:not(.failed)") == 2


@pytest.mark.parametrize(
    ("title", "read", "said"),
    [
        ("I tested every PHONE of 2026", ["Phone", "tested!"], "The picture repeats the title: “tested”, “phone”."),
        ("The best of all", ["the", "of", "all"], ""),
        ("Ein Überblick", ["U\u0308BERBLICK"], "The picture repeats the title: “überblick”."),
        ("Обзор телефонов", ["ОБЗОР"], "The picture repeats the title: “обзор”."),
        ("I tested phones", [], ""),
    ],
)
def test_words_that_are_in_both_title_and_picture_are_named(browser, service, title, read, said):
    browser.open(service.url)
    evidence = json.dumps({"texts": [{"text": text} for text in read]})
    words = f"import('{SCRIPTS}/words.js').then(m => m.repeated({json.dumps(title)}, {evidence}))"
    assert browser.evaluate(words) == said
