"""Test what the page shows for a model without proven skill, and for near-identical pictures."""

import pytest
from browser import fill


@pytest.fixture(scope="module")
def unproven(unproven_lab, run):
    """A running service whose model's skill is not proven."""
    with run(unproven_lab.settings) as service:
        yield service


def test_without_proven_skill_the_page_shows_evidence_and_neither_a_winner_nor_a_chance(
    browser, unproven, files, tmp_path
):
    fill(browser, unproven, *files)
    assert browser.text("#verdict") == "No skill here: ordered by evidence"
    assert "names no winner" in browser.text("#explain")
    assert browser.count("#banner.unsure") == 1
    assert browser.evaluate("document.getElementById('skill').hidden")
    missing = browser.text("#degraded")
    assert "was not shown to be better than chance" in missing
    assert "was not shown to predict views" in missing
    assert browser.count(".card .chance") == browser.count(".card.first") == browser.count(".bar.strong") == 0
    assert browser.texts(".card .place") == ["#1 by evidence", "#2 by evidence", "#3 by evidence"]
    assert set(browser.texts(".score-name")) == {"Evidence"}
    means = [int(shown.split("/")[0]) for shown in browser.texts(".card .score")]
    assert means == sorted(means, reverse=True)
    assert "%" not in browser.text("#banner")
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "no-skill.png", 1200, 900)


def test_without_proven_skill_and_without_a_library_the_page_says_that_nothing_is_ordered(browser, unproven, files):
    fill(browser, unproven, *files[:2])
    browser.evaluate("document.getElementById('niche').value = 'beauty'")
    browser.evaluate("document.getElementById('result').hidden = true; document.getElementById('go').click()")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.text("#verdict") == "No skill here: not ordered"
    assert browser.texts(".card .place") == ["Not ranked", "Not ranked"]
    assert browser.texts(".card .score") == ["–", "–"]
    assert browser.complaints() == []


def test_a_single_readable_picture_is_not_called_winner_without_proven_skill(browser, unproven, files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    fill(browser, unproven, files[0], bad)
    assert browser.text("#verdict") == "Only one could be read"
    assert browser.count(".card.first") == 0


def test_near_identical_pictures_share_a_place_and_the_page_says_whose_chance_it_is(browser, service, files, tmp_path):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(files[0].read_bytes())
    fill(browser, service, *files[:2], copy)
    assert sorted(browser.texts(".card .place")) in (["#1", "#1", "#2"], ["#1", "#2", "#2"])
    shared = [name for name in browser.texts(".chance-name") if name.startswith("Its share of the group")]
    chances = dict(zip(browser.texts(".card .name"), browser.texts(".chance-value"), strict=True))
    assert len(shared) == 2
    assert chances["one.jpg"] == chances["copy.jpg"]
    half, whole = int(chances["one.jpg"].strip("%")), int(shared[0].rpartition(" ")[2].strip("%"))
    assert abs(2 * half - whole) <= 1
    assert "The pictures one.jpg and copy.jpg are near-identical: they count as one candidate" in browser.text(
        "#degraded"
    )
    won = "which is the winner" in browser.text("#degraded")
    assert ("It stands for its near-identical group: one.jpg, copy.jpg." in browser.text("#explain")) is won
    assert browser.complaints() == []
    browser.screenshot(tmp_path / "group.png", 1200, 900)


def test_pictures_that_are_all_near_identical_are_too_close_to_call_without_a_test(browser, service, files):
    fill(browser, service, files[0], files[0])
    assert browser.text("#verdict") == "Too close to call"
    assert browser.text("#explain") == "The pictures are near-identical. Choose the one you like."
    assert browser.texts(".card .place") == ["#1", "#1"]
