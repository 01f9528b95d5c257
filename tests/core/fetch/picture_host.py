"""An image host for tests. The path of a request determines whether the answer is good or bad."""

import gzip
import threading
import time
from http.server import HTTPServer

from local_server import Handler


class Host:
    """An image host. The path of a request determines the answer. `asked` lists the requested paths."""

    def __init__(self) -> None:
        host = self
        self.asked: list[str] = []
        self.heard: list[dict[str, str]] = []
        self.sent = 0
        self.closing = threading.Event()
        self.name = ""
        self.server: HTTPServer

        class Answers(Handler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                host.heard.append(dict(self.headers.items()))
                getattr(self, self.path.strip("/"))()

            def picture(self) -> None:
                self.reply(200, b"picture")

            def page(self) -> None:
                """Answer with an HTML page, although the header of the answer states the media type image/jpeg."""
                self.reply(200, b"<html>secret</html>", Content_Type="image/jpeg")

            def gone(self) -> None:
                self.reply(404, b"a valid JPEG, but not the one that was asked for")

            def moved(self) -> None:
                self.reply(302, Location="/picture")

            def elsewhere(self) -> None:
                self.reply(301, Location="https://other.example/picture")

            def loop(self) -> None:
                self.reply(302, Location="/loop")

            def slow_loop(self) -> None:
                time.sleep(0.3)
                self.reply(307, Location="/slow_loop")

            def nowhere(self) -> None:
                self.reply(302)

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
                self.reply(200, gzip.compress(b"\0" * 2**25), Content_Encoding="gzip")

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
                tags = {"ETag": '"v1"', "Last-Modified": "Fri, 20 Nov 2026 10:00:00 GMT"}
                known = (
                    self.headers.get("If-None-Match") == '"v1"'
                    or self.headers.get("If-Modified-Since") == tags["Last-Modified"]
                )
                self.reply(304 if known else 200, b"" if known else b"picture", **tags)

            def unasked(self) -> None:
                self.reply(304)

            def busy(self) -> None:
                self.reply(429, Retry_After="7")

            def busy_until(self) -> None:
                self.reply(503, Retry_After="Fri, 20 Nov 2026 12:01:30 GMT")

            def oddly_busy(self) -> None:
                self.reply(503, Retry_After="soon")

            def date_time_string(self, timestamp: float | None = None) -> str:
                return "Fri, 20 Nov 2026 12:00:00 GMT"

            def cut(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half")
                self.close_connection = True

        self.handler = Answers
