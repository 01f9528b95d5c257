"""Test how the page `/people` treats late answers and errors.

If an answer comes after a person has opened another view, the page drops the answer. After an error, the page still
works.
"""

import pytest
from accessibility import focused
from browser import KEY
from late_answers import fail, hold, release, wait_for_held
from people_page import clusters, focused_key, key, key_of, name_it, open_cluster, open_page, said, shown, type_text
from planted_people import group, plant


def faces(page):
    return {*page.evaluate("[...document.querySelectorAll('#faces li')].map(node => node.dataset.key)")}


def go(page, cluster_id):
    page.evaluate(f"location.hash = 'cluster={key_of(cluster_id)}'")


def focus(page, cluster_id):
    page.evaluate(f"document.querySelector('#sheets [data-key=\"{key_of(cluster_id)}\"]').focus()")


@pytest.fixture
def large(gallery):
    """Make a cluster of 60 faces, and return its id. The page shows this cluster in two parts."""
    with gallery.engine.begin() as connection:
        planted = plant(connection, *((f"{number:064x}", 1) for number in range(60)))
        (cluster_id,) = group(connection, [face_id for (face_id,) in planted])
    return cluster_id


def test_more_faces_of_a_cluster_do_not_get_into_the_next_cluster(page, gallery, large):
    open_page(page, gallery.service)
    open_cluster(page, large)
    assert page.count("#faces li") == 48
    hold(page, "offset=48")
    page.click("#more-faces")
    wait_for_held(page)
    go(page, gallery.two)
    page.wait("document.querySelectorAll('#faces li').length === 3")
    release(page)
    assert faces(page) == {*gallery.faces[2]}
    assert gallery.two in page.text("#cluster-facts")


def test_going_back_before_a_slow_cluster_answers_leaves_the_list(page, gallery):
    hold(page, f"clusters/{key_of(gallery.two)}")
    go(page, gallery.two)
    wait_for_held(page)
    lists = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('clusters?')).length"
    before = page.evaluate(lists)
    page.evaluate("history.back()")
    page.wait(f"location.hash === '' && {lists} > {before}")
    release(page)
    assert shown(page, "#list")
    assert not shown(page, "#cluster")
    open_cluster(page, gallery.two)
    assert faces(page) == {*gallery.faces[2]}


def test_a_slow_cluster_does_not_take_the_place_of_the_next_cluster(page, gallery):
    hold(page, f"clusters/{key_of(gallery.mixed)}")
    go(page, gallery.mixed)
    wait_for_held(page)
    go(page, gallery.two)
    page.wait("document.querySelectorAll('#faces li').length === 3")
    release(page)
    assert faces(page) == {*gallery.faces[2]}
    assert page.evaluate("location.hash") == f"#cluster={key_of(gallery.two)}"


def test_a_slow_list_does_not_take_the_place_of_a_cluster(page, gallery):
    open_cluster(page, gallery.two)
    hold(page, "clusters?")
    page.click("#do-back")
    wait_for_held(page)
    go(page, gallery.mixed)
    page.wait("document.querySelectorAll('#faces li').length === 5")
    release(page)
    assert shown(page, "#cluster")
    assert not shown(page, "#list")
    assert page.count("#faces li") == 5


def test_a_change_in_a_cluster_does_not_lead_back_to_this_cluster(page, gallery):
    open_cluster(page, gallery.mixed)
    hold(page, f"clusters/{key_of(gallery.mixed)}?")
    key(page, "s")
    wait_for_held(page)
    hold(page, f"clusters/{key_of(gallery.two)}?")
    go(page, gallery.two)
    wait_for_held(page, 2)
    page.evaluate("window.held.shift()()")
    said(page, "Put 1 face into a new cluster.")
    assert page.evaluate("location.hash") == f"#cluster={key_of(gallery.two)}"
    release(page)
    assert faces(page) == {*gallery.faces[2]}


def test_back_and_open_work_again_after_an_error(page, gallery):
    fail(page, f"clusters/{key_of(gallery.two)}")
    focus(page, gallery.two)
    key(page, "Enter")
    page.wait("document.getElementById('change-problem').textContent === 'It failed.'")
    assert shown(page, "#list")
    fail(page, None)
    open_cluster(page, gallery.two)
    fail(page, "clusters?")
    page.click("#do-back")
    page.wait("document.getElementById('change-problem').textContent === 'It failed.'")
    assert shown(page, "#cluster")
    fail(page, None)
    page.click("#do-back")
    page.wait("!document.getElementById('list').hidden && document.getElementById('cluster').hidden")


def test_a_search_for_one_merge_does_not_offer_its_clusters_for_another_merge(page, gallery):
    key(page, "End")
    hold(page, "clusters?")
    key(page, "m")
    wait_for_held(page)
    key(page, "Escape")
    for cluster_id in (gallery.mixed, gallery.two):
        focus(page, cluster_id)
        key(page, " ")
    key(page, "m")
    page.wait("document.activeElement.name === 'target'")
    release(page)
    offered = page.evaluate("[...document.querySelectorAll('#targets input')].map(node => node.value)")
    assert {*offered} == {key_of(gallery.mixed), key_of(gallery.two)}


