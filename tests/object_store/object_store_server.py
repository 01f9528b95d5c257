"""Run an S3-compatible server in a process of its own, for tests that speak to it over a socket."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from thumblab_core.object_store.store_url import open_bucket, parse_store_url
from thumblab_core.releases.file_cache import FileCache
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope_objects import ObjectPlaces

_SERVER = Path(__file__).with_name("s3_server.py")

KEY, SECRET = "test-key", "very-secret-word"


@dataclass
class S3Server:
    """A moto server on `port`. Its objects are in its memory."""

    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, bucket: str, prefix: str = "lab/releases") -> str:
        """Make a bucket, and return the URL of a prefix in this bucket. The URL contains the credentials."""
        httpx.put(f"{self.endpoint}/{bucket}", trust_env=False).raise_for_status()
        return url_at(self.endpoint, bucket, prefix)


def url_at(endpoint: str, bucket: str, prefix: str = "lab/releases") -> str:
    return f"s3://{KEY}:{SECRET}@{bucket}/{prefix}?endpoint={endpoint}&region=us-east-1"


def object_places(url: str, cache: Path, limit: int = 2**30, fresh_s: float = 0.0) -> ObjectPlaces:
    return ObjectPlaces(open_bucket(parse_store_url(url)), FileCache(cache, limit), fresh_s)


def object_store(url: str, cache: Path) -> ReleaseStore:
    return ReleaseStore(object_places(url, cache))


@contextmanager
def running_s3(*options: str, port: int | None = None) -> Iterator[S3Server]:
    """Run an S3 server until the block ends. `options`: see the module `s3_server`."""
    if port is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(_SERVER), str(port), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                break
            except httpx.TransportError:
                assert process.poll() is None, "the S3 server has ended"
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield S3Server(port, process)
    finally:
        process.kill()
        process.wait()
