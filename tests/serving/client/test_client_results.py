"""Test that the client reads the results of a batch as they arrive."""

import asyncio
import json
import threading

import pytest
from local_server import Handler, local_server, url_of

from thumblab_client import AsyncClient, Client, InvalidRequestError, NoAnswerError, UnexpectedAnswerError
from thumblab_client.batches import ResultLines

LINES = [json.dumps({"item": n, "id": f"i\u2028{n}", "error": "e"}, ensure_ascii=False).encode() for n in (1, 2, 3)]


def test_a_line_is_a_result_as_soon_as_its_last_byte_has_arrived():
    lines = ResultLines()
    whole = b"\n".join(LINES) + b"\n"
    arrived = [[result.item for result in lines.feed(whole[at : at + 1])] for at in range(len(whole))]
    assert [items for items in arrived if items] == [[1], [2], [3]]
    assert arrived[len(LINES[0])] == [1]
    assert list(lines.feed(b"\n")) == []
    with pytest.raises(UnexpectedAnswerError, match="line 5 of the results is not JSON"):
        list(lines.feed(b"{\n"))


@pytest.fixture
def slow_service():
    """A service that sends the first result of a batch, and then waits for the event `go_on`.

    After the event, it sends the other results. If the event `breaks` is set, it closes the connection instead.
    """
    go_on, breaks = threading.Event(), threading.Event()

    class Slow(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = b"\n".join(LINES) + b"\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body[: len(LINES[0]) + 1])
            self.wfile.flush()
            go_on.wait(30)
            if not breaks.is_set():
                self.wfile.write(body[len(LINES[0]) + 1 :])

    with local_server(Slow) as server:
        server.go_on, server.breaks, server.url = go_on, breaks, url_of(server)
        yield server
        go_on.set()


def test_the_first_result_is_there_before_the_last_is_sent(slow_service):
    with Client(slow_service.url, "key") as client:
        results = client.batch_results("a")
        assert next(results).item == 1
        slow_service.go_on.set()
        assert [result.id for result in results] == ["i\u20282", "i\u20283"]


def test_the_first_result_is_there_before_the_last_is_sent_by_coroutines(slow_service):
    async def read():
        async with AsyncClient(slow_service.url, "key") as client:
            results = client.batch_results("a")
            first = await anext(results)
            slow_service.go_on.set()
            return [first.item, *[result.item async for result in results]]

    assert asyncio.run(read()) == [1, 2, 3]


def test_a_connection_that_breaks_between_the_results_is_an_error(slow_service):
    slow_service.breaks.set()
    with Client(slow_service.url, "key") as client:
        results = client.batch_results("a")
        assert next(results).item == 1
        slow_service.go_on.set()
        with pytest.raises(NoAnswerError):
            list(results)


def test_the_results_of_an_unknown_batch_are_an_error(client):
    with pytest.raises(InvalidRequestError, match="no such batch"):
        next(client.batch_results("0" * 32))
