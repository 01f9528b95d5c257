"""Read the URL of an object store, and open the store that it names."""

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from thumblab_core.errors import LabError
from thumblab_core.object_store.bucket import Bucket

_SCHEMES = ("s3", "gs", "az")
_S3_OPTIONS = ("endpoint", "region")
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")

QUICK = {"connect_timeout": "2s", "timeout": "5s"}
"""The time limits of a request for a small object. A reader of a pointer must learn soon that the store cannot be
reached.
"""
BULK = {"connect_timeout": "5s", "timeout": "5m"}
"""The time limits of a request for one part of a large object."""


@dataclass(frozen=True)
class StoreUrl:
    """The URL of a folder in an object store: `s3://[KEY:SECRET@]BUCKET[/PREFIX][?endpoint=URL&region=REGION]`.

    `gs://BUCKET/PREFIX` and `az://CONTAINER/PREFIX` have no credentials and no options. `str` shows no credentials.
    """

    scheme: str
    bucket: str
    prefix: str
    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    region: str | None = None

    @property
    def place(self) -> tuple[str, str, str, str]:
        """The scheme, the host of the endpoint, the bucket and the prefix. Together they identify a folder.

        The host contains no credentials. It is "" if the store has its usual endpoint.
        """
        endpoint = self.endpoint_here() if self.scheme == "s3" else None
        host = urlsplit(endpoint).netloc.rpartition("@")[2] if endpoint else ""
        return self.scheme, host, self.bucket, self.prefix

    def endpoint_here(self) -> str | None:
        """Return the endpoint in the URL. Without one, return the endpoint in this process's environment, or None."""
        return self.endpoint or next(filter(None, map(os.environ.get, _ENDPOINT_VARIABLES)), None)

    def overlaps(self, other: "StoreUrl") -> bool:
        """Return whether one of the two folders contains the other."""
        if self.place[:3] != other.place[:3]:
            return False
        mine, its = (url.prefix.split("/") if url.prefix else [] for url in (self, other))
        return all(part == same for part, same in zip(mine, its, strict=False))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def parse_store_url(text: str, what: str = "release store") -> StoreUrl:
    """Return the parts of a URL. `what`: what the URL is for. A `LabError` never shows the URL with its secrets."""
    try:
        parts = urlsplit(text)
        named = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise LabError(f"the URL of the {what} cannot be read; write s3://BUCKET/PREFIX") from None
    if parts.scheme not in _SCHEMES:
        raise LabError(
            f"the URL of the {what} must begin with s3://, gs:// or az://; for a folder on a disk, leave "
            f"THUMBLAB_{what.upper().replace(' ', '_')} unset"
        )
    _, _, bucket = parts.netloc.rpartition("@")
    prefix = parts.path.strip("/")
    if not bucket or ":" in bucket or parts.fragment or any(part in ("", ".", "..") for part in prefix.split("/")[:-1]):
        raise LabError(f"the URL of the {what} has no valid bucket or prefix; write {parts.scheme}://BUCKET/PREFIX")
    has_credentials = "@" in parts.netloc
    if parts.scheme != "s3" and (has_credentials or named):
        raise LabError(
            f"the URL of a {parts.scheme}:// store may have neither credentials nor options; give them in the variables of "
            "the environment that docs/object-store.md lists"
        )
    if has_credentials and not (parts.username and parts.password):
        raise LabError(f"the URL of the {what} lacks the key or the secret; write s3://KEY:SECRET@...")
    if unknown := sorted(set(named) - set(_S3_OPTIONS)):
        raise LabError(
            f"unknown options in the URL of the {what}: {len(unknown)}; use only {' and '.join(_S3_OPTIONS)}"
        )
    return StoreUrl(
        parts.scheme,
        bucket,
        prefix,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        named.get("endpoint"),
        named.get("region"),
    )


def open_bucket(url: StoreUrl, quick: dict[str, str] = QUICK) -> Bucket:
    """Return the folder in an object store to which a URL points. No request is sent yet.

    `quick`: the time limits of a request for a small object.

    Raises `LabError` if the package of the object stores is not installed, or if the configuration cannot be used.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError:
        raise LabError(
            f"{url} cannot be used, because the package obstore is not installed; pip install 'thumblab[object-store]'"
        ) from None
    endpoint = url.endpoint_here()
    config: Any = {"endpoint": url.endpoint, "region": url.region}
    config |= {"access_key_id": url.key, "secret_access_key": url.secret}
    config = {name: value for name, value in config.items() if value is not None}

    def store(limits: dict[str, str], seconds: int) -> Any:
        options: Any = {**limits, "allow_http": bool(endpoint and endpoint.startswith("http://"))}
        retries: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=seconds)}
        named: dict[str, Any] = {"prefix": url.prefix or None, "client_options": options, "retry_config": retries}
        if url.scheme == "gs":
            return GCSStore(url.bucket, **named)
        if url.scheme == "az":
            return AzureStore(url.bucket, **named)
        return S3Store(url.bucket, config=config, **named)

    try:
        return Bucket(store(quick, 5), store(BULK, 600), str(url))
    except (BaseError, ValueError) as error:
        # The text of the error may contain a value of the configuration, so only its type is shown.
        raise LabError(
            f"{url} cannot be opened ({type(error).__name__}); check the environment variables of the store"
        ) from None
