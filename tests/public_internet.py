"""A simulated internet on this machine: host names, public addresses, and https servers with certificates.

The tests cannot use real public hosts. Two functions of the standard library are therefore replaced while an `Internet`
is open. `socket.getaddrinfo` answers for the names of the internet, as a name server would. For a public address,
`socket.create_connection` connects to a server on the loopback. Everything else is real: the sockets, TLS, the
certificates and HTTP.
"""

import datetime
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answers = list[str] | Callable[[], list[str]]
"""The addresses of a name, or a function that returns them at each look-up."""


def _usage_of_authority() -> x509.KeyUsage:
    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    others = dict.fromkeys((*uses, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(key_cert_sign=True, crl_sign=True, **others)


class Authority:
    """A certificate authority. `certificates` is the file that a client has to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
        own = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(_usage_of_authority(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        self.certificates = folder / "authority.pem"
        signed = own.sign(self._key, hashes.SHA256())
        self.certificates.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return the TLS context of a server with a certificate for `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        signed = (
            self._builder(subject, key).add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{names[0]}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        # Python 3.13 refuses a certificate that does not identify the key of its authority.
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .add_extension(identifier, critical=False)
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )


class Internet:
    """Names, public addresses and https servers.

    `names` maps each name to its addresses. `servers` maps each address to the port of its server on the loopback.
    `looked_up` lists the names that the client has looked up. `connected` lists the hosts to which the client has
    connected on port 443.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.names: dict[str, Answers] = {}
        self.servers: dict[str, int] = {}
        self.looked_up: list[str] = []
        self.connected: list[str] = []
        self._running: list[http.server.HTTPServer] = []
        self._real_look_up = socket.getaddrinfo
        self._real_connect = socket.create_connection

    def serve(self, handler: type[http.server.BaseHTTPRequestHandler], addresses: Sequence[str], *names: str) -> None:
        """Run an https server at `addresses`. Its certificate is for `names`, and each name now leads to these
        addresses.
        """
        server = _Quiet(("127.0.0.1", 0), handler)
        server.tls = self.authority.server_context(*names)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._running.append(server)
        self.servers |= dict.fromkeys(addresses, server.server_port)
        self.names |= {name: list(addresses) for name in names}

    def close(self) -> None:
        for server in self._running:
            server.shutdown()
            server.server_close()

    def look_up(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer as `socket.getaddrinfo` does. For names outside the simulated internet, use the real resolver."""
        name = str(host).removesuffix(".")
        if name not in self.names:
            return self._real_look_up(host, port, *args, **kwargs)
        self.looked_up.append(str(host))
        answers = self.names[name]
        addresses = answers() if callable(answers) else answers
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [(f, socket.SOCK_STREAM, 6, "", (a, port)) for f, a in zip(families, addresses, strict=True)]

    def connect(self, address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        host, port = address
        if port == 443:
            self.connected.append(host)
        if port == 443 and host in self.servers:
            address = ("127.0.0.1", self.servers[host])
        elif port == 443 and host in self.names:
            # The client did not look up this name itself. The operating system would look up the name when it connects,
            # so this function imitates the look-up.
            address = ("127.0.0.1", self.servers[self.look_up(host, port)[0][4][0]])
        return self._real_connect(address, *args, **kwargs)


class _Quiet(http.server.ThreadingHTTPServer):
    tls: ssl.SSLContext
    daemon_threads = True

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The handshake takes place in the thread of the request, so that a silent client does not block the server.
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, *_: Any) -> None:
        """Print nothing, because many tests make the client disconnect early."""


@contextmanager
def open_internet(folder: Path) -> Iterator[Internet]:
    """Yield a simulated internet. This process uses it until the `with` block ends."""
    internet = Internet(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", internet.look_up)
        patch.setattr(socket, "create_connection", internet.connect)
        patch.setenv("SSL_CERT_FILE", str(internet.authority.certificates))
        yield internet
    internet.close()
