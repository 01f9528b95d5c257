"""Test the page `/people` in a browser: its contents, its keys, its errors, and the Dagster runs that it starts."""

import json
from urllib.parse import unquote_plus

import pytest
from accessibility import LOOKS, focused, scheme, violations
from browser import KEY, SCRIPTS
from people_page import (
    focused_key,
    go_to_face,
    key,
    key_of,
    name_it,
    open_cluster,
    open_page,
    said,
    shown,
    type_text,
)
from planted_people import RUN_ID, group, plant

from thumblab_core.image_store import ImageFolder
from thumblab_core.keys.named_keys import NamedKeys


def test_sheets_show_crops_sizes_and_ids_the_largest_first(page, gallery):
    assert page.texts("#sheets .sheet-size") == [
        "5 faces · 5 pictures · 4 channels",
        "3 faces · 3 pictures · 2 channels",
        "1 face · 1 picture · 1 channel",
    ]
    assert page.texts("#sheets small") == [gallery.mixed, gallery.two, gallery.rest]
    page.wait("[...document.querySelectorAll('#sheets img')].every((image) => image.naturalWidth === 112)")
    assert page.count("#sheets img") == 9
    assert page.text("#figures") == "13 faces in 11 pictures: 9 in 3 unknown clusters, 4 in no cluster."
    assert page.text("#undo-what") == "Nothing to undo"


def test_arrow_keys_move_and_one_tab_leads_in_and_out(page, gallery):
    assert page.count("#sheets [tabindex='0']") == 1
    moves = [("ArrowRight", gallery.two), ("End", gallery.rest), ("ArrowRight", gallery.rest), ("Home", gallery.mixed)]
    for pressed, expected in moves:
        key(page, pressed)
        assert focused_key(page) == key_of(expected), pressed
    page.size(390)
    key(page, "ArrowDown")
    assert focused_key(page) == key_of(gallery.two), "on a phone, the next sheet is below"
    key(page, "ArrowUp")
    assert focused_key(page) == key_of(gallery.mixed)
    key(page, "Tab")
    assert focused_key(page) is None


def test_a_face_opens_its_picture_with_its_box_and_its_video(page, gallery):
    open_cluster(page, gallery.mixed)
    go_to_face(page, gallery.faces[0][0])
    key(page, "Enter")
    page.wait("document.getElementById('picture-image').naturalWidth === 640")
    box = page.evaluate("['x', 'y', 'width', 'height'].map(n => document.querySelector('.this.line').getAttribute(n))")
    assert [float(each) for each in box] == pytest.approx([0.1, 0.3, 0.2, 0.4])
    assert page.texts("#picture-videos span")[0] == "Title of video0"
    assert page.texts("#picture-videos small")[0] == "A channel · video0"
    assert violations(page) == [], "an opened face"
    key(page, "Escape")
    page.wait("!document.getElementById('picture').open")
    assert focused_key(page) == gallery.faces[0][0]


def test_no_key_works_while_a_person_types_and_the_keys_can_be_switched_off(page, gallery):
    page.evaluate("document.getElementById('search').focus()")
    for pressed in "nmsvxu?":
        page.press(pressed, text=pressed)
    assert page.evaluate("document.getElementById('search').value") == "nmsvxu?"
    assert not shown(page, "#name-form")
    assert not page.evaluate("document.getElementById('keys').open")
    page.evaluate("document.getElementById('search').value = ''")
    page.evaluate("document.querySelector('#sheets li').focus()")
    key(page, "?")
    page.wait("document.getElementById('keys').open")
    assert focused(page) == "keys-on"
    assert violations(page) == [], "the keys"
    key(page, " ")
    key(page, "Escape")
    page.wait("!document.getElementById('keys').open")
    key(page, "n")
    assert not shown(page, "#name-form"), "the letter keys must be off"
    open_page(page, gallery.service)
    page.evaluate("document.querySelector('#sheets li').focus()")
    key(page, "n")
    assert not shown(page, "#name-form"), "the letter keys must stay off"
    key(page, " ")
    assert page.count("#sheets [aria-selected='true']") == 1, "the keys of the list itself must still work"
    for name in ("name", "merge", "undo", "keys", "open", "select"):
        assert shown(page, f"#do-{name}"), "each key has a button"


