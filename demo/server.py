"""The HTTP/1.1 side of the emulator: a thread per connection, connections kept alive."""

import json
import socket
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from demo.pictures import missing
from demo.wire import ApiError, Json

_API = "/youtube/v3/"
_LARGEST_BODY = 1 << 20


class Site(Protocol):
    """What is served."""

    @property
    def date(self) -> str: ...

    def answer(self, endpoint: str, params: dict[str, list[str]]) -> Json: ...

    def picture(self, video_id: str, file: str) -> bytes | None: ...


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1; port 0 takes a free one."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, site: Site) -> None:
        self.site = site
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own would look its name up in the DNS, which takes seconds where there is no network
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):  # a client may go away at any time
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End the connections that clients keep alive."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "thumblab-demo"
    sys_version = ""
    timeout = 60
    wbufsize = -1  # an answer leaves in one piece; head and body apart would wait for each other's acknowledgement
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith(_API):
            self._api(url.path, parse_qs(url.query))
        else:
            self._picture(url.path)

    def do_POST(self) -> None:
        """A query too long for a URL comes as a form, with a header that says it means GET."""
        length = self.headers.get("Content-Length") or ""
        if not length.isascii() or not length.isdigit() or int(length) > _LARGEST_BODY:
            self.close_connection = True  # the body stays unread, so nothing after it can be understood
            self._error(ApiError(411, "contentLengthRequired", "A form of at most 1 MiB is needed.", "global"))
            return
        form = self.rfile.read(int(length)).decode("utf-8", "replace")
        url = urlsplit(self.path)
        if self.headers.get("X-HTTP-Method-Override") != "GET":
            self._error(ApiError(401, "required", "Login Required.", "global"))
            return
        self._api(url.path, parse_qs(url.query) | parse_qs(form))

    def _api(self, path: str, params: dict[str, list[str]]) -> None:
        try:
            answer = self.server.site.answer(path.removeprefix(_API), params)
        except ApiError as error:
            self._error(error)
        else:
            self._json(200, answer)

    def _picture(self, path: str) -> None:
        match path.split("/"):
            case ["", "vi", video_id, file]:
                picture = self.server.site.picture(video_id, file)
                self._send(200 if picture is not None else 404, "image/jpeg", missing() if picture is None else picture)
            case _:
                self._error(ApiError(404, "notFound", "Not Found", "global"))

    def _error(self, error: ApiError) -> None:
        self._json(error.status, error.body())

    def _json(self, status: int, body: Mapping[str, Any]) -> None:
        self._send(status, "application/json; charset=UTF-8", json.dumps(body, ensure_ascii=False, indent=1).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        del timestamp
        return self.server.site.date

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the counts say what was asked."""
