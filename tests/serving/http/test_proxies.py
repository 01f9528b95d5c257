"""Test the service behind a small reverse proxy of the tests, and behind nginx and Caddy where they are installed.

The proxies run on real sockets. nginx and Caddy get the configuration that docs/keys.md shows.
"""

import http.client
import json
import logging
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from local_server import Handler, local_server, url_of

KEY = "key-of-the-tests-0123456789"
NAME = "lab.example.com"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "keys.md"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CADDY = shutil.which("caddy")


@contextmanager
def proxy(service, keeps_host=True, **headers):
    """Run a reverse proxy in front of the service.

    The proxy adds the headers X-Forwarded-* to a request as Caddy does, and adds `headers`.
    """
    target = urlsplit(service.url)

    class Proxy(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.body()
            sent = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            host = self.headers["Host"]
            before = f"{sent['X-Forwarded-For']}, " if "X-Forwarded-For" in sent else ""
            sent |= {
                "Host": host if keeps_host else target.netloc,
                "X-Forwarded-For": before + self.client_address[0],
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": host,
            } | {name.replace("_", "-"): value for name, value in headers.items()}
            connection = http.client.HTTPConnection(target.hostname, target.port, timeout=10)
            connection.request(self.command, self.path, body, sent)
            reply = connection.getresponse()
            content = reply.read()
            self.send_response(reply.status)
            for name, value in reply.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        def do_POST(self):
            self.do_GET()

    with local_server(Proxy) as server:
        yield url_of(server)


@pytest.fixture
def serve(new_lab, run):
    return lambda **settings: run(new_lab(**settings).settings, wait=False)


@pytest.fixture
def client_of(caplog):
    """Return a function that finds the log line of a request, and returns the client's address in this line."""
    caplog.set_level(logging.INFO)

    def find(reply):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            # The service writes the log line after it has sent the answer, so wait for the line.
            for record in [record for record in caplog.records if record.name == "thumblab_serving.requests"]:
                line = json.loads(record.getMessage())
                if line["request"] == reply.headers["x-request-id"]:
                    return line["client"]
            time.sleep(0.01)
        raise AssertionError("the request was not logged")

    return find


def get(url, path="/health", host=NAME, **headers):
    return httpx.get(
        url + path,
        headers={"Host": host} | {name.replace("_", "-"): value for name, value in headers.items()},
        trust_env=False,
    )


def redirect(url, **headers):
    """Return the address to which the service redirects.

    The address has the scheme and the host that the service assumes for its own address.
    """
    reply = get(url, "/health/", **headers)
    assert reply.status_code == 307, reply.text
    return reply.headers["location"]


def test_without_the_setting_a_public_name_is_refused_and_the_answer_says_what_to_set(serve):
    with serve() as service, proxy(service) as url:
        reply = get(url)
    assert reply.status_code == 421
    assert "THUMBLAB_PUBLIC_HOSTS" in reply.json()["detail"]


def test_with_the_setting_the_service_answers_under_its_public_name_and_no_other(serve):
    with serve(public_hosts=f"{NAME},::1") as service, proxy(service) as url:
        assert get(url).status_code == 200
        assert get(url, host=f"{NAME.upper()}:8443").status_code == 200
        assert httpx.get(f"{service.url}/health", trust_env=False).status_code == 200
        for host in ("evil.example", f"{NAME}.evil.example", f"evil.{NAME}", ""):
            assert get(url, host=host).status_code == 421, host


def test_a_service_on_every_address_answers_to_every_name_until_names_are_set(serve):
    with serve(serving_host="0.0.0.0") as service:
        assert get(service.url, host="any.example").status_code == 200
    with serve(serving_host="0.0.0.0", public_hosts=NAME) as service:
        assert get(service.url).status_code == 200
        assert get(service.url, host="127.0.0.1").status_code == 200
        assert get(service.url, host="any.example").status_code == 421


@pytest.mark.parametrize("keeps_host", [True, False])
def test_a_trusted_proxy_states_the_address_of_the_client_the_scheme_and_the_host(serve, client_of, keeps_host):
    with (
        serve(public_hosts=NAME, trusted_proxies="127.0.0.1") as service,
        proxy(service, keeps_host, X_Forwarded_For="203.0.113.9") as url,
    ):
        assert redirect(url) == f"https://{NAME}/health"
        assert client_of(get(url)) == "203.0.113.9"


@pytest.mark.parametrize("trusted", ["", "10.1.0.0/16,::1"])
def test_the_headers_of_a_proxy_that_is_not_trusted_are_ignored(serve, client_of, trusted):
    with (
        serve(public_hosts=NAME, trusted_proxies=trusted) as service,
        proxy(service, X_Forwarded_For="203.0.113.9", X_Forwarded_Host="evil.example") as url,
    ):
        assert redirect(url) == f"http://{NAME}/health"
        assert client_of(get(url)) == "127.0.0.1"


def test_a_client_cannot_put_an_address_in_front_of_its_own(serve, client_of):
    with (
        serve(public_hosts=NAME, trusted_proxies="127.0.0.1,10.0.0.0/8") as service,
        proxy(service, X_Forwarded_For="198.51.100.7, 203.0.113.9, 10.2.3.4") as url,
    ):
        assert client_of(get(url)) == "203.0.113.9"


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("203.0.113.9, <script>", "127.0.0.1"),
        ("[2001:db8::7]evil.example", "127.0.0.1"),
        ("x" * 5_000, "127.0.0.1"),
    ],
)
def test_only_an_address_is_taken_for_the_client(serve, client_of, sent, logged):
    with (
        serve(public_hosts=NAME, trusted_proxies="127.0.0.1") as service,
        proxy(service, X_Forwarded_For=sent) as url,
    ):
        assert client_of(get(url)) == logged