def test_the_list_is_filtered_and_searched_by_name(page, gallery):
    name_it(page, "Élodie")
    said(page, "Named “Élodie”.")
    page.click("input[value=person]")
    page.wait("document.querySelectorAll('#sheets li').length === 1")
    page.click("input[value=unknown]")
    page.wait("document.querySelectorAll('#sheets li').length === 2")
    page.click("input[value=all]")
    page.evaluate("document.getElementById('search').focus()")
    type_text(page, "élo")
    page.wait("document.querySelectorAll('#sheets li').length === 1")
    assert page.text("#sheets .sheet-name") == "Élodie"
    asked = [
        unquote_plus(event["params"]["request"]["url"]).casefold()
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert any("/api/v1/faces/clusters?" in url for url in asked)
    assert [url for url in asked if "élo" in url] == [], "no name is in an address"
    type_text(page, "x")
    page.wait("!document.getElementById('list-empty').hidden")
    assert page.text("#list-empty") == "Nobody has this name, and no cluster has this id."


def test_a_wrong_and_a_missing_key_lead_to_the_field_of_the_key_and_the_typed_name_stays(page, gallery):
    key(page, "n")
    page.wait("document.activeElement.id === 'name'")
    type_text(page, "Alice")
    page.evaluate("sessionStorage.setItem('thumblab-key', 'revoked')")
    key(page, "Enter")
    page.wait("document.activeElement.id === 'key'")
    assert "no longer valid" in page.text("#name-problem")
    type_text(page, KEY)
    key(page, "Enter")
    page.wait("document.getElementById('key-field').hidden")
    page.wait("document.activeElement.id === 'name'")
    assert page.evaluate("document.activeElement.value") == "Alice"
    page.wait("[...document.querySelectorAll('#sheets img')].every((image) => image.naturalWidth === 112)")
    key(page, "Enter")
    said(page, "Named “Alice”.")
    page.evaluate("sessionStorage.clear()")
    page.open(f"{gallery.service.url}/people", ready="browse")
    page.wait("document.activeElement.id === 'key'")
    assert not shown(page, "#problem"), "the page must show no error before a key was typed"
    assert not shown(page, "#browse")
    key(page, "Enter")
    page.wait("document.getElementById('problem').textContent.includes('API key')")
    assert violations(page) == [], "without a key"
    type_text(page, NamedKeys(gallery.service.lab.settings).add("only-scores", ["score"]))
    key(page, "Enter")
    page.wait("document.getElementById('problem').textContent.includes('does not have the scope admin')")
    assert focused(page) == "key"
    NamedKeys(gallery.service.lab.settings).revoke("only-scores")


def test_runs_are_started_followed_and_their_failure_is_told(page, gallery, gallery_dagster):
    gallery_dagster.launched, gallery_dagster.status, gallery_dagster.job = [], "STARTED", "group_people"
    gallery_dagster.log = ["comparing faces: 2048 of 9000"]
    page.click("#run-cluster")
    page.wait("document.getElementById('run-state').textContent === 'Group again: running.'")
    page.wait("document.querySelector('#run-progress label').textContent === 'Comparing faces: 2,048 of 9,000'")
    assert page.evaluate("document.getElementById('run-bar').position") == pytest.approx(2048 / 9000)
    assert violations(page) == [], "a run"
    assert [run["selector"]["jobName"] for run in gallery_dagster.launched] == ["group_people"]
    assert page.evaluate("document.getElementById('run-detect').disabled")
    open_page(page, gallery.service)
    page.wait("document.getElementById('run-state').textContent === 'Group again: running.'")
    gallery_dagster.status = "SUCCESS"
    page.wait("document.getElementById('run-state').textContent === 'Group again: done.'")
    assert not shown(page, "#run-progress")
    page.wait("!document.getElementById('run-detect').disabled")
    gallery_dagster.status = "FAILURE"
    page.click("#run-train")
    page.wait("document.getElementById('run-state').textContent === 'Train: it did not work.'")
    assert page.text("#run-problem").startswith("failed.")
    assert RUN_ID not in page.text("#run-problem")


def test_the_result_of_a_training_and_of_a_grouping_is_told(page, gallery_dagster):
    trained = {
        "people": 6,
        "faces": 60,
        "epochs": 3,
        "release": "r",
        "reason": "nothing is wrong: the head did not help",
    }
    result = {"detected": None, "trained": trained, "grouped": {"moved": 1, "new": 2}}
    page.evaluate(f"""(() => {{ const ask = window.fetch; window.fetch = async (path, options) => {{
        const reply = await ask(path, options);
        if (!path.includes('internal/runs/')) return reply;
        return Response.json({{ ...(await reply.json()), people: {json.dumps(result)} }});
    }}; }})()""")
    gallery_dagster.launched, gallery_dagster.status = [], "SUCCESS"
    page.click("#run-train")
    told = "Train: done. Nothing is wrong: the head did not help. Moved 1 face and made 2 new clusters."
    page.wait(f"document.getElementById('run-state').textContent === {json.dumps(told)}")


def test_without_dagster_and_while_people_are_off_the_page_says_what_to_do(browser, new_lab, run, people_database):
    with run(new_lab(database_url=people_database, people="own").settings, wait=False) as service:
        browser.open(f"{service.url}/people#key={KEY}", ready="browse")
        browser.wait("document.getElementById('work').checkVisibility()")
        browser.click("#run-detect")
        browser.wait("document.getElementById('run-problem').textContent.includes('thumblab up')")
        assert not browser.evaluate("document.getElementById('run-detect').disabled")
        browser.evaluate("sessionStorage.clear()")
    with run(new_lab(database_url=people_database).settings, wait=False) as service:
        browser.open(f"{service.url}/people#key={KEY}", ready="browse")
        browser.wait("document.getElementById('off').checkVisibility()")
        words = browser.text("#off")
        assert "THUMBLAB_PEOPLE=own" in words
        assert "A face embedding is biometric data in many countries." in words
        assert browser.evaluate("document.getElementById('run-detect').disabled")
        assert violations(browser) == []


def test_without_a_database_the_page_says_so_and_asks_again(browser, new_lab, run):
    with run(new_lab(people="own").settings, wait=False) as service:
        browser.open(f"{service.url}/people#key={KEY}", ready="browse")
        browser.wait("document.getElementById('problem').textContent.includes('the database does not run')")
        assert shown(browser, "#retry")


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(page, gallery, width, dark):
    scheme(page, dark)
    page.size(width)
    name_it(page, "Alice")
    said(page, "Named “Alice”.")

    def examine(what):
        assert violations(page) == [], what
        assert page.evaluate("document.documentElement.scrollWidth") <= width, what

    key(page, " ")
    examine("the list")
    key(page, "n")
    examine("the name")
    key(page, "Escape")
    key(page, "ArrowRight")
    key(page, " ")
    key(page, "m")
    examine("a merge")
    key(page, "Escape")
    key(page, "Escape")
    page.click("#changes summary")
    examine("the changes")
    key(page, "Enter")
    page.wait("!document.getElementById('cluster').hidden")
    examine("a cluster")
    page.evaluate("document.querySelector('#faces li').focus()")
    key(page, "v")
    page.wait("document.querySelectorAll('#targets input').length > 0")
    examine("a move")


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_every_button_is_in_sight_and_the_faces_have_most_of_the_window(page, gallery, width):
    page.size(width, 844)

    def check():
        places = page.evaluate("""[...document.querySelectorAll('#bar .buttons button')].filter((button) => !button.hidden)
            .map((button) => { const { left, right, top, bottom } = button.getBoundingClientRect();
                const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
                return { id: button.id, left, right, height: bottom - top, isHit: button.contains(hit) }; })""")
        for place in places:
            assert place["left"] >= 0 and place["right"] <= width, place
            assert place["height"] >= 40 and place["isHit"], place
        assert page.evaluate("document.getElementById('bar').offsetHeight") < 844 / 3
        return [place["id"].removeprefix("do-") for place in places]

    name_it(page, "A name that is much too long for the button which takes it back")
    said(page, "Named")
    page.evaluate("window.scrollTo(0, 0)")
    assert check() == ["open", "select", "name", "merge", "undo", "keys"]
    open_cluster(page, gallery.mixed)
    key(page, " ")
    page.wait("document.getElementById('do-not').textContent.includes('(1)')")
    assert check() == ["back", "open", "select", "name", "merge", "split", "move", "not", "undo", "keys"]


def test_many_clusters_are_shown_in_parts_and_crops_only_in_sight(page, gallery, draw):
    images = ImageFolder(gallery.service.lab.settings.images)
    count = 60
    sha256 = [images.put(draw(1000 + seed, (64, 36))) for seed in range(count)]
    with gallery.engine.begin() as connection:
        faces = plant(connection, *((each, 1) for each in sha256))
        group(connection, *faces)
    page.events.clear()
    open_page(page, gallery.service)
    assert page.count("#sheets li") == 24
    assert page.evaluate("document.querySelector('#sheets li').getAttribute('aria-setsize')") == str(count + 3)
    page.wait("[...document.querySelectorAll('#sheets img')].slice(0, 9).every((image) => image.naturalWidth > 0)")
    loaded = "[...document.querySelectorAll('#sheets img')].filter((image) => image.naturalWidth > 0).length"
    assert page.evaluate(loaded) < page.count("#sheets img"), "a crop out of sight must not be loaded"
    assert page.text("#more-sheets") == "Show more (39 left)"
    page.click("#more-sheets")
    page.wait("document.querySelectorAll('#sheets li').length === 48")
    assert page.evaluate("[...document.activeElement.parentNode.children].indexOf(document.activeElement)") == 24
    name_it(page, "Alice")
    said(page, "Named “Alice”.")
    assert page.count("#sheets li") == 48, "a change must not fold the list"
    key(page, "m")
    page.wait(
        "document.getElementById('target-none').textContent.startsWith('These are the 8 largest of 62 clusters.')"
    )


def test_the_main_page_links_to_the_page_of_people_whose_file_contains_no_name(page, gallery):
    name_it(page, "Zenobia")
    said(page, "Named “Zenobia”.")
    reply = gallery.service.client.get("/people")
    assert reply.headers["cache-control"] == "no-cache"
    assert "Zenobia" not in reply.text
    assert f'"{SCRIPTS[1:]}/people/main.js"' in reply.text
    assert 'href="people"' in gallery.service.client.get("/").text
