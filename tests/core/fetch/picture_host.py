"""An image host for tests. The path of a request decides whether the host behaves well or badly."""

import gzip
import http.server
import threading
import time
from typing import Any


class Host:
    """An image host. The path of a request decides how the host answers. `asked` lists the requested paths."""

    def __init__(self) -> None:
        host = self
        self.asked: list[str] = []
        self.heard: list[dict[str, str]] = []
        self.sent = 0
        self.closing = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                host.heard.append(dict(self.headers.items()))
                getattr(self, self.path.strip("/"))()

            def picture(self) -> None:
                self._answer(200, b"picture")

            def page(self) -> None:
                """Answer with a page whose header says that it is a picture."""
                self._answer(200, b"<html>secret</html>", ("Content-Type", "image/jpeg"))

            def gone(self) -> None:
                self._answer(404, b"a valid JPEG, but not the one that was asked for")

            def moved(self) -> None:
                self.send_response(302)
                self.send_header("Location", "/picture")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def elsewhere(self) -> None:
                self._answer(301, b"", ("Location", "https://other.example/picture"))

            def loop(self) -> None:
                self._answer(302, b"", ("Location", "/loop"))

            def slow_loop(self) -> None:
                time.sleep(0.3)
                self._answer(307, b"", ("Location", "/slow_loop"))

            def nowhere(self) -> None:
                self._answer(302, b"")

            def endless_redirect(self) -> None:
                self.send_response(302)
                self.send_header("Location", "/picture")
                self.end_headers()
                for _ in range(2_000):
                    self.wfile.write(b"x" * 2**16)
                    host.sent += 2**16

            def endless(self) -> None:
                """Send a body of 125 MiB without stating its length. To the client, the body looks endless."""
                self.send_response(200)
                self.end_headers()
                for _ in range(2_000):
                    self.wfile.write(b"x" * 2**16)
                    host.sent += 2**16

            def bomb(self) -> None:
                self._answer(200, gzip.compress(b"\0" * 2**25), ("Content-Encoding", "gzip"))

            def silent(self) -> None:
                host.closing.wait(20)

            def drip(self) -> None:
                """Send one byte every 0.02 s. A timeout that starts again with each byte would not end this answer."""
                self.send_response(200)
                self.end_headers()
                self._slowly(b"x" * 2_000)

            def drip_headers(self) -> None:
                self._slowly(b"HTTP/1.1 200 OK\r\n" + b"X-Header: value\r\n" * 200)

            def _slowly(self, body: bytes) -> None:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.02)

            def tagged(self) -> None:
                tags = (("ETag", '"v1"'), ("Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT"))
                known = (
                    self.headers.get("If-None-Match") == '"v1"' or self.headers.get("If-Modified-Since") == tags[1][1]
                )
                self._answer(304 if known else 200, b"" if known else b"picture", *tags)

            def unasked(self) -> None:
                self._answer(304, b"")

            def busy(self) -> None:
                self._answer(429, b"", ("Retry-After", "7"))

            def busy_until(self) -> None:
                self._answer(503, b"", ("Retry-After", "Fri, 20 Nov 2026 12:01:30 GMT"))

            def oddly_busy(self) -> None:
                self._answer(503, b"", ("Retry-After", "soon"))

            def date_time_string(self, timestamp: float | None = None) -> str:
                return "Fri, 20 Nov 2026 12:00:00 GMT"

            def cut(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half")
                self.close_connection = True

            def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
                self.send_response(status)
                for name, value in (("Content-Length", str(len(body))), *headers):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                # Many tests make the client disconnect early. The server should not print an error each time.
                pass

        self.handler = Handler
        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
