"""Test a service that may fetch pictures from any public host. `open_internet` simulates host names and servers."""

import base64
from typing import ClassVar

import pytest
from local_server import Handler
from public_internet import open_internet

PUBLIC = "93.184.215.14"


class Pictures(Handler):
    """A public host. `answers` maps each path to a status, headers and a body."""

    answers: ClassVar[dict] = {}

    def do_GET(self):
        status, headers, body = self.answers[self.path]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def internet(tmp_path_factory):
    with open_internet(tmp_path_factory.mktemp("internet")) as internet:
        internet.serve(Pictures, [PUBLIC], "pictures.example")
        internet.names["inside.example"] = ["127.0.0.1"]
        yield internet


@pytest.fixture(scope="module")
def open_service(internet, tmp_path_factory, lab_at, run):
    lab = lab_at(tmp_path_factory.mktemp("lab"), serving_any_public_host=True)
    lab.promote(lab.index())
    lab.promote(lab.model())
    with run(lab.settings) as service:
        yield service


def ask(service, draw, *paths):
    """Score a picture file together with the pictures at the given URLs or paths.

    Return the part of the answer for each URL.
    """
    urls = [path if "://" in path else f"https://pictures.example{path}" for path in paths]
    good = base64.b64encode(draw(1)).decode()
    by_url = [{"id": str(number), "url": url} for number, url in enumerate(urls)]
    reply = service.ask([*by_url, {"id": "good", "image_base64": good}])
    assert reply.status_code == 200, reply.text
    *answers, sent = reply.json()["thumbnails"]
    assert sent["error"] is None
    return answers


def test_a_picture_of_any_public_host_is_ranked(open_service, draw):
    Pictures.answers = {
        "/a.jpg": (200, {"Content-Type": "image/jpeg"}, draw(2)),
        "/moved.jpg": (302, {"Location": "/a.jpg"}, b""),
    }
    direct, redirected = ask(open_service, draw, "/a.jpg", "/moved.jpg")
    assert direct["error"] is None and redirected["error"] is None
    assert direct["score"] == redirected["score"]


def test_the_bytes_decide_whether_an_answer_is_a_picture_and_not_its_content_type(open_service, draw):
    Pictures.answers = {
        "/page.jpg": (200, {"Content-Type": "image/jpeg"}, b"<html>the secret of the local network</html>"),
        "/text": (200, {"Content-Type": "text/html"}, draw(3)),
        "/script.svg": (200, {"Content-Type": "image/png"}, b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "/cut.jpg": (200, {"Content-Type": "image/jpeg"}, draw(3)[:200]),
    }
    page, text, svg, cut = ask(open_service, draw, "/page.jpg", "/text", "/script.svg", "/cut.jpg")
    assert text["error"] is None
    for refused in (page, svg, cut):
        assert refused["error"]
        assert "secret" not in refused["error"]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a.jpg",
        "https://inside.example/a.jpg",
        "https://[::ffff:169.254.169.254]/latest/meta-data/",
        "http://pictures.example/a.jpg",
        "https://user:secret@pictures.example/a.jpg",
        "https://pictures.example/to-the-inside",
    ],
)
def test_a_url_that_leads_into_the_local_network_gets_an_error_and_the_others_are_ranked(
    open_service, internet, draw, url
):
    Pictures.answers = {"/to-the-inside": (302, {"Location": "https://127.0.0.1/a.jpg"}, b"")}
    internet.connected.clear()
    (answer,) = ask(open_service, draw, url)
    assert "send the picture itself" in answer["error"] or "credentials" in answer["error"]
    assert "secret" not in answer["error"]
    assert set(internet.connected) <= {PUBLIC}


def test_the_closed_list_is_the_default(service, internet, draw):
    (answer,) = ask(service, draw, "/a.jpg")
    assert "is not among the image hosts" in answer["error"]
