"""Test how `Client` and `AsyncClient` compare packages and send batches. The service is real."""

import asyncio
import inspect

import pytest
from local_server import Handler, local_server, url_of

from thumblab_client import (
    AsyncClient,
    Client,
    InvalidRequestError,
    Item,
    Patience,
    Picture,
    PictureError,
    StillRunningError,
    ThumblabError,
)

KEY = "key-of-the-tests-0123456789"
TITLES = ["I tested every phone under $200", "Do not buy this phone"]


def asynchronously(service, work):
    """Call `work` with an `AsyncClient`, run the coroutine that `work` returns, and return its result."""

    async def run():
        async with AsyncClient(service.url, KEY) as client:
            return await work(client)

    return asyncio.run(run())


async def listed(results):
    return [result async for result in results]


def test_both_clients_have_the_same_methods_with_the_same_parameters():
    def methods(kind):
        found = {name: method for name, method in vars(kind).items() if callable(method) and name[0] != "_"}
        return {name: list(inspect.signature(method).parameters) for name, method in found.items()}

    assert methods(Client) == methods(AsyncClient)


def test_titles_and_pictures_are_compared_as_packages(client, service, files):
    own = Picture.from_file(files[2], title="A title of its own")
    answers = [
        client.packages(TITLES, [files[0], own], categories=["tech", "news"]),
        asynchronously(service, lambda c: c.packages(TITLES, [files[0], own], categories=["tech", "news"])),
        # A name with quotation marks does not fit into a form, so this request is sent as JSON.
        client.packages(TITLES, [Picture('"a"', files[0].read_bytes()), own], categories=["tech", "news"]),
    ]
    for answer in answers:
        grid = [(package.title, package.thumbnail) for package in answer.packages.grid]
        first = answer.thumbnails[0].id
        assert grid == [(TITLES[0], first), (TITLES[1], first), ("A title of its own", "p2.jpg")]
        assert [other.niche for other in answer.other_niches] == ["news"]


def test_a_batch_is_stored_followed_read_listed_and_deleted(client, service, files):
    items = [
        Item("one", TITLES[0], files[:2], categories="tech"),
        Item("two", TITLES, files[:1], channel_id="UCown"),
        Item("bad", TITLES[0], [Picture("text", b"no picture")]),
    ]
    batch = client.store_batch(items, idempotency_key="client-1", deadline_s=3_600)
    assert client.store_batch(items, idempotency_key="client-1", deadline_s=3_600).id == batch.id
    done = client.wait_for_batch(batch.id, every_s=0.05)
    assert (done.state, done.done, done.failed) == ("done", 3, 1)
    results = list(client.batch_results(batch.id))
    assert [(result.item, result.id) for result in results] == [(1, "one"), (2, "two"), (3, "bad")]
    alone = client.score(TITLES[0], files[:2], category="tech")
    assert results[0].answer.winner == alone.winner
    assert len(results[1].answer.packages.grid) == 2
    assert results[2].answer.thumbnails[0].error
    assert asynchronously(service, lambda c: listed(c.batch_results(batch.id))) == results
    assert client.batches(limit=1).batches == [done]
    assert done in list(client.all_batches())
    assert client.delete_batch(batch.id) is None
    with pytest.raises(InvalidRequestError, match="no such batch"):
        client.batch(batch.id)


def test_the_same_by_coroutines(service, files):
    async def walk(client):
        batch = await client.store_batch([Item("one", TITLES[0], files[:1])])
        done = await client.wait_for_batch(batch.id, every_s=0.05)
        listed = [one async for one in client.all_batches()]
        page = await client.batches(limit=1)
        cancelled = await client.cancel_batch(batch.id)
        await client.delete_batch(batch.id)
        return done, listed, page, cancelled

    done, listed, page, cancelled = asynchronously(service, walk)
    assert done.state == cancelled.state == "done"
    assert page.batches == [done] == [one for one in listed if one.id == done.id]


def test_a_running_batch_differs_from_an_ended_one_and_can_be_cancelled(client, service, files):
    # While this request is open, each picture of a batch waits for five seconds.
    with service.app.state.foreground.request():
        batch = client.store_batch([Item("one", TITLES[0], files)])
        with pytest.raises(StillRunningError, match=f"the batch {batch.id} has 0 of 1 results after 0 s"):
            client.wait_for_batch(batch.id, every_s=0.01, timeout_s=0)
        with pytest.raises(TimeoutError):
            asynchronously(service, lambda c: c.wait_for_batch(batch.id, every_s=0.01, timeout_s=0))
        assert client.cancel_batch(batch.id).state in ("cancelling", "cancelled")
        assert client.wait_for_batch(batch.id, every_s=0.05, timeout_s=30).state == "cancelled"
    assert list(client.batch_results(batch.id)) == []
    client.delete_batch(batch.id)


def test_an_input_that_cannot_be_sent_is_an_error_before_anything_is_sent(client):
    with pytest.raises(PictureError, match="give at least one picture"):
        client.store_batch([Item("one", TITLES[0], [])])
    for wrong in ("", "../api-key", "a/b", "?x"):
        with pytest.raises(ThumblabError, match="is not the id of a batch"):
            client.batch(wrong)


def test_a_long_or_misleading_name_becomes_an_id_that_the_service_takes(client, tmp_path, draw):
    names = [f"{'long ' * 40}one.jpg", "a\u202eb.jpg"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(draw(number))
    answer = client.score(TITLES[0], [tmp_path / name for name in names])
    first, second = (thumbnail.id for thumbnail in answer.thumbnails)
    assert (len(first), first[0], first[-7:]) == (128, "…", "one.jpg")
    assert second == "a?b.jpg"


@pytest.fixture
def losing_proxy(service):
    """The address of a proxy in front of the service.

    The proxy closes the first connection after the service has answered, so the answer is lost.
    """
    lost = []

    class Losing(Handler):
        def do_DELETE(self):
            reply = service.client.delete(self.path)
            if not lost:
                lost.append(reply.status_code)
                return
            self.reply(reply.status_code, reply.content)

    with local_server(Losing) as server:
        yield url_of(server)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_repeated_deletion_succeeds_and_deleting_an_unknown_batch_is_an_error(client, files, losing_proxy, kind):
    batch = client.store_batch([Item("one", TITLES[0], files[:1])])
    patience = Patience(retries=1)

    async def delete():
        async with AsyncClient(losing_proxy, KEY, patience=patience) as through:
            await through.delete_batch(batch.id)

    if kind is AsyncClient:
        asyncio.run(delete())
    else:
        with Client(losing_proxy, KEY, patience=patience) as through:
            through.delete_batch(batch.id)
    with pytest.raises(InvalidRequestError, match="no such batch"):
        client.delete_batch(batch.id)