@pytest.mark.parametrize("scheme", ["javascript", "wss", "ws", "", "https, http", "HTTPS\t"])
def test_an_invalid_scheme_is_ignored(serve, scheme):
    with (
        serve(public_hosts=NAME, trusted_proxies="127.0.0.1") as service,
        proxy(service, X_Forwarded_Proto=scheme) as url,
    ):
        assert redirect(url) == f"http://{NAME}/health"


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.1", ["Content-Length: 4", "Transfer-Encoding: chunked"]),
        ("1.1", ["Transfer-Encoding: chunked", "content-length: 44"]),
        ("1.0", ["Transfer-Encoding: chunked", "Connection: keep-alive"]),
    ],
)
def test_a_body_of_ambiguous_length_is_refused_and_no_request_is_read_after_it(service, version, headers):
    lines = [f"POST /v1/score HTTP/{version}", "Host: localhost", f"X-API-Key: {KEY}", *headers, "", "0", "", ""]
    smuggled = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(("\r\n".join(lines) + smuggled).encode())
        received = b""
        while part := connection.recv(65536):  # The service closes the connection.
            received += part
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"urn:thumblab:ambiguous-length" in received


def test_a_page_whose_name_was_rebound_to_this_machine_cannot_pretend_to_be_the_proxy(serve):
    with serve(public_hosts=NAME, trusted_proxies="127.0.0.1") as service:
        for host in ("evil.example", "", "127.0.0.1.evil.example", "[::1]evil.example"):
            assert get(service.url, host=host, X_Forwarded_Host=NAME).status_code == 421
        assert get(service.url, host=NAME, X_Forwarded_Host="evil.example").status_code == 421
        assert get(service.url, host="127.0.0.1", X_Forwarded_Host=f"{NAME}, evil.example").status_code == 421
        assert get(service.url, host="127.0.0.1", X_Forwarded_Host=f"evil.example, {NAME}").status_code == 200


