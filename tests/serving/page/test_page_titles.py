"""Test several titles for the same pictures, a title for a single picture, and the explanation of a rank on the page."""

import csv
import io
import json

import pytest
from browser import KEY, SCRIPTS, fill, wait_for
from PIL import Image

TITLES = ["I tested every phone under $200", "Do <b>not</b> buy this phone", "The best phone"]


def write(browser, selector, text):
    browser.evaluate(f"""(() => {{ const field = document.querySelector({json.dumps(selector)});
        field.value = {json.dumps(text)}; field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()""")


def compare(browser, service, titles, *paths):
    """Open the page, fill in several titles, choose pictures, and wait for the answer."""
    browser.open(f"{service.url}/#key={KEY}")
    write(browser, "#title", titles[0])
    for row, title in enumerate(titles[1:], 1):
        browser.click("#add-title")
        write(browser, f"#more-titles li:nth-child({row}) input", title)
    browser.choose(*paths)
    browser.click("#go")
    browser.wait("!document.getElementById('result').hidden || !document.getElementById('problem').hidden")
    assert browser.evaluate("document.getElementById('problem').hidden"), browser.text("#problem")


def test_several_titles_make_a_grid_with_the_best_package(browser, service, files):
    compare(browser, service, TITLES, *files)
    assert browser.texts("#grid tbody th > span") == TITLES
    assert browser.count("#grid td") == 9
    assert browser.count("#grid b") == 0, "a title never becomes markup"
    places = sorted(int(text[1:]) for text in browser.texts("#grid td strong"))
    assert places == list(range(1, 10))
    best = browser.text("#grid td.best")
    assert best.startswith("#1") or "#1" in best
    assert "the best" in best
    row, column = browser.evaluate("""(() => { const best = document.querySelector('#grid td.best');
        return [best.parentNode.querySelector('th span').textContent, best.querySelector('img').alt]; })()""")
    assert column in [path.name for path in files]
    heading = browser.text("#verdict")
    assert heading == "Too close to call" or (row in heading and column in heading)
    assert browser.text("#cards-title") == f"The pictures under “{TITLES[0]}”"
    assert browser.text("#asked dt") == "Titles"
    assert browser.count("#packages-why .why li") == 4
    assert browser.count(".card .why li") == 12
    assert browser.complaints() == []


def test_a_person_may_ask_why_of_each_package(browser, service, files):
    compare(browser, service, TITLES, *files[:2])
    assert browser.count("#grid td button") == 6
    pressed = "document.querySelector('#grid [aria-pressed=true]').closest('td')"
    assert browser.evaluate(f"{pressed}.classList.contains('best')")
    of_best = browser.text("#packages-why")
    browser.evaluate("document.querySelector('#grid td:not(.best) button').focus()")
    browser.press("Enter", text="\r")
    assert browser.count("#grid [aria-pressed=true]") == 1
    assert browser.evaluate(f"!{pressed}.classList.contains('best')")
    title, picture = browser.evaluate(
        f"[{pressed}.parentNode.querySelector('th span').textContent, {pressed}.querySelector('img').alt]"
    )
    assert browser.text("#packages-why").startswith(f"“{title}” with {picture}")
    assert browser.text("#packages-why") != of_best
    assert browser.count("#packages-why .why li") == 4
    assert browser.complaints() == []


def test_one_title_has_no_grid(browser, service, files):
    compare(browser, service, TITLES[:2], *files[:2])
    assert not browser.evaluate("document.getElementById('packages').hidden")
    browser.click("#more-titles .remove")
    assert not browser.evaluate("document.getElementById('outdated').hidden"), (
        "an answer about two titles must be marked as outdated"
    )
    assert browser.evaluate("document.activeElement.id") == "add-title"
    browser.click("#go")
    browser.wait("document.getElementById('outdated').hidden")
    assert browser.evaluate("document.getElementById('packages').hidden")
    assert browser.text("#asked dt") == "Title"


