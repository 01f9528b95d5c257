"""Test `/v1/experiments` over HTTP with a real database.

A POST request checks an experiment and stores it. If an experiment of the same channel, video and start is stored, the
new experiment replaces the stored experiment. A GET request lists experiments in pages. The answer to a request that
breaks a rule is an RFC 9457 problem (`application/problem+json`). If a field is wrong, the problem names this field.
"""

import base64
import http.client
import json
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, func, insert, select

from thumblab_core.database.tables import channels, experiment_variants, experiments, videos
from thumblab_core.image_store import ImageFolder
from thumblab_core.images import digest
from thumblab_core.object_store.bucket import StoreError

CHANNEL = "UC" + "a" * 22
Draw = Callable[..., bytes]


def facts(**change: Any) -> dict[str, Any]:
    """Return the body of a request that adds an experiment with two titles. `change` replaces or adds fields."""
    body = {
        "channel_id": CHANNEL,
        "video_id": "video_aaaaa",
        "started_on": "2026-11-01",
        "outcome": "inconclusive",
        "variants": [{"title": "One"}, {"title": "Two"}],
    }
    return body | change


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def post(service: Any, **change: Any) -> httpx.Response:
    return service.client.post("/v1/experiments", json=facts(**change))


def upload(service: Any, files: list[bytes], body: Any = None, **fields: str) -> httpx.Response:
    parts = [("pictures", (f"{n}.jpg", data, "image/jpeg")) for n, data in enumerate(files)]
    text = json.dumps(facts(variants=[{}, {}]) if body is None else body)
    return service.client.post("/v1/experiments", data={"experiment": text, **fields}, files=parts)


def problem(reply: httpx.Response, status: int = 422) -> str:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(reply.json()) == {"type", "title", "status", "detail"}
    return str(reply.json()["detail"])


def counts(engine: Engine) -> tuple[int, int]:
    """Return how many experiments and how many variants the database has."""
    with engine.connect() as connection:
        found = [connection.scalar(select(func.count()).select_from(t)) for t in (experiments, experiment_variants)]
    return int(found[0] or 0), int(found[1] or 0)


def test_an_experiment_is_stored_with_its_pictures_and_listed(with_database: Any, engine: Engine, draw: Draw) -> None:
    pictures = [draw(1), draw(2)]
    variants = [
        {"title": "Both", "image_base64": encoded(data), "watch_time_share": share, "impressions": 1_000}
        for data, share in zip(pictures, (46.1, 53.9), strict=True)
    ]
    reply = post(with_database, outcome="winner", ended_on="2026-11-09", variants=variants)
    assert reply.status_code == 201, reply.text
    stored = reply.json()
    assert (stored["state"], stored["winner"], stored["note"], stored["tested"]) == ("new", 2, None, "pictures")
    assert (stored["channel_id"], stored["channel_title"], stored["ended_on"]) == (CHANNEL, None, "2026-11-09")
    assert [v["sha256"] for v in stored["variants"]] == [digest(data) for data in pictures]
    assert [v["watch_time_share"] for v in stored["variants"]] == pytest.approx([0.461, 0.539])
    images = ImageFolder(with_database.lab.settings.images)
    assert [images.get(v["sha256"]) for v in stored["variants"]] == pictures
    listed = with_database.client.get("/v1/experiments").json()
    assert listed == {"experiments": [{k: v for k, v in stored.items() if k != "state"}], "next_cursor": None}


def test_pictures_by_url_by_upload_and_in_base64_are_the_same(
    with_database: Any, engine: Engine, draw: Draw, images: dict[str, Any]
) -> None:
    pictures = [draw(3), draw(4)]
    images["bodies"] |= {f"/x{n}.jpg": data for n, data in enumerate(pictures)}
    urls = [{"url": f"http://{images['host']}/x{n}.jpg"} for n in range(2)]
    first = post(with_database, variants=urls)
    assert first.status_code == 201, first.text
    again = upload(with_database, pictures)
    assert (again.status_code, again.json()["state"]) == (200, "unchanged")
    third = post(with_database, variants=[{"image_base64": encoded(data)} for data in pictures])
    assert (third.status_code, third.json()["state"]) == (200, "unchanged")
    assert counts(engine) == (1, 2)


