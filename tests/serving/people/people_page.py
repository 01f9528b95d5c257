"""Use the page `/people` in the browser with the keyboard, and read the state of the lab."""

import json

from accessibility import focused
from browser import KEY


def open_page(browser, service):
    browser.open(f"{service.url}/people#key={KEY}", ready="browse")
    browser.wait("!document.getElementById('browse').hidden && document.querySelectorAll('#sheets li').length > 0")


def key(page, name, times=1):
    texts = {"Enter": "\r", "Escape": "", "Tab": "", "Home": "", "End": "", "Delete": ""}
    page.press(name, text=texts.get(name, "" if name.startswith("Arrow") else name), times=times)


def type_text(page, text):
    page.call("Input.insertText", text=text)


def said(page, text):
    page.wait(f"document.getElementById('said').textContent.includes({json.dumps(text)})")


def shown(page, selector):
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).checkVisibility()")


def focused_key(page):
    """Return the key of the element that has the focus: a cluster's sheet or a face."""
    return page.evaluate("document.activeElement.dataset.key ?? null")


def key_of(cluster_id):
    return cluster_id.rpartition("_")[2]


def clusters(gallery):
    """Return the name and the faces of each cluster of the lab."""
    listed = gallery.service.client.get("/api/v1/faces/clusters").json()["clusters"]
    found = []
    for each in listed:
        members = gallery.service.client.get(f"/api/v1/faces/clusters/{each['cluster_id']}").json()["members"]
        found.append((each["name"], {face["face_id"] for face in members}))
    return found


def name_it(page, name):
    key(page, "n")
    page.wait("document.activeElement.id === 'name'")
    type_text(page, name)
    key(page, "Enter")


def open_cluster(page, cluster_id):
    page.evaluate(f"document.querySelector('[data-key=\"{key_of(cluster_id)}\"]').focus()")
    key(page, "Enter")
    page.wait("!document.getElementById('cluster').hidden && document.querySelectorAll('#faces li').length > 0")
    assert focused(page) == "cluster-title", "the focus must move to the opened cluster"
    for _ in range(10):
        key(page, "Tab")
        if focused_key(page):
            return
    raise AssertionError("Tab must lead to the faces")


def go_to_face(page, face_id):
    key(page, "Home")
    for _ in range(20):
        if focused_key(page) == face_id:
            return
        key(page, "ArrowRight")
    raise AssertionError("the arrow keys must lead to every face")
