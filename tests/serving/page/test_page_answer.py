"""Test how the page shows an answer.

The tests cover the cards of the pictures, the frames over the pictures, and the sub-scores. The tests also check that
no text of an answer becomes markup.
"""

import json
import re

import numpy as np
import pytest
from browser import KEY, SCRIPTS, fill
from PIL import Image

from thumblab_core.ranking.familiarity import Familiarity


def test_choosing_pictures_ranks_them(browser, service, files, tmp_path):
    fill(browser, service, *files)
    places = browser.evaluate("[...document.querySelectorAll('.card .place')].map(n => n.textContent)")
    assert places == ["#1", "#2", "#3"]
    names = browser.evaluate("[...document.querySelectorAll('.card .name')].map(n => n.textContent)")
    assert sorted(names) == sorted(path.name for path in files)
    assert browser.evaluate("document.querySelectorAll('.card .picture img').length") == 3
    assert browser.evaluate("[...document.querySelectorAll('.card .picture img')].every(i => i.naturalWidth === 320)")
    chances = browser.evaluate("[...document.querySelectorAll('.chance-value')].map(n => parseInt(n.textContent))")
    assert chances == sorted(chances, reverse=True)
    assert "Model 2" in browser.evaluate("document.getElementById('releases').textContent")
    assert browser.evaluate("document.querySelectorAll('.near a').length") == 9
    # A script of the page sets the widths of the bars. The content security policy must allow this script.
    browser.wait("document.querySelector('.card .bar.strong i').style.width !== ''")
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "page.png", 1200, 900)
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_a_bad_picture_shows_its_error_and_markup_stays_text(browser, service, files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    fill(browser, service, *files[:2], bad, title="<script>alert(1)</script>")
    assert "not a JPEG" in browser.evaluate("document.querySelector('.card.failed .error').textContent")
    assert browser.evaluate("document.querySelectorAll('.card').length") == 3
    assert browser.evaluate("document.querySelectorAll('#result b, #result script, img[src=\"x\"]').length") == (
        browser.evaluate("document.querySelectorAll('.sub-reason > b').length")
    )


def seen(browser, what):
    return browser.evaluate(f"[...document.querySelectorAll('.overlay')].map(n => {what})")


def test_frames_are_shown_and_hidden_with_the_keyboard(browser, service, files):
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


def test_frames_match_the_evidence_on_a_cropped_picture(browser, service, tmp_path, draw):
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
    # A 4:3 picture fills the width of the 16:9 frame and is taller than the frame. The page cuts off the same height
    # above and below. `whole` is the height of the uncut picture.
    whole = width * 3 / 4
    assert left == pytest.approx(0.83 * width, abs=3)
    assert badge == pytest.approx(0.15 * width, abs=5)
    assert top == pytest.approx(0.84 * whole - (whole - height) / 2, abs=3)


def test_every_sub_score_shows_its_percentile_reason_and_fix(browser, service, files):
    fill(browser, service, *files)
    rows = browser.evaluate("""[...document.querySelectorAll('.card')].map(card => [...card.querySelectorAll('.subs > li')]
        .map(n => [n.className, n.querySelector('.sub-value').textContent, n.querySelector('.sub-reason').textContent]))""")
    assert [len(card) for card in rows] == [6, 6, 6]
    for card in rows:
        assert all(reason.endswith(".") for _, _, reason in card)
        assert all(("of Tech" in place) == ("unmeasured" not in kind) for kind, place, _ in card)
        assert all(reason.count(".") >= 2 for kind, _, reason in card if "weak" in kind)
    assert browser.evaluate("document.querySelectorAll('.bar.placed').length") == 15


def test_text_in_a_picture_never_becomes_markup(browser, service, files):
    """Make the page show an answer whose texts contain markup. The texts must not become elements of the page.

    Such texts can occur: the lab reads the text in a thumbnail, and anyone may write markup into a thumbnail. The test
    replaces the page's function `fetch`, so that the page gets this answer.
    """
    hostile = "</title><img src=x onerror=alert(1)><script>alert(2)</script>"
    browser.open(f"{service.url}/#key={KEY}")
    browser.evaluate(f"""(() => {{
        const hostile = {json.dumps(hostile)}, real = window.fetch;
        window.fetch = async (...asked) => {{
            const reply = await real(...asked), answer = await reply.json();
            for (const thumbnail of answer.thumbnails) {{
                const box = {{ x: 0.1, y: 0.1, width: 0.5, height: 0.2 }};
                thumbnail.evidence.texts = [{{ box, text: hostile, confidence: 1, height_at_120: 12 }}];
                Object.assign(thumbnail.sub_scores.hierarchy, {{ reason: hostile, fix: hostile }});
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


def test_a_missing_measurement_is_shown_once_as_a_note(browser, service, files):
    fill(browser, service, *files[:2])
    assert "thumblab models pull" in browser.evaluate("document.getElementById('notes').textContent")
    browser.wait("document.getElementById('degraded').hidden")
    assert browser.evaluate("document.getElementById('notes').getAttribute('role')") is None
    assert "faces were not looked for" in browser.evaluate("document.querySelector('.seen').textContent")


def test_an_answer_is_shown_without_waiting_for_health(browser, service, files):
    fill(browser, service, *files[:2])
    browser.evaluate("""(() => { const real = window.fetch;
        window.fetch = (to, ...rest) => to === 'health' ? new Promise(() => {}) : real(to, ...rest);
        document.getElementById('result').hidden = true; document.getElementById('go').click(); })()""")
    browser.wait("!document.getElementById('result').hidden && !document.getElementById('go').disabled")


def test_the_bar_of_a_sub_score_has_the_length_of_its_percentage(browser, service, files):
    fill(browser, service, *files)
    browser.wait("[...document.querySelectorAll('.subs > li:not(.unmeasured) i')].every(n => n.style.width)")
    shown = browser.evaluate("""[...document.querySelectorAll('.subs > li:not(.unmeasured)')]
        .map(n => [n.querySelector('.sub-value').textContent, n.querySelector('i').style.width])""")
    assert shown
    for text, width in shown:
        assert text == f"above {width} of Tech"


def test_a_single_ranked_picture_has_no_chance_to_win(browser, service, files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    fill(browser, service, files[0], bad)
    chance = browser.evaluate("document.querySelector('.card:not(.failed) .chance').textContent")
    assert "The only ranked picture" in chance
    assert "%" not in chance
    assert browser.evaluate("document.querySelectorAll('.chance .bar').length") == 0


@pytest.mark.parametrize("colour", ["white", "black"])
def test_the_rank_is_legible_on_any_picture(browser, service, files, tmp_path, colour):
    plain = tmp_path / f"{colour}.png"
    Image.new("RGB", (320, 180), colour).save(plain)
    fill(browser, service, plain, plain)
    for place in (
        browser.evaluate("""[...document.querySelectorAll('.place')].map(n => {
            const style = getComputedStyle(n); return [style.color, style.backgroundColor, style.borderTopColor]; })""")
    ):
        text, ground, ring = ([float(part) for part in re.findall(r"[\d.]+", colour)] for colour in place)
        assert len(ground) == 3, "the background of the rank must be opaque"
        assert contrast(text, ground) >= 4.5
        assert contrast(ring, ground) >= 3


def contrast(first, second):
    """Return the contrast ratio of two colours, as WCAG 2.2 defines it. Red, green and blue are each 0 to 255."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_unranked_pictures_have_no_rank_and_no_chance(browser, run, lab_at, files, tmp_path):
    lab = lab_at(tmp_path / "lab")
    lab.promote(lab.index("tech", count=12))  # An index of 12 videos is too small to have winners.
    # A picture is familiar if its largest cosine with a training picture is at least the threshold. This model has the
    # threshold 1.5, which no cosine reaches.
    no_picture = Familiarity(np.eye(1, 768, dtype=np.float16), 1.5)
    lab.promote(lab.model(familiar=no_picture, evaluated={"engagement": None}))
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


def test_an_arabic_channel_name_does_not_move_the_figures_that_follow_it(browser, service):
    """Without isolation, the browser draws the views before the name, because they follow Arabic letters."""
    browser.open(service.url)
    near = {"channel": "\u0642\u0646\u0627\u0629", "views_per_hour": 1234, "outlier_multiple": None, "similarity": 0.5}
    lefts = browser.evaluate(f"""import('{SCRIPTS}/words.js').then(({{ factsOf }}) => {{
        const node = document.createElement('p');
        node.textContent = factsOf({json.dumps(near)});
        document.body.append(node);
        const left = (letters) => {{
            const range = document.createRange();
            const from = node.textContent.indexOf(letters);
            range.setStart(node.firstChild, from);
            range.setEnd(node.firstChild, from + letters.length);
            return range.getBoundingClientRect().left;
        }};
        return [left({json.dumps(near["channel"])}), left('1,234'), left('views')];
    }})""")
    assert lefts == sorted(lefts)
