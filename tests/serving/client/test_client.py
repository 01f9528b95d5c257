"""Test the Python client against the real service, over HTTP."""

import asyncio
import threading
import time

import pytest

from thumblab_client import (
    AsyncClient,
    Client,
    InvalidRequestError,
    Item,
    NoAnswerError,
    Patience,
    Picture,
    PictureError,
    ThumblabError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
)

KEY = "key-of-the-tests-0123456789"
TITLE = "I tested every phone under $200"


def test_files_are_ranked_as_by_a_request_without_the_client(client, service, files, alike):
    answer = client.score(TITLE, files, category="tech")
    assert [thumbnail.id for thumbnail in answer.thumbnails] == ["p0.jpg", "p1.jpg", "p2.jpg"]
    plain = service.score(*[path.read_bytes() for path in files], category="tech")
    assert answer.verdict == plain["verdict"]
    assert answer.winner == plain["winner"]
    assert alike([t.score for t in answer.thumbnails], [t["score"] for t in plain["thumbnails"]])
    first, plain_first = answer.thumbnails[0], plain["thumbnails"][0]
    assert {name: sub.reason for name, sub in first.sub_scores.items()} == {
        name: sub["reason"] for name, sub in plain_first["sub_scores"].items()
    }
    assert first.evidence.badge.width > 0
    assert first.neighbours[0].channel.startswith("Channel ")
    assert answer.releases.model == plain["releases"]["model"]


def test_files_bytes_and_urls_may_be_mixed(client, files, images, draw):
    images["bodies"]["/vi/x/maxresdefault.jpg"] = draw(7)
    url = f"http://{images['host']}/vi/x/maxresdefault.jpg"
    answer = client.score(TITLE, [files[0], str(files[1]), Picture("drawn", draw(5)), url])
    assert [thumbnail.id for thumbnail in answer.thumbnails] == ["p0.jpg", "p1.jpg", "drawn", url]
    assert [thumbnail.error for thumbnail in answer.thumbnails] == [None] * 4


def test_any_file_name_is_an_id_as_it_is_written(client, tmp_path, draw):
    names = ['a "b".jpg', "50 %22.jpg", "\u65e5\u672c.jpg", "back\\slash.jpg"]
    for n, name in enumerate(names):
        (tmp_path / name).write_bytes(draw(n))
    answer = client.score(TITLE, [tmp_path / name for name in names])
    assert [thumbnail.id for thumbnail in answer.thumbnails] == names


def test_files_of_the_same_name_get_their_paths_as_ids(client, tmp_path, draw):
    paths = [tmp_path / folder / "a.jpg" for folder in ("x", "y")]
    for n, path in enumerate(paths):
        path.parent.mkdir()
        path.write_bytes(draw(n))
    assert [thumbnail.id for thumbnail in client.score(TITLE, paths).thumbnails] == list(map(str, paths))


def test_a_channel_of_the_lab_adapts_the_answer(client, files):
    answer = client.score(TITLE, files, category="tech", channel_id="UCown")
    assert answer.channel.adapted
    assert answer.score_among == "channel"


def test_the_asynchronous_client_gives_the_same_answers(service, files, client):
    async def ask():
        async with AsyncClient(service.url, KEY) as own:
            return await asyncio.gather(own.score(TITLE, files), own.score(TITLE, files[:1]), own.health())

    answer, single, health = asyncio.run(ask())
    assert answer.winner == client.score(TITLE, files).winner
    assert single.verdict == "only_one"
    assert health.ready
    assert health.indices["tech"].state == "serving"
    assert client.ready().model.release == answer.releases.model


def test_a_problem_of_the_service_is_an_error_with_its_fields(client, files):
    with pytest.raises(InvalidRequestError) as raised:
        client.score(TITLE, files, category="knitting")
    error = raised.value
    assert (error.status, error.kind, error.title) == (422, "invalid-request", "Invalid request")
    assert error.detail.startswith("category: ")
    assert error.request_id
    assert str(error).startswith("422 Invalid request: category: ")


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_wrong_key_is_an_error_that_does_not_repeat_the_key(service, files, key):
    with Client(service.url, key) as client, pytest.raises(UnauthorizedError) as raised:
        client.score(TITLE, files)
    assert raised.value.status == 401
    assert "wrong" not in f"{raised.value} {raised.value!r} {client!r} {vars(client)}"


def test_the_address_and_the_key_may_come_from_the_environment(service, files, monkeypatch):
    monkeypatch.setenv("THUMBLAB_SERVING_URL", service.url + "/")
    monkeypatch.setenv("THUMBLAB_API_KEY", KEY)
    with Client() as client:
        assert client.score(TITLE, files).verdict


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_key_may_be_the_text_of_a_file(service, files, ending):
    with Client(service.url, f"{KEY}{ending}") as client:
        assert client.score(TITLE, files).verdict
    with pytest.raises(ThumblabError, match="characters that a key cannot have"):
        Client(service.url, f"{KEY}{ending}X-Other: header")