def test_uvicorn_itself_trusts_no_headers(serve, client_of):
    with serve(public_hosts=NAME) as service:
        assert client_of(get(service.url, X_Forwarded_For="203.0.113.9")) == "127.0.0.1"
        assert redirect(service.url, X_Forwarded_Proto="https") == f"http://{NAME}/health"


# --- nginx and Caddy, with the configuration of docs/keys.md ---


def shown(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.S)[1]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def started(command, port, folder):
    log = folder / "proxy.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, cwd=folder, env=os.environ | {"HOME": str(folder)}
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


def walk_through(client, service, client_of):
    """Use the service through a proxy, as a browser and as a program does."""
    headers = {"Host": NAME, "X-API-Key": KEY}
    reply = client.get(
        "/health", headers=headers | {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Host": "evil.example"}
    )
    assert reply.status_code == 200
    # Caddy drops an X-Forwarded-For that the client has sent. nginx keeps this header, and appends the true address.
    assert client_of(reply) in ("127.0.0.1", "198.51.100.7")
    assert client.get("/", headers=headers).text.startswith("<!doctype html>")
    assert client.get("/health/", headers=headers).headers["location"].endswith(f"//{NAME}/health")
    body = json.dumps({"title": "t", "thumbnails": [{"id": "a", "image_base64": "A" * 20 * 2**20}]})
    posted = client.post("/v1/score", content=body, headers=headers | {"Content-Type": "application/json"})
    assert posted.headers["content-type"] == "application/problem+json", posted.text
    assert posted.status_code == 503  # The body has arrived: the status is 503 only because the service has no model.
    assert client.post("/v1/score", headers={"Host": NAME}).status_code == 401
    assert "ready" not in client.get("/health", headers={"Host": "evil.example"}).text


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_the_configuration_of_nginx_in_the_docs_works(serve, client_of, tmp_path):
    port, certificate, key = free_port(), tmp_path / "lab.pem", tmp_path / "lab.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext",
         f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    with serve(public_hosts=NAME, trusted_proxies="127.0.0.1") as service:
        server = shown("nginx")
        for written, used in {
            "listen 443": f"listen 127.0.0.1:{port}",
            "/etc/ssl/lab.example.com.pem": str(certificate),
            "/etc/ssl/lab.example.com.key": str(key),
            "http://127.0.0.1:8000": service.url,
        }.items():
            assert written in server
            server = server.replace(written, used)
        folders = " ".join(
            f"{name}_temp_path {tmp_path / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr; {'user root;' if os.getuid() == 0 else ''}\n"
            f"events {{}}\nhttp {{ access_log off; {folders}\n{server}}}\n"
        )
        command = [str(NGINX), "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", "stderr"]
        with started(command, port, tmp_path):
            trust = ssl.create_default_context(cafile=certificate)
            extensions = {"sni_hostname": NAME}
            with httpx.Client(
                base_url=f"https://127.0.0.1:{port}", verify=trust, trust_env=False, timeout=30
            ) as client:
                client.event_hooks["request"] = [lambda request: request.extensions.update(extensions)]
                walk_through(client, service, client_of)
                location = client.get("/health/", headers={"Host": NAME}).headers["location"]
            assert location == f"https://{NAME}/health"


@pytest.mark.skipif(CADDY is None, reason="Caddy is not installed")
def test_the_configuration_of_caddy_in_the_docs_works(serve, client_of, tmp_path):
    port = free_port()
    with serve(public_hosts=NAME, trusted_proxies="127.0.0.1") as service:
        site = shown("caddy")
        for written, used in {
            # For a host name without `http://`, Caddy would request a certificate from a public authority. The test
            # therefore adds `http://`.
            f"{NAME} {{": f"http://{NAME}:{port} {{",
            "127.0.0.1:8000": service.url.removeprefix("http://"),
        }.items():
            assert written in site
            site = site.replace(written, used)
        (tmp_path / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{site}")
        command = [str(CADDY), "run", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"]
        with (
            started(command, port, tmp_path),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
        ):
            walk_through(client, service, client_of)