def test_a_merge_that_is_cancelled_while_its_target_is_searched_is_not_done(page, gallery):
    before = clusters(gallery)
    key(page, "m")
    page.wait("document.querySelectorAll('#targets input').length === 2")
    page.evaluate("document.querySelector('#targets input').checked = true")
    hold(page, f"clusters/{gallery.two}")
    type_text(page, gallery.two)
    key(page, "Enter")
    wait_for_held(page)
    key(page, "Escape")
    release(page)
    assert clusters(gallery) == before
    assert not shown(page, "#target-form")


def test_enter_takes_the_answer_to_what_was_written_last(page, gallery):
    key(page, "m")
    page.wait("document.querySelectorAll('#targets input').length === 2")
    type_text(page, gallery.rest)
    page.wait("document.querySelectorAll('#targets input').length === 1")
    page.evaluate("document.getElementById('target-text').select()")
    hold(page, f"clusters/{gallery.two}")
    type_text(page, gallery.two)
    page.wait("window.held.length === 1")
    key(page, "Enter")
    wait_for_held(page, 2)
    release(page)
    said(page, "Merged 2 clusters.")
    assert sorted(len(members) for _, members in clusters(gallery)) == [1, 8]


def test_a_slow_name_leaves_the_next_form_and_the_focus_alone(page, gallery):
    hold(page, "/label")
    name_it(page, "Alice")
    wait_for_held(page)
    key(page, "Escape")
    focus(page, gallery.two)
    key(page, "n")
    page.wait("document.activeElement.id === 'name'")
    type_text(page, "Bo")
    release(page)
    said(page, "Named “Alice”.")
    assert (focused(page), page.evaluate("document.activeElement.value")) == ("name", "Bo")
    key(page, "Escape")
    hold(page, "/label")
    focus(page, gallery.two)
    key(page, "n")
    page.wait("document.activeElement.id === 'name'")
    type_text(page, "alice")
    page.wait("document.getElementById('name-hint').textContent !== ''")
    key(page, "Enter")
    wait_for_held(page)
    key(page, "Escape")
    page.evaluate("document.getElementById('search').focus()")
    type_text(page, "a")
    release(page)
    said(page, "Merged into “Alice”")
    assert focused(page) == "search"


def test_an_error_of_a_form_that_was_closed_is_not_shown_in_the_next_form(page, gallery):
    hold(page, "/label")
    name_it(page, "a\u200b")
    wait_for_held(page)
    key(page, "Escape")
    focus(page, gallery.two)
    key(page, "n")
    page.wait("document.activeElement.id === 'name'")
    release(page)
    assert not shown(page, "#name-problem")
    assert "invisible characters" in page.text("#change-problem")


def test_more_clusters_that_fail_after_the_filter_changed_do_not_empty_the_list(page, gallery):
    with gallery.engine.begin() as connection:
        for number in range(30):
            ((face_id,),) = plant(connection, (f"{number:064x}", 1))
            group(connection, [face_id])
    open_page(page, gallery.service)
    hold(page, "clusters?")
    page.click("#more-sheets")
    wait_for_held(page)
    page.click("input[value=person]")
    page.wait("!document.getElementById('list-empty').hidden")
    page.evaluate("window.json = Response.prototype.json; Response.prototype.json = async () => null")
    release(page)
    page.evaluate("Response.prototype.json = window.json")
    assert not shown(page, "#change-problem")
    page.click("input[value=all]")
    page.wait("document.getElementById('list-count').textContent.startsWith('24 of 33')")


def test_older_changes_do_not_take_the_place_of_newer_changes(page, gallery):
    hold(page, "changes?")
    page.evaluate("document.getElementById('key-field').requestSubmit()")
    wait_for_held(page)
    name_it(page, "Alice")
    said(page, "Named “Alice”.")
    assert page.text("#undo-what") == "Undo: named “Alice”"
    release(page)
    assert page.text("#undo-what") == "Undo: named “Alice”"


def test_a_late_refusal_of_the_old_key_does_not_remove_the_new_key(page, gallery):
    page.evaluate("sessionStorage.setItem('thumblab-key', 'revoked')")
    hold(page, "changes?")
    page.evaluate("document.getElementById('key-field').requestSubmit()")
    wait_for_held(page)
    page.wait("document.activeElement.id === 'key'")
    type_text(page, KEY)
    key(page, "Enter")
    page.wait("document.getElementById('key-field').hidden")
    release(page)
    assert not shown(page, "#key-field")
    assert page.evaluate("sessionStorage.getItem('thumblab-key')") == KEY


@pytest.mark.slow
def test_a_merge_that_the_page_did_not_announce_needs_a_confirmation(page, gallery):
    focus(page, gallery.two)
    name_it(page, "Straße")
    said(page, "Named “Straße”.")
    focus(page, gallery.rest)
    name_it(page, "STRASSE")
    page.wait("document.getElementById('name-problem').checkVisibility()")
    assert "“Straße” is known already" in page.text("#name-problem")
    assert page.text("#name-problem").endswith("Save the name again, and these faces will join that person.")
    assert (focused(page), page.evaluate("document.activeElement.value")) == ("name", "STRASSE")
    assert [name for name, _ in clusters(gallery)] == [None, "Straße", None]
    key(page, "Enter")
    said(page, "Merged into “Straße”")
    assert focused_key(page) == key_of(gallery.two)
    assert [len(members) for _, members in clusters(gallery)] == [5, 4]