def fill(budget):
    """Reserve all memory that the service allows for request bodies, as large requests of two other keys would."""
    assert all(budget.take(budget.limit // 2, key) for key in ("first", "second"))


def empty(budget):
    for key in ("first", "second"):
        budget.give_back(budget.limit // 2, key)


def test_a_busy_service_is_asked_again_after_the_time_that_it_states(client, service, files):
    budget = service.app.state.budget
    fill(budget)
    threading.Timer(1, empty, (budget,)).start()
    started = time.monotonic()
    assert client.score(TITLE, files).verdict
    assert time.monotonic() - started >= 5


def test_a_busy_service_is_asked_again_by_the_asynchronous_client(service, files):
    async def ask():
        async with AsyncClient(service.url, KEY) as own:
            return await own.score(TITLE, files)

    budget = service.app.state.budget
    fill(budget)
    threading.Timer(1, empty, (budget,)).start()
    assert asyncio.run(ask()).verdict


def test_a_wait_longer_than_the_patience_is_an_error_at_once(service, files):
    budget = service.app.state.budget
    fill(budget)
    started = time.monotonic()
    try:
        with (
            Client(service.url, KEY, patience=Patience(seconds=2)) as client,
            pytest.raises(UnavailableError) as raised,
        ):
            client.score(TITLE, files)
    finally:
        empty(budget)
    assert (raised.value.status, raised.value.kind, raised.value.retry_after) == (503, "busy", 5)
    assert time.monotonic() - started < 4.5


def test_a_service_without_a_model_says_why_it_is_not_ready(run, new_lab):
    with run(new_lab().settings, wait=False) as service, Client(service.url, KEY, patience=Patience(0)) as client:
        assert client.health().model.release is None
        with pytest.raises(UnavailableError) as raised:
            client.ready()
    assert raised.value.kind == "not-ready"


def test_no_service_and_another_server_are_different_errors(files, images):
    with (
        Client("http://127.0.0.1:9", KEY) as client,
        pytest.raises(NoAnswerError, match=r"127\.0\.0\.1:9 did not answer"),
    ):
        client.health()
    images["bodies"]["/health"] = b"<html>"
    with Client(f"http://{images['host']}", KEY) as client:
        with pytest.raises(UnexpectedAnswerError, match=r"GET http://.*/health: the answer is null"):
            client.health()
        with pytest.raises(ThumblabError, match="but not by the scoring service; check the URL"):
            client.experiments()


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://x", "http://", "http://user:secret@x", "http://x/?a=b", "http://[::1"]
)
def test_an_address_that_is_not_a_service_url_is_refused(url):
    with pytest.raises(ThumblabError) as raised:
        Client(url, KEY)
    assert "secret" not in str(raised.value)


def test_a_picture_that_cannot_be_read_is_named_and_nothing_is_sent(client, tmp_path, files):
    for wrong in (tmp_path / "none.jpg", tmp_path, "/dev/zero", "a\0b"):
        with pytest.raises(PictureError) as raised:
            client.score(TITLE, [files[0], wrong])
        assert repr(str(wrong)).strip("'") in str(raised.value)
    for none in ([], "a.jpg", [files[0], files[0]]):
        with pytest.raises(PictureError):
            client.score(TITLE, none)


def test_a_bad_picture_has_an_error_and_the_others_are_ranked(client, files):
    answer = client.score(TITLE, [*files, Picture("bad.jpg", b"bad")])
    assert answer.thumbnails[3].error
    assert answer.thumbnails[3].evidence is None
    assert answer.winner in ("p0.jpg", "p1.jpg", "p2.jpg")


def test_proxies_of_the_environment_are_not_asked_for_a_service_on_this_machine(client, service, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Client(service.url, KEY) as own:
        assert own.health().ready


def test_threads_may_share_a_client(client, files):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(client.score(TITLE, files).winner)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    ("named", "call"),
    [
        ("title", lambda client, picture: client.score("T\ud800", [picture])),
        ("channel_id", lambda client, picture: client.score("T", [picture], channel_id="\ud800")),
        (
            "thumbnails.0.title",
            lambda client, _: client.score("T", [Picture("p", url="https://a.b/c", title="\udfff")]),
        ),
        ("thumbnails.0.id", lambda client, _: client.score("T", [Picture("\udc80", b"1")])),
        ("text", lambda client, _: client.similar(text="\ud800")),
        ("niche", lambda client, _: client.library_clusters("\ud800")),
        ("video_id", lambda client, _: client.video("a\ud800")),
        ("channel_id", lambda client, _: client.experiments(channel_id="\ud800")),
        ("name", lambda client, _: client.add_channel([("a.csv", b"1")], name="\ud800")),
        ("items.0.title", lambda client, picture: client.store_batch([Item("a", "\ud800", [picture])])),
        (
            "idempotency_key",
            lambda client, picture: client.store_batch([Item("a", "T", [picture])], idempotency_key="\u00e9"),
        ),
    ],
)
def test_a_text_that_cannot_be_sent_is_an_error_of_the_library_that_names_it(client, draw, named, call):
    with pytest.raises(ThumblabError, match=named) as caught:
        call(client, Picture("p.jpg", draw(0)))
    str(caught.value).encode()