def test_titles_that_cannot_be_compared_are_named(browser, service, files):
    browser.open(f"{service.url}/#key={KEY}")
    write(browser, "#title", TITLES[0])
    browser.choose(*files[:2])
    browser.click("#add-title")
    assert browser.evaluate("document.activeElement === document.querySelector('#more-titles input')")
    browser.click("#go")
    assert browser.text("#problem") == "Give title 2, or remove it."
    write(browser, "#more-titles input", TITLES[0])
    browser.click("#go")
    assert browser.text("#problem") == "Titles 1 and 2 are the same; change or remove one."
    for _ in range(8):
        browser.click("#add-title")
    assert browser.count("#more-titles li") == 9
    assert browser.evaluate("document.getElementById('add-title').disabled")


def test_several_titles_need_no_mouse(browser, service, files):
    browser.open(f"{service.url}/#key={KEY}")
    browser.choose(*files[:2])
    browser.evaluate("document.getElementById('title').focus()")
    browser.call("Input.insertText", text="The first title")
    browser.press("Tab")
    browser.press("Enter", text="\r")
    browser.call("Input.insertText", text="The second title")
    browser.press("Enter", text="\r")
    browser.wait("!document.getElementById('packages').hidden")
    assert browser.texts("#grid tbody th > span") == ["The first title", "The second title"]
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Chances of each title")


def test_a_picture_may_have_a_title_of_its_own(browser, service, files):
    compare(browser, service, TITLES[:1], *files[:2])
    assert browser.evaluate("getComputedStyle(document.querySelector('.own')).display") == "none"
    browser.click("#own-titles")
    write(browser, "#chosen li:nth-child(2) .own input", TITLES[1])
    assert not browser.evaluate("document.getElementById('outdated').hidden")
    browser.click("#go")
    browser.wait("document.getElementById('outdated').hidden")
    shown = browser.evaluate("""[...document.querySelectorAll('.card')].map(n =>
        [n.querySelector('.name').textContent, n.querySelector('.with-title:not([hidden])')?.textContent ?? ''])""")
    assert dict(shown) == {files[0].name: "", files[1].name: f"With its own title: “{TITLES[1]}”"}
    browser.click("#own-titles")
    assert not browser.evaluate("document.getElementById('outdated').hidden"), (
        "an answer with titles of single pictures must be marked as outdated"
    )


def test_a_title_with_an_invisible_character_is_not_called_a_title_of_the_picture(browser, service, files):
    fill(browser, service, *files[:2], title="A phone\u00ad that\u200b folds")
    assert browser.count(".card") == 2
    assert browser.evaluate("[...document.querySelectorAll('.with-title')].every((node) => node.hidden)")


def test_a_handle_and_a_name_are_sent_to_the_service(browser, service, files):
    fill(browser, service, *files[:2])
    for given in ("@veritasium", "A name"):
        write(browser, "#channel", given)
        browser.click("#go")
        browser.wait("document.getElementById('outdated').hidden")
        assert browser.text("#adapted") == f"Not adapted to {given}."


