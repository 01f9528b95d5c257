"""Test with the keyboard alone how clusters are named, merged and split on `/people`, and how changes are undone."""

import json

from accessibility import focused
from browser import KEY
from people_page import (
    clusters,
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
from planted_people import group

SCRIPT = "<script>document.title='hacked'</script>"


def test_a_cluster_is_named_and_renamed_and_the_name_is_undone(page, gallery):
    name_it(page, "Alice")
    said(page, "Named “Alice”.")
    assert focused_key(page) == key_of(gallery.mixed), "the focus must return to the sheet"
    assert page.text("#sheets .sheet-name") == "Alice"
    assert clusters(gallery)[0][0] == "Alice"
    key(page, "n")
    page.wait("document.activeElement.id === 'name'")
    assert page.evaluate("document.activeElement.value") == "Alice"
    type_text(page, "Alicia")
    key(page, "Enter")
    said(page, "Named “Alicia”.")
    assert page.text("#undo-what") == "Undo: renamed “Alice”, now “Alicia”"
    key(page, "u")
    said(page, "Undone: renamed “Alice”, now “Alicia”.")
    assert page.text("#undo-what") == "Undo: named “Alice”"
    assert page.text("#sheets .sheet-name") == "Alice"
    assert focused_key(page) == key_of(gallery.mixed)
    key(page, "u")
    said(page, "Undone: named “Alice”.")
    assert clusters(gallery)[0][0] is None
    key(page, "u")
    said(page, "There is nothing to undo.")


def test_a_name_is_text_and_never_html(page, gallery):
    name_it(page, SCRIPT)
    said(page, SCRIPT)
    assert page.text("#sheets .sheet-name") == SCRIPT
    key(page, "Enter")
    page.wait(f"document.getElementById('cluster-title').textContent === {json.dumps(SCRIPT)}")
    key(page, "n")
    page.wait("document.querySelectorAll('#names option').length === 1")
    assert page.evaluate("document.querySelector('#names option').value") == SCRIPT
    assert page.count("main script") == 0
    assert page.evaluate("document.title") == "People – Thumbnail Lab"


def test_an_empty_or_refused_name_stays_in_the_form_with_the_reason(page, gallery):
    key(page, "n")
    key(page, "Enter")
    page.wait("document.getElementById('name-problem').textContent === 'Write the name of the person.'")
    type_text(page, "a\u200b")
    key(page, "Enter")
    page.wait("document.getElementById('name-problem').textContent.includes('invisible characters')")
    assert (focused(page), page.evaluate("document.activeElement.value")) == ("name", "a\u200b")
    key(page, "Escape")
    assert not shown(page, "#name-form")
    assert focused_key(page) == key_of(gallery.mixed)
    assert [name for name, _ in clusters(gallery)] == [None] * 3


def test_a_name_that_is_known_merges_and_the_page_says_so_before_the_merge(page, gallery):
    name_it(page, "Alice")
    said(page, "Named “Alice”.")
    key(page, "End")
    key(page, "n")
    page.wait("document.activeElement.id === 'name'")
    type_text(page, "ALICE")
    page.wait("document.getElementById('name-hint').textContent.startsWith('“Alice” is known already.')")
    key(page, "Enter")
    said(page, "Merged into “Alice”, who had this name already. It has 6 faces now.")
    assert focused_key(page) == key_of(gallery.mixed)
    assert page.count("#sheets li") == 2


def test_selected_clusters_are_merged_and_un_merged(page, gallery):
    before = clusters(gallery)
    key(page, " ")
    key(page, "End")
    key(page, " ")
    assert page.count("#sheets [aria-selected='true']") == 2
    assert page.evaluate("document.getElementById('do-name').disabled"), "several clusters cannot get one name"
    key(page, "m")
    page.wait("document.activeElement.name === 'target'")
    key(page, "Enter")
    said(page, "Merged 2 clusters.")
    assert focused_key(page) == key_of(gallery.mixed)
    assert page.count("#sheets li") == 2
    merged = clusters(gallery)
    assert merged[0][1] == before[0][1] | before[2][1]
    # Make another change. "undo" would now take back this change. Only "un-merge" takes back the merge.
    name_it(page, "Alice")
    said(page, "Named “Alice”.")
    for _ in range(20):
        key(page, "Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    key(page, "Enter")
    key(page, "Tab")
    assert page.evaluate("document.activeElement.textContent") == "Un-merge"
    words = f"Merged the unknown cluster {key_of(gallery.rest)} into “Alice”"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"Un-merge: {words}"
    key(page, "Enter")
    said(page, "Took the merge back.")
    assert focused_key(page) == key_of(gallery.rest)
    assert sorted(clusters(gallery), key=str) == sorted([("Alice", before[0][1]), *before[1:]], key=str)
    assert "taken back" in page.text("#change-list")


def test_one_cluster_is_merged_into_another_one_that_is_found_by_id(page, gallery):
    key(page, "End")
    key(page, "m")
    page.wait("document.querySelectorAll('#targets input').length === 2")
    assert focused(page) == "target-text"
    type_text(page, gallery.two)
    page.wait("document.querySelectorAll('#targets input').length === 1")
    key(page, "Enter")
    said(page, "Merged 2 clusters.")
    assert focused_key(page) == key_of(gallery.two)
    assert [len(faces) for _, faces in clusters(gallery)] == [5, 4]


def test_an_impossible_merge_is_refused_with_a_reason_and_the_form_stays(page, gallery):
    with gallery.engine.begin() as connection:
        one = gallery.faces[1][0]  # This face and the face in `rest` come from the same picture.
        (other,) = group(connection, [one])
    open_page(page, gallery.service)
    page.evaluate(f"document.querySelector('[data-key=\"{key_of(other)}\"]').focus()")
    key(page, "m")
    type_text(page, gallery.rest)
    page.wait("document.querySelectorAll('#targets input').length === 1")
    key(page, "Enter")
    page.wait("document.getElementById('target-problem').textContent.includes('they cannot be one person')")
    assert page.evaluate("document.getElementById('target-text').value") == gallery.rest
    key(page, "Escape")
    assert focused_key(page) == key_of(other)


def test_a_merge_of_several_that_stops_half_way_says_how_far_it_came(page, gallery):
    with gallery.engine.begin() as connection:
        # This face and the face in `rest` come from the same picture.
        (other,) = group(connection, [gallery.faces[1][0]])
    open_page(page, gallery.service)
    for cluster_id in (gallery.two, gallery.rest, other):
        page.evaluate(f"document.querySelector('[data-key=\"{key_of(cluster_id)}\"]').focus()")
        key(page, " ")
    key(page, "m")
    page.wait("document.activeElement.name === 'target'")
    key(page, "Enter")
    page.wait("document.getElementById('change-problem').checkVisibility()")
    assert page.text("#change-problem").startswith("1 of 2 clusters were merged into the unknown cluster")
    assert "they cannot be one person" in page.text("#change-problem")
    assert [len(faces) for _, faces in clusters(gallery)] == [5, 4, 1]
    assert focused_key(page) == key_of(gallery.two)


def test_an_error_takes_no_selection_away(page, gallery):
    open_cluster(page, gallery.mixed)
    key(page, " ")
    page.evaluate("sessionStorage.setItem('thumblab-key', 'revoked')")
    key(page, "s")
    page.wait("document.activeElement.id === 'key'")
    assert "no longer valid" in page.text("#change-problem")
    type_text(page, KEY)
    key(page, "Enter")
    page.wait("document.getElementById('key-field').hidden && document.activeElement.dataset.key !== undefined")
    assert page.count("#faces [aria-selected='true']") == 1
    key(page, "s")
    said(page, "Put 1 face into a new cluster.")


def test_faces_are_split_off_and_the_new_cluster_opens(page, gallery):
    open_cluster(page, gallery.mixed)
    stranger, other = gallery.faces[1][1], gallery.faces[4][0]
    for face_id in (stranger, other):
        go_to_face(page, face_id)
        key(page, " ")
    assert page.evaluate("document.getElementById('do-split').textContent").startswith("Split off 2")
    key(page, "s")
    said(page, "Put 2 faces into a new cluster.")
    assert focused_key(page) in gallery.faces[0], "the focus must stay in the list of faces"
    assert page.count("#faces li") == 3
    page.evaluate("document.getElementById('follow-up').focus()")
    key(page, "Enter")
    page.wait("document.querySelectorAll('#faces li').length === 2")
    assert {*page.evaluate("[...document.querySelectorAll('#faces li')].map(n => n.dataset.key)")} == {stranger, other}
    key(page, "u")
    said(page, "Undone: moved 2 faces to")
    page.wait("document.getElementById('cluster').hidden")
    assert clusters(gallery)[0][1] == {*gallery.faces[0][:3], stranger, other}, "the cluster that was new is gone"
    assert focused_key(page) is not None


def test_a_face_is_moved_to_a_named_person(page, gallery):
    page.evaluate(f"document.querySelector('[data-key=\"{key_of(gallery.rest)}\"]').focus()")
    name_it(page, "Bob")
    said(page, "Named “Bob”.")
    open_cluster(page, gallery.mixed)
    go_to_face(page, gallery.faces[0][0])
    key(page, "v")
    page.wait("document.activeElement.id === 'target-text' && document.querySelectorAll('#targets input').length === 2")
    type_text(page, "bo")
    page.wait("document.querySelectorAll('#targets input').length === 1")
    key(page, "Tab")
    key(page, " ")
    key(page, "Enter")
    said(page, "Moved 1 face to “Bob”.")
    assert focused_key(page) is not None
    assert ("Bob", {gallery.faces[0][0], gallery.faces[0][3]}) in clusters(gallery)
    key(page, "u")
    said(page, "Undone: moved 1 face to “Bob”.")
    page.wait("document.querySelectorAll('#faces li').length === 5")


def test_a_face_that_is_not_this_person_goes_and_comes_back_by_undo(page, gallery):
    open_cluster(page, gallery.mixed)
    stranger = gallery.faces[1][1]
    go_to_face(page, stranger)
    key(page, "x")
    said(page, "Said that a face is not the unknown cluster")
    assert page.count("#faces li") == 4
    assert focused_key(page) not in (None, stranger)
    key(page, "u")
    said(page, "Undone: said that a face is not")
    page.wait("document.querySelectorAll('#faces li').length === 5")
    key(page, "Escape")
    page.wait("document.getElementById('cluster').hidden")
    assert focused_key(page) == key_of(gallery.mixed), "the focus must return to the sheet that was opened"


def test_the_last_face_leaves_and_the_page_goes_back_to_the_list(page, gallery):
    open_cluster(page, gallery.rest)
    key(page, "x")
    page.wait("document.getElementById('cluster').hidden")
    said(page, "Said that a face is not")
    assert focused_key(page) in (key_of(gallery.mixed), key_of(gallery.two))


def test_faces_in_no_cluster_are_put_into_one(page, gallery):
    page.click("#show-none")
    page.wait("document.querySelectorAll('#faces li').length === 4")
    assert page.text("#cluster-title") == "Faces in no cluster"
    assert not shown(page, "#do-not")
    page.evaluate("document.querySelector('#faces li').focus()")
    key(page, "s")
    said(page, "Put 1 face into a new cluster.")
    page.wait("document.querySelectorAll('#faces li').length === 3")
    key(page, "n")
    said(page, "There is no cluster to name here.")
