"""Test the files that the page makes from an answer: a picture, a table, and a page to share."""

import csv
import io
import json
import re

import pytest
from accessibility import LOOKS, scheme, violations
from browser import KEY, fill, wait_for
from PIL import Image

from thumblab_core.library_note import DRAWN, write_note

HOSTILE = '=HYPERLINK("http://evil.example")</title><script>alert(1)</script>'


def save(browser, downloads, kind, ending):
    browser.click(f"#export-{kind}")

    def done():
        # Chromium makes an empty file before it writes the content.
        return [path for path in downloads.iterdir() if path.suffix == ending and path.stat().st_size]

    wait_for(done)
    return done()[0]


def test_the_table_has_a_row_for_each_picture_and_runs_no_formula(browser, service, files, downloads):
    fill(browser, service, *files, title=HOSTILE)
    path = save(browser, downloads, "table", ".csv")
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert [row["place"] for row in rows] == ["#1", "#2", "#3"]
    assert sorted(row["picture"] for row in rows) == sorted(path.name for path in files)
    assert {row["title"] for row in rows} == {"'" + HOSTILE}
    assert {row["niche"] for row in rows} == {"tech"}
    chances = [float(row["chance_to_win"]) for row in rows]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1, abs=0.01)
    assert all(0 <= float(row["clarity_niche_percentile"]) <= 100 for row in rows)
    assert all(re.match(r"\d{4}-\d\d-\d\dT", row["ranked_at"]) for row in rows)


def test_the_picture_shows_every_candidate(browser, service, files, downloads):
    fill(browser, service, *files)
    with Image.open(save(browser, downloads, "image", ".png")) as image:
        assert image.width == 1200
        assert image.height > 1000
        assert len(image.convert("RGB").getcolors(2**24)) > 200


def test_the_page_to_share_is_one_file_that_runs_nothing_and_loads_nothing(browser, service, files, downloads):
    fill(browser, service, *files, title=HOSTILE)
    heading = browser.text("#verdict")
    path = save(browser, downloads, "page", ".html")
    html = path.read_text()
    assert browser.complaints() == [], "making the file must not violate the content security policy"
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!data:image/jpeg|https?://)', html)
    assert KEY not in html
    browser.events.clear()
    browser.call("Page.navigate", url=path.as_uri())
    browser.wait("document.readyState === 'complete' && document.querySelectorAll('.cards img').length === 3")
    assert browser.text("h1") == heading
    assert HOSTILE in browser.text("dl")
    assert browser.evaluate("[...document.querySelectorAll('.cards img')].every(n => n.naturalWidth === 640)")
    assert browser.evaluate("getComputedStyle(document.querySelector('.cards img')).objectFit") == "cover"
    loaded = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:")) for url in loaded)
    assert browser.complaints() == []


def test_a_picture_that_could_not_be_read_is_in_every_file_with_its_error(browser, service, files, downloads, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    fill(browser, service, *files[:2], bad)
    rows = list(csv.DictReader(io.StringIO(save(browser, downloads, "table", ".csv").read_text("utf-8-sig"))))
    assert [row["place"] for row in rows] == ["#1", "#2", "Not ranked"]
    assert "not a JPEG" in rows[2]["error"]
    assert "not a JPEG" in save(browser, downloads, "page", ".html").read_text()
    with Image.open(save(browser, downloads, "image", ".png")) as image:
        assert image.width == 1200
    assert json.loads(browser.evaluate("JSON.stringify(document.getElementById('exported').hidden)"))


def test_each_export_of_a_drawn_library_says_so(browser, new_lab, run, files, downloads):
    lab = new_lab()
    lab.promote(lab.index("tech"))
    lab.promote(lab.model())
    write_note(lab.settings.data_dir, DRAWN)
    with run(lab.settings) as drawn:
        fill(browser, drawn, *files[:2])
        assert DRAWN in save(browser, downloads, "table", ".csv").read_text("utf-8-sig")
        assert DRAWN in save(browser, downloads, "page", ".html").read_text()


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_nothing_in_the_page_to_share_and_nothing_scrolls_sideways(
    browser, service, files, downloads, width, dark
):
    fill(browser, service, *files)
    path = save(browser, downloads, "page", ".html")
    browser.call("Page.navigate", url=path.as_uri())
    browser.wait("document.readyState === 'complete' && document.querySelectorAll('.cards > li').length === 3")
    scheme(browser, dark)
    browser.size(width)
    assert violations(browser) == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.call("Emulation.setEmulatedMedia", features=[])
    browser.size(1280)