def test_the_same_experiment_again_replaces_the_facts(with_database: Any, engine: Engine) -> None:
    first = post(with_database).json()
    changed = post(with_database, outcome="winner", winner=2, variants=[{"title": t} for t in ("A", "B", "C")])
    assert (changed.status_code, changed.json()["state"]) == (200, "changed")
    assert changed.json()["experiment_id"] == first["experiment_id"]
    assert counts(engine) == (1, 3)
    assert post(with_database, started_on="2026-11-02").json()["state"] == "new"


def test_the_same_request_from_many_clients_is_stored_once(with_database: Any, engine: Engine) -> None:
    replies: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: replies.append(post(with_database))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status_code for reply in replies) == [200] * 7 + [201]
    assert counts(engine) == (1, 2)


def test_a_winner_against_the_shares_is_stored_with_a_note(with_database: Any, engine: Engine) -> None:
    variants = [{"title": "One", "watch_time_share": 0.4}, {"title": "Two", "watch_time_share": 0.6}]
    reply = post(with_database, outcome="winner", winner=1, variants=variants)
    assert reply.status_code == 201
    assert reply.json()["note"] == "variant 1 won, but variant 2 has the largest share of watch time"


def put_channel(engine: Engine, channel_id: str, title: str, *video_ids: str) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    with engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=channel_id, title=title))
        for video_id in video_ids:
            row = {"niche": "tech", "title": "t", "tags": [], "source": "youtube", "published_at": now}
            row |= {"video_id": video_id, "channel_id": channel_id, "refreshed_at": now}
            connection.execute(insert(videos).values(**row))