def test_history_and_exports_have_the_titles_and_the_grid(browser, service, files, downloads):
    compare(browser, service, TITLES, *files[:2])
    heading = browser.text("#verdict")
    for kind in ("table", "page", "image"):
        browser.click(f"#export-{kind}")
    wait_for(lambda: {path.suffix for path in downloads.iterdir()} >= {".csv", ".html", ".png"})
    by_kind = {path.suffix: path for path in downloads.iterdir()}
    rows = list(csv.DictReader(io.StringIO(by_kind[".csv"].read_text("utf-8-sig"))))
    assert [row["place"] for row in rows] == [f"#{place}" for place in range(1, 7)]
    assert {row["title"] for row in rows} == set(TITLES)
    assert sum(float(row["chance_to_win"]) for row in rows) == pytest.approx(1, abs=0.01)
    assert sum(abs(float(rows[0][f"why_{of}"])) for of in ("picture", "title", "match", "channel")) == pytest.approx(
        1, abs=0.01
    )
    html = by_kind[".html"].read_text()
    assert html.count("<td>") == 6
    assert "Why the best: Compared with" in html
    with Image.open(by_kind[".png"]) as image:
        assert image.width == 1200
    browser.open(f"{service.url}/#history")
    browser.wait("document.querySelectorAll('.past').length > 0")
    assert browser.text(".past h3") == f"{TITLES[0]} (and 2 more titles)"
    assert browser.text(".past-verdict") == heading
    assert browser.texts(".past:first-child .strip span")[0] == "#1 of 6 packages"
    browser.click(".past button")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.evaluate("[...document.querySelectorAll('#more-titles input')].map(n => n.value)") == TITLES[1:]
    assert browser.count("#grid td") == 6
    assert browser.evaluate("document.getElementById('outdated').hidden")


def test_a_comparison_of_an_older_page_is_shown_again(browser, service, files):
    fill(browser, service, *files[:2], title="Kept long ago")
    modules = f"import('{SCRIPTS}/comparisons.js')"
    browser.wait(
        modules
        + """.then(async ({ stored, keep }) => {
        const [{ id, ...newest }] = await stored();
        if (newest.question.title !== 'Kept long ago') return false;
        const { titles, ...question } = newest.question;
        const pictures = newest.pictures.map(({ name, file }) => ({ name, file }));
        const { packages, ...answer } = newest.answer;
        for (const thumbnail of answer.thumbnails) delete thumbnail.why;
        await keep({ ...newest, question, pictures, answer, at: '2999-01-01T00:00:00Z' });
        return true; })"""
    )
    browser.open(f"{service.url}/#history")
    browser.wait("document.querySelectorAll('.past').length > 1")
    browser.click(".past button")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.evaluate("document.getElementById('outdated').hidden")
    assert browser.count(".card .why") == 0
    assert browser.complaints() == []


def test_without_proven_skill_the_page_says_that_why_is_unknown(browser, unproven_lab, run, files):
    with run(unproven_lab.settings) as unproven:
        compare(browser, unproven, TITLES, *files[:2])
        assert browser.text("#verdict") == "No skill here: no best package"
        assert set(browser.texts("#grid td .soft")) == {"not ranked: no proven skill"}
        assert all(text.startswith("Unknown: the model was not shown") for text in browser.texts(".why-note"))
        assert browser.count(".why li") == 0


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_grid_never_makes_the_page_scroll_sideways(browser, service, files, width):
    compare(browser, service, [TITLES[0] * 5, "w" * 200], *files)
    browser.size(width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    if width < 640:
        frame = "document.querySelector('#packages .grid-frame')"
        assert browser.evaluate(f"{frame}.scrollWidth <= {frame}.clientWidth"), (
            "the text of each field must be visible without scrolling"
        )


def test_the_lab_shows_sizes_skill_and_links_with_the_key(browser, service):
    browser.open(f"{service.url}/#lab")
    browser.evaluate("sessionStorage.clear()")
    browser.open(f"{service.url}/#lab")
    browser.wait("!document.getElementById('lab-note').hidden")
    assert "need the API key" in browser.text("#lab-note")
    browser.open(f"{service.url}/#key={KEY}")
    browser.click("nav a[href='#lab']")
    browser.wait("!document.getElementById('lab-details').hidden")
    assert browser.texts("#lab-libraries tr:first-child > *")[:3] == ["Tech", "30", "10"]
    assert browser.count("#lab-skills tr") == 6
    assert "better than chance" in browser.text("#lab-skills tr")
    assert "thumblab up" in browser.text("#lab-links")
    browser.size(320)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 320
    browser.size(1280)
    # The service of this test has no database. It refuses to list the niches, and the browser reports this.
    assert [entry for entry in browser.complaints() if "/api/v1/niches" not in str(entry)] == []
