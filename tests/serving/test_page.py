"""The page in a real browser: Debian's chromium, driven over its own protocol."""

import base64
import contextlib
import itertools
import json
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from websockets.sync.client import connect

from thumblab_core.library_note import DRAWN, write_note
from thumblab_core.ranking.familiarity import Familiarity

CHROMIUM = Path("/usr/bin/chromium")
KEY = "key-of-the-tests-0123456789"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-port=0"
)

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium")


class Browser:
    """One tab."""

    def __init__(self, profile):
        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port_file = profile / "DevToolsActivePort"
        wait_for(lambda: port_file.exists() and len(port_file.read_text().split()) == 2)
        port, path = port_file.read_text().split()
        self.stack = contextlib.ExitStack()
        self.socket = self.stack.enter_context(connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None))
        self.ids = itertools.count(1)
        self.events = []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self.stack.close()
        self.process.terminate()
        self.process.wait(20)

    def call(self, method, **params):
        message = {"id": next(self.ids), "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.socket.recv(timeout=30))
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def evaluate(self, expression):
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression):
        wait_for(lambda: self.evaluate(expression))

    def open(self, url):
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && !!document.getElementById('form')")

    def choose(self, *paths):
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector="#files")["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def screenshot(self, path, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        """What the page logged, threw, or was stopped from doing by its policy."""
        self.evaluate("1")
        return [
            event
            for event in self.events
            if event["method"] == "Runtime.exceptionThrown"
            or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
        ]


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def files(tmp_path, draw):
    paths = []
    for n, name in enumerate(["one.jpg", "<img src=x onerror=alert(1)>.jpg", "three.jpg"]):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(draw(n))
    return paths


def fill(browser, service, *paths, title="I tested every phone under $200"):
    browser.events.clear()
    browser.open(f"{service.url}/#key={KEY}")
    browser.evaluate(f"document.getElementById('title').value = {json.dumps(title)}")
    browser.choose(*paths)
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("!document.getElementById('result').hidden || !document.getElementById('problem').hidden")


def test_choosing_pictures_ranks_them(browser, service, files, tmp_path):
    fill(browser, service, *files)
    places = browser.evaluate("[...document.querySelectorAll('.card .place')].map(n => n.textContent)")
    assert places == ["#1", "#2", "#3"]
    names = browser.evaluate("[...document.querySelectorAll('.card .name')].map(n => n.textContent)")
    assert sorted(names) == sorted(path.name for path in files)
    assert browser.evaluate("document.querySelectorAll('.card img').length") == 3
    assert browser.evaluate("[...document.querySelectorAll('.card img')].every(i => i.naturalWidth === 320)")
    chances = browser.evaluate("[...document.querySelectorAll('.chance-value')].map(n => parseInt(n.textContent))")
    assert chances == sorted(chances, reverse=True)
    assert "Model 2" in browser.evaluate("document.getElementById('releases').textContent")
    assert browser.evaluate("document.querySelectorAll('.near a').length") == 9
    # The bars' widths are set from script: the policy must not have stopped that.
    browser.wait("document.querySelector('.card .bar.strong i').style.width !== ''")
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "page.png", 1200, 900)
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_the_key_leaves_the_address_bar_and_is_never_sent_in_a_url(browser, service, files):
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


def test_a_bad_picture_says_why_on_its_card_and_markup_stays_text(browser, service, files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    fill(browser, service, *files[:2], bad, title="<script>alert(1)</script>")
    assert "not a JPEG" in browser.evaluate("document.querySelector('.card.failed .error').textContent")
    assert browser.evaluate("document.querySelectorAll('.card').length") == 3
    assert browser.evaluate("document.querySelectorAll('#result b, #result script, img[src=\"x\"]').length") == (
        browser.evaluate("document.querySelectorAll('.sub-reason > b').length")
    )


def test_nothing_is_sent_before_it_is_complete(browser, service, files):
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


def test_every_field_has_a_name_that_can_be_read_out(browser, service):
    browser.open(service.url)
    unnamed = "[...document.querySelectorAll('input, select, button')].filter(n => !n.labels?.length && !n.textContent)"
    assert browser.evaluate(f"{unnamed}.length") == 0
    assert browser.evaluate("document.documentElement.lang") == "en"


def seen(browser, what):
    return browser.evaluate(f"[...document.querySelectorAll('.overlay')].map(n => {what})")


def test_what_was_seen_is_shown_and_hidden_again_from_the_keyboard(browser, service, files):
    fill(browser, service, *files)
    assert seen(browser, "getComputedStyle(n).display") == ["none"] * 3
    browser.evaluate("document.getElementById('see').focus()")
    for pressed, shown in (("true", "block"), ("false", "none")):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", text=" ", windowsVirtualKeyCode=32)
        assert browser.evaluate("document.getElementById('see').getAttribute('aria-pressed')") == pressed
        assert seen(browser, "getComputedStyle(n).display") == [shown] * 3
        assert browser.evaluate("document.getElementById('legend').hidden") is (pressed == "false")
    assert browser.complaints() == []


def test_the_frames_lie_where_the_evidence_says_also_on_a_picture_that_is_cropped(browser, service, tmp_path, draw):
    tall = tmp_path / "tall.jpg"
    tall.write_bytes(draw(3, (400, 300)))
    fill(browser, service, tall, tall)
    browser.evaluate("document.getElementById('see').click()")
    frame = browser.evaluate("""(() => {
        const picture = document.querySelector('.picture img').getBoundingClientRect();
        const badge = document.querySelector('.overlay .is-badge .line').getBoundingClientRect();
        return [badge.left - picture.left, badge.top - picture.top, badge.width, picture.width, picture.height];
    })()""")
    left, top, badge, width, height = frame
    # 4:3 in a frame of 16:9: the width fits, and as much is cut above as below.
    whole = width * 3 / 4
    assert left == pytest.approx(0.83 * width, abs=3)
    assert badge == pytest.approx(0.15 * width, abs=5)
    assert top == pytest.approx(0.84 * whole - (whole - height) / 2, abs=3)


def test_every_sub_score_shows_its_place_in_the_niche_its_reason_and_its_fix(browser, service, files):
    fill(browser, service, *files)
    rows = browser.evaluate("""[...document.querySelectorAll('.card')].map(card => [...card.querySelectorAll('.subs > li')]
        .map(n => [n.className, n.querySelector('.sub-value').textContent, n.querySelector('.sub-reason').textContent]))""")
    assert [len(card) for card in rows] == [6, 6, 6]
    for card in rows:
        assert all(reason.endswith(".") for _, _, reason in card)
        assert all(("of tech" in place) == ("unmeasured" not in kind) for kind, place, _ in card)
        assert all(reason.count(".") >= 2 for kind, _, reason in card if "weak" in kind)
    assert browser.evaluate("document.querySelectorAll('.bar.placed').length") == 15


def test_words_in_a_picture_are_text_and_never_markup(browser, service, files):
    """A thumbnail may say anything: what was read in it is made as hostile as can be on its way to the page."""
    hostile = "</title><img src=x onerror=alert(1)><script>alert(2)</script>"
    browser.open(f"{service.url}/#key={KEY}")
    browser.evaluate(f"""(() => {{
        const hostile = {json.dumps(hostile)}, real = window.fetch;
        window.fetch = async (...asked) => {{
            const reply = await real(...asked), answer = await reply.json();
            for (const one of answer.thumbnails) {{
                const box = {{ x: 0.1, y: 0.1, width: 0.5, height: 0.2 }};
                one.evidence.texts = [{{ box, text: hostile, confidence: 1, height_at_120: 12 }}];
                Object.assign(one.sub_scores.hierarchy, {{ reason: hostile, fix: hostile }});
            }}
            answer.degraded = [hostile];
            return new Response(JSON.stringify(answer), {{ status: reply.status }});
        }};
        document.getElementById('title').value = 't';
    }})()""")
    browser.events.clear()
    browser.choose(*files[:2])
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("!document.getElementById('result').hidden")
    browser.evaluate("document.getElementById('see').click()")
    assert seen(browser, "n.querySelector('.is-text title').textContent") == [hostile] * 2
    assert hostile in browser.evaluate("document.querySelector('.seen').textContent")
    assert browser.evaluate("document.querySelectorAll('#result script, #result img[src=\"x\"]').length") == 0
    assert browser.complaints() == []


def test_what_this_lab_cannot_look_for_is_a_note_told_once_and_no_fault_of_an_answer(browser, service, files):
    fill(browser, service, *files[:2])
    assert "thumblab models pull" in browser.evaluate("document.getElementById('notes').textContent")
    browser.wait("document.getElementById('degraded').hidden")
    assert browser.evaluate("document.getElementById('notes').getAttribute('role')") is None
    assert "faces were not looked for" in browser.evaluate("document.querySelector('.seen').textContent")


def test_an_answer_is_shown_without_waiting_for_what_health_says(browser, service, files):
    fill(browser, service, *files[:2])
    browser.evaluate("""(() => { const real = window.fetch;
        window.fetch = (to, ...rest) => to === 'health' ? new Promise(() => {}) : real(to, ...rest);
        document.getElementById('result').hidden = true; document.getElementById('go').click(); })()""")
    browser.wait("!document.getElementById('result').hidden && !document.getElementById('go').disabled")


def test_a_library_that_is_drawn_is_called_so_before_anything_is_asked(browser, new_lab, run):
    lab = new_lab()
    lab.settings.data_dir.mkdir(parents=True, exist_ok=True)
    write_note(lab.settings.data_dir, DRAWN)
    with run(lab.settings, wait=False) as drawn:
        assert drawn.health()["library_note"] == DRAWN
        browser.open(drawn.url)
        browser.wait("!document.getElementById('notes').hidden")
        assert DRAWN in browser.evaluate("document.getElementById('notes').textContent")


def test_an_answer_to_what_is_no_longer_asked_is_marked_until_it_is_asked_again(browser, service, files):
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
        assert browser.evaluate(outdated) == [True, False], "it is the same question again"
    browser.evaluate("document.querySelector('#chosen button').click()")
    assert browser.evaluate(outdated) == [False, True]
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("document.getElementById('outdated').hidden")
    assert browser.evaluate("document.querySelectorAll('.card').length") == 2


def test_what_was_changed_while_it_was_asked_makes_the_answer_outdated_at_once(browser, service, files):
    fill(browser, service, *files[:2])
    browser.evaluate("""document.getElementById('result').hidden = true; document.getElementById('go').click();
        document.getElementById('title').value = 'A later title'""")
    browser.wait("!document.getElementById('result').hidden")
    assert not browser.evaluate("document.getElementById('outdated').hidden")


def left_out(browser):
    return browser.evaluate(
        "document.getElementById('left-out').hidden ? '' : document.getElementById('left-out').textContent"
    )


def test_each_file_that_is_left_out_is_named_with_its_own_reason(browser, service, files, tmp_path, draw):
    (tmp_path / "notes.txt").write_text("a")
    (tmp_path / "<b>.svg").write_text("<svg/>")
    more = []
    for n in range(5):
        more.append(tmp_path / f"more-{n}.jpg")
        more[-1].write_bytes(draw(n))
    browser.open(f"{service.url}/#key={KEY}")
    browser.choose(files[0], tmp_path / "notes.txt", tmp_path / "<b>.svg")
    assert left_out(browser) == "Left out: notes.txt, <b>.svg. Only JPEG, PNG and WebP pictures can be ranked."
    assert browser.evaluate("document.querySelectorAll('#chosen li').length") == 1
    browser.choose(*more)
    assert left_out(browser) == "Left out: more-4.jpg. At most 5 are compared; remove one first."
    browser.evaluate("document.getElementById('title').value = 't'; document.getElementById('go').click()")
    browser.wait("!document.getElementById('result').hidden")
    assert "more-4.jpg" in left_out(browser), "it is still left out"
    browser.evaluate("document.querySelector('#chosen button').click()")
    assert left_out(browser) == ""


def drag(browser, x, y, data):
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data={"dragOperationsMask": 1, **data})


def test_a_drop_anywhere_on_the_page_chooses_the_file_and_nothing_dropped_leaves_the_page(browser, service, files):
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


def test_a_sub_scores_bar_is_as_long_as_its_number_says(browser, service, files):
    fill(browser, service, *files)
    browser.wait("[...document.querySelectorAll('.subs > li:not(.unmeasured) i')].every(n => n.style.width)")
    shown = browser.evaluate("""[...document.querySelectorAll('.subs > li:not(.unmeasured)')]
        .map(n => [n.querySelector('.sub-value').textContent, n.querySelector('i').style.width])""")
    assert shown
    for text, width in shown:
        assert text == f"above {width} of tech"


def test_a_picture_that_is_ranked_alone_wins_against_nobody(browser, service, files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    fill(browser, service, files[0], bad)
    chance = browser.evaluate("document.querySelector('.card:not(.failed) .chance').textContent")
    assert "The only one" in chance
    assert "%" not in chance
    assert browser.evaluate("document.querySelectorAll('.chance .bar').length") == 0


@pytest.mark.parametrize("colour", ["white", "black"])
def test_the_rank_can_be_read_on_any_picture(browser, service, files, tmp_path, colour):
    plain = tmp_path / f"{colour}.png"
    Image.new("RGB", (320, 180), colour).save(plain)
    fill(browser, service, plain, plain)
    for place in (
        browser.evaluate("""[...document.querySelectorAll('.place')].map(n => {
            const style = getComputedStyle(n); return [style.color, style.backgroundColor, style.borderTopColor]; })""")
    ):
        text, ground, ring = ([float(part) for part in re.findall(r"[\d.]+", one)] for one in place)
        assert len(ground) == 3, "what is under it must not show through"
        assert contrast(text, ground) >= 4.5
        assert contrast(ring, ground) >= 3


def contrast(one, other):
    """WCAG 2.2, of two colours in 0 to 255."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("title", ["\u200b", " \u200f\u202e ", "\u0301", "\u3164"])
def test_a_title_that_cannot_be_seen_is_asked_for_again(browser, service, files, title):
    fill(browser, service, *files[:2], title=title)
    assert browser.evaluate("document.getElementById('problem').textContent") == "Give the title of the video."


def test_a_channel_is_sent_where_one_is_given_and_the_page_says_whether_it_is_adapted(browser, service, files):
    fill(browser, service, *files[:2])
    assert browser.evaluate("document.getElementById('adapted').hidden")
    for given, said in (("  UCnobody ", "Not adapted to UCnobody."), ("", "")):
        browser.evaluate(f"document.getElementById('channel').value = {json.dumps(given)}")
        browser.evaluate("document.getElementById('result').hidden = true; document.getElementById('go').click()")
        browser.wait("!document.getElementById('result').hidden")
        assert browser.evaluate("document.getElementById('adapted').textContent") == said
        missing = browser.evaluate("document.getElementById('degraded').textContent")
        assert ("thumblab channel add UCnobody" in missing) is bool(given)
    id_ = "UCBJycsmduvYEL83R_U4JriQ"
    browser.evaluate(f"document.getElementById('channel').value = 'https://www.youtube.com/channel/{id_}/videos'")
    browser.evaluate("document.getElementById('result').hidden = true; document.getElementById('go').click()")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.evaluate("document.getElementById('adapted').textContent") == f"Not adapted to {id_}."
    for given, said in (
        ("@veritasium", "A @handle cannot be looked up here"),
        ("https://www.youtube.com/@veritasium", "A @handle cannot be looked up here"),
        ("../all", "Give the channel's id"),
        ("\u200b", "Give the channel's id"),
    ):
        browser.evaluate(f"document.getElementById('channel').value = {json.dumps(given)}")
        browser.evaluate("document.getElementById('go').click()")
        browser.wait("!document.getElementById('problem').hidden")
        assert said in browser.evaluate("document.getElementById('problem').textContent")
        assert "channel_id" not in browser.evaluate("document.getElementById('problem').textContent")


def test_pictures_that_are_not_ranked_have_neither_place_nor_chance(browser, run, lab_at, files, tmp_path):
    lab = lab_at(tmp_path / "lab")
    lab.promote(lab.index("tech", count=12))  # of which none is a winner
    nothing = Familiarity(np.eye(1, 768, dtype=np.float16), 1.5)  # is like what was learnt
    lab.promote(lab.model(familiar=nothing, informed=None))
    with run(lab.settings) as service:
        fill(browser, service, *files[:2])
        assert browser.evaluate("document.getElementById('verdict').textContent") == "No verdict"
        assert "unlike every picture" in browser.evaluate("document.getElementById('degraded').textContent")
        places = browser.evaluate("[...document.querySelectorAll('.card .place')].map(n => n.textContent)")
        assert places == ["Not ranked", "Not ranked"]
        assert browser.evaluate("document.querySelectorAll('.card .chance').length") == 0
        assert browser.evaluate("document.querySelector('.engagement').textContent") == "–"
        assert "no winners" in browser.evaluate("document.querySelector('.near-title').textContent")
        assert browser.complaints() == []
