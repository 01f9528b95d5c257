"""The HTTP/1.1 server of the emulator. The server keeps connections alive, and has a thread for each connection."""

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from demo.errors import ApiError
from demo.messages import Delivery, Reply, Request, error_reply

_LARGEST_BODY = 1 << 20  # bytes


class Site(Protocol):
    """The interface of the objects that a `Server` serves. A site answers requests, and gives the date."""

    @property
    def date(self) -> str: ...

    def respond(self, request: Request) -> Reply: ...


class Server(ThreadingHTTPServer):
    """A server on 127.0.0.1. If the port is 0, the operating system chooses a free port."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, site: Site) -> None:
        self.site = site
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer.server_bind looks up the host name in the DNS. Without a network, this takes seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client may disconnect at any time. The resulting error is not a fault of the server, so it is not printed.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Close all open connections."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # The client has already closed this connection.


class _Handler(BaseHTTPRequestHandler):
    """A translator between HTTP and the objects `Request` and `Reply`."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "thumblab-demo"
    sys_version = ""
    timeout = 60
    # -1 makes a buffer, so that the head and the body of an answer are sent together. If head and body were sent
    # separately, the body would wait until the client acknowledges the head.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._serve(Request("GET", unquote(url.path), parse_qs(url.query), self.headers))

    def do_POST(self) -> None:
        """Serve a POST.

        With the header `X-HTTP-Method-Override: GET`, the request is a GET whose query was too long for a URL. The
        query is in the body.
        """
        length = self.headers.get("Content-Length") or ""
        if not length.isascii() or not length.isdigit() or int(length) > _LARGEST_BODY:
            # The body is too long, or its length is unknown, so the body is not read. The connection is closed, because
            # the server would otherwise read the unread body as the next request.
            self.close_connection = True
            self._send(
                error_reply(
                    ApiError(411, "contentLengthRequired", "Send a form of at most 1 MiB as the body.", "global")
                )
            )
            return
        body = self.rfile.read(int(length))
        url = urlsplit(self.path)
        method, params = "POST", parse_qs(url.query)
        if self.headers.get("X-HTTP-Method-Override") == "GET":
            method, params = "GET", params | parse_qs(body.decode("utf-8", "replace"))
        self._serve(Request(method, unquote(url.path), params, self.headers, body))

    def _serve(self, request: Request) -> None:
        self._send(self.server.site.respond(request))

    def _send(self, reply: Reply) -> None:
        if reply.delivery is not Delivery.WHOLE:
            self.close_connection = True
        if reply.delivery is Delivery.NOTHING:
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        if reply.status != 304:
            self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.delivery is Delivery.HALF else reply.body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        del timestamp
        return self.server.site.date

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing, because `Emulator.counts` counts the requests."""
