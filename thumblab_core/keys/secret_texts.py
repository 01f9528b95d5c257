"""Remove the secrets of the settings and of the environment from a text before a person sees it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from thumblab_core.errors import LabError

if TYPE_CHECKING:  # The settings import this package, so an import at run time would be circular.
    from thumblab_core.settings import Settings

_SHORTEST_SECRET = 4
"""The length of the shortest secret that is removed. A shorter text would also be a part of ordinary words."""


def secret_texts(settings: "Settings", environment: Mapping[str, str]) -> list[str]:
    """Return the texts that must not be shown to people, the longest first: keys, passwords, passwords in URLs."""
    from thumblab_core.keys.generated_key import kept_key

    values = [value for _, value in settings]
    texts = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    with suppress(LabError):  # If the lab cannot read a key, no text of the lab can contain the key.
        texts.append(kept_key(settings) or "")
    urls = [*texts, *(value for value in values if isinstance(value, str)), *environment.values()]
    passwords = [password for url in urls if "://" in url for password in _passwords(url)]
    return sorted({text for text in (*texts, *passwords) if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True)


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return the text with `***` in place of each secret."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _passwords(url: str) -> Iterator[str]:
    before, mark, _ = url.partition("://")[2].partition("?")[0].rpartition("@")
    password = before.partition(":")[2] if mark else ""
    yield from {password, unquote(password)}
    try:
        yield urlsplit(url).password or ""
    except ValueError:
        return