def test_channel_and_video_follow_the_rules_of_the_commands(with_database: Any, engine: Engine) -> None:
    put_channel(engine, "UC" + "b" * 22, "Beta", "a video of a catalogue")
    put_channel(engine, "alpha", "Alpha")
    known = post(with_database, channel_id="UC" + "b" * 22, video_id="a video of a catalogue")
    assert (known.status_code, known.json()["channel_title"]) == (201, "Beta")
    assert post(with_database, channel_id="alpha").status_code == 201
    assert post(with_database, channel_id=f"https://www.youtube.com/channel/{CHANNEL}/videos").status_code == 201
    unknown = problem(post(with_database, channel_id="alphq"))
    assert unknown.startswith("channel_id: the lab knows no channel called 'alphq'")
    assert "the service does not look up @handles" in problem(post(with_database, channel_id="@me"))
    by_title = post(with_database, channel_id="Alpha", started_on="2026-10-01", ended_on="2026-10-09")
    assert (by_title.status_code, by_title.json()["channel_id"]) == (201, "alpha")
    other = problem(post(with_database, video_id="a video of a catalogue"))
    assert other.startswith("video_id: video 'a video of a catalogue' belongs to the channel UCbbb")
    assert problem(post(with_database, video_id="none")).startswith("video_id: video 'none' is not in the lab")


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no channel": ({"channel_id": None}, "channel_id: "),
    "a day that is none": ({"started_on": "2026-02-30"}, "started_on: "),
    "a day as a number": ({"started_on": 1793000000}, "started_on: "),
    "the future": ({"ended_on": "9999-01-01"}, "ended_on: 9999-01-01 is in the future"),
    "before YouTube": ({"started_on": "0001-01-01"}, "started_on: 0001-01-01 is before YouTube"),
    "days in reverse": ({"ended_on": "2026-10-01"}, "ended_on: the test ended on 2026-10-01, before"),
    "another outcome": ({"outcome": "won"}, "outcome: "),
    "no winner": ({"outcome": "winner"}, "winner: the outcome is winner, but it is not known which variant won"),
    "winner 3 of 2": ({"outcome": "winner", "winner": 3}, "winner: the winner is variant 3"),
    "winner 4": ({"outcome": "winner", "winner": 4}, "winner: "),
    "winner true": ({"outcome": "winner", "winner": True}, "winner: "),
    "one variant": ({"variants": [{"title": "One"}]}, "variants: "),
    "four variants": ({"variants": [{"title": t} for t in "abcd"]}, "variants: "),
    "nothing tested": ({"variants": [{}, {}]}, "variants: the variants have neither pictures nor titles"),
    "a title missing": ({"variants": [{"title": "One"}, {}]}, "variants.1.title: variant 2 has no title"),
    "the same title": ({"variants": [{"title": "A"}, {"title": "A"}]}, "variants.1: variants 1 and 2 have the same"),
    "an invisible title": ({"variants": [{"title": "\u200b"}, {"title": "B"}]}, "variants.0.title: give a title"),
    "a null byte": ({"video_id": "video\0aaaaa"}, "video_id: the id of a video must not contain a NUL"),
    "a long video": ({"video_id": "v" * 501}, "video_id: "),
    "a field that is unknown": ({"video": "x"}, "video: there is no such field; use video_id"),
    "shares of half": (
        {"variants": [{"title": t, "watch_time_share": 25} for t in "ab"]},
        "variants: the shares of watch time add up to 50",
    ),
    "a share over 100": ({"variants": [{"title": "a", "watch_time_share": 101}, {"title": "b"}]}, "watch_time_share: "),
    "negative impressions": ({"variants": [{"title": "a", "impressions": -1}, {"title": "b"}]}, "impressions: "),
    "impressions beyond 2^53": ({"variants": [{"title": "a", "impressions": 2**53}, {"title": "b"}]}, "impressions: "),
    "two sources": (
        {"variants": [{"url": "https://i.ytimg.com/a", "image_base64": "aaaa"}, {"url": "https://i.ytimg.com/b"}]},
        "variants.0: give url or image_base64, not both",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_request_that_breaks_a_rule_is_a_problem_that_names_the_field(
    with_database: Any, engine: Engine, name: str
) -> None:
    change, sentence = BROKEN[name]
    assert sentence in problem(post(with_database, **change))
    assert counts(engine) == (0, 0)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", '"5"'])
def test_a_share_that_is_not_a_number_is_refused(with_database: Any, engine: Engine, number: str) -> None:
    text = json.dumps(facts(variants=[{"title": "a", "watch_time_share": 0}, {"title": "b"}])).replace(
        ": 0}", f": {number}}}"
    )
    reply = with_database.client.post("/v1/experiments", content=text, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422, reply.text


def test_a_text_that_is_not_utf8_is_refused(with_database: Any, engine: Engine) -> None:
    for text in (b'{"video_id": "\xff"}', b'{"video_id": "\\ud800"}', b"{", b"[]", b""):
        reply = with_database.client.post("/v1/experiments", content=text, headers={"Content-Type": "application/json"})
        assert problem(reply)


def test_hostile_pictures_are_refused_by_name_and_nothing_is_stored(
    with_database: Any, engine: Engine, draw: Draw, images: dict[str, Any]
) -> None:
    good = {"image_base64": encoded(draw(5))}
    for bad, sentence in (
        ({"image_base64": encoded(b"II*\0" + b"\0" * 50)}, "variants.1.image_base64: a TIFF file"),
        ({"image_base64": "%%%"}, "variants.1.image_base64: image_base64 is not base64"),
        ({"image_base64": encoded(draw(5)[:200])}, "variants.1.image_base64: "),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "variants.1.url: "),
        ({"url": "file:///etc/passwd"}, "variants.1.url: "),
        ({"url": f"http://{images['host']}/absent.jpg"}, "variants.1.url: "),
    ):
        assert problem(post(with_database, variants=[good, bad])).startswith(sentence)
    assert problem(upload(with_database, [draw(5), b"no picture"])).startswith("pictures.1: not a JPEG")
    assert problem(post(with_database, variants=[good, good])).startswith("variants.1: variants 1 and 2 have the same")
    assert counts(engine) == (0, 0)


def test_no_picture_is_fetched_for_an_experiment_that_breaks_a_rule(
    with_database: Any, engine: Engine, images: dict[str, Any]
) -> None:
    before = len(images["asked"])
    urls = [{"url": f"http://{images['host']}/never{n}.jpg"} for n in range(2)]
    assert "is not the id of a YouTube video" in problem(post(with_database, variants=urls, video_id="none"))
    assert "in the future" in problem(post(with_database, variants=urls, started_on="9999-01-01"))
    assert len(images["asked"]) == before


def test_a_form_that_is_not_as_documented_is_refused(with_database: Any, engine: Engine, draw: Draw) -> None:
    two = [draw(6), draw(7)]
    assert "pictures: 1 files are sent for 2 variants" in problem(upload(with_database, two[:1]))
    assert "pictures: send 1 to 3 files" in problem(upload(with_database, two * 2))
    no_file = with_database.client.post("/v1/experiments", files={"experiment": (None, json.dumps(facts()))})
    assert "pictures: no file is sent" in problem(no_file)
    misspelt = [("picture", ("a.jpg", data)) for data in two]
    assert "picture: there is no such field" in problem(with_database.client.post("/v1/experiments", files=misspelt))
    assert "notes: there is no such field; the fields are experiment, pictures" in problem(
        upload(with_database, two, notes="x")
    )
    both = facts(variants=[{"url": "https://i.ytimg.com/a"}, {}])
    assert "variants.0: its picture is sent as a file" in problem(upload(with_database, two, both))
    as_file = with_database.client.post("/v1/experiments", files={"experiment": ("e.json", b"{}")})
    assert "experiment: send the experiment as JSON" in problem(as_file)
    assert "far more fields" in problem(upload(with_database, two, {"x": [""] * 60_000}))
    # In UTF-7, the field's name +2AA- is a lone surrogate, which is no valid character.
    part = b'--b\r\nContent-Disposition: form-data; name="+2AA-"; filename="+2AA-"\r\n\r\nx\r\n--b--\r\n'
    for charset in ("utf-7", "unicode_escape", "undefined", "punycode", '"UTF-16"'):
        headers = {"Content-Type": f"multipart/form-data; Charset={charset}; boundary=b"}
        for path in ("/v1/experiments", "/v1/score"):
            refused = with_database.client.post(path, content=part, headers=headers)
            assert "send it in UTF-8" in problem(refused, 415)
    plain = with_database.client.post("/v1/experiments", content=b"x", headers={"Content-Type": "text/plain"})
    assert problem(plain, 415)
    assert counts(engine) == (0, 0)


def test_experiments_need_the_key(with_database: Any) -> None:
    for method in ("GET", "POST"):
        reply = httpx.request(method, f"{with_database.url}/v1/experiments", trust_env=False)
        assert "send the API key" in problem(reply, 401)


def test_a_large_body_is_refused(with_database: Any) -> None:
    connection = http.client.HTTPConnection(with_database.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/v1/experiments")
    connection.putheader("Content-Length", str(129 * 2**20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_pages_list_every_experiment_once_even_while_others_are_added(with_database: Any, engine: Engine) -> None:
    days = [date(2026, 10, 1 + n // 2) for n in range(13)]
    for number, day in enumerate(days):
        post(with_database, video_id=f"video_{number:05}", started_on=str(day))
    seen, cursor = [], None
    for _ in range(10):
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = with_database.client.get("/v1/experiments", params=query).json()
        seen += [(one["started_on"], one["experiment_id"]) for one in page["experiments"]]
        cursor = page["next_cursor"]
        post(with_database, video_id="video_later", started_on="2026-11-20")
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 13
    assert seen == sorted(seen, reverse=True)


def test_a_list_may_be_of_one_channel(with_database: Any, engine: Engine) -> None:
    other = "UC" + "b" * 22
    post(with_database)
    post(with_database, channel_id=other)
    page = with_database.client.get("/v1/experiments", params={"channel_id": other}).json()
    assert [one["channel_id"] for one in page["experiments"]] == [other]
    for cursor in ("999999.9999999999", "1.0"):
        page = with_database.client.get("/v1/experiments", params={"cursor": cursor})
        assert len(page.json()["experiments"]) == (2 if cursor > "5" else 0)
    none = with_database.client.get("/v1/experiments", params={"channel_id": "UC" + "c" * 22})
    assert none.json() == {"experiments": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", "limit: "),
        ("limit=101", "limit: "),
        ("limit=x", "limit: "),
        ("cursor=2026-11-01.5", "cursor: give the next_cursor"),
        ("cursor=x", "cursor: give the next_cursor"),
        ("cursor=", "cursor: give the next_cursor"),
        ("cursor=2026-11-01.5;DROP", "cursor: give the next_cursor"),
        ("channel_id=@me", "the service does not look up @handles"),
        ("channel_id=nobody", "channel_id: the lab knows no channel called 'nobody'"),
        ("channel_id=%ed%a0%80%00", "channel_id: "),
        ("channel=x", "channel: there is no such field; use channel_id"),
        ("limit=1&limit=2", "limit: the field is given twice"),
    ],
)
def test_a_query_that_is_not_as_documented_is_refused(with_database: Any, query: str, sentence: str) -> None:
    assert sentence in problem(with_database.client.get(f"/v1/experiments?{query}"))


def test_the_answer_does_not_name_the_bucket_if_the_image_store_is_away(
    with_database: Any, engine: Engine, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise StoreError("s3://secret-bucket/lab cannot be used for ab/cd (no connection)")

    monkeypatch.setattr(ImageFolder, "put", refuse)
    said = problem(upload(with_database, [draw(1), draw(2)]), 503)
    assert said == "a picture could not be stored: the image store cannot be used now; try again later"
