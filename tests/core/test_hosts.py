"""Test how the lab reads hosts, ports and URLs.

A text is refused if two programs may read it as different hosts.
"""

import pytest

from thumblab_core.fetch.answers import RefusedError
from thumblab_core.fetch.targets import parse
from thumblab_core.hosts import is_loopback, named_host, split_authority, url_host
from thumblab_core.settings import Settings

AMBIGUOUS = [
    "[::1]evil.example",
    "[::1]evil.example:80",
    "evil.example[::1]",
    "[::1",
    "::1]",
    "::1",
    "[[::1]]",
    "[evil.example]",
    "127.0.0.1 evil.example",
    "127.0.0.1\\@evil.example",
    "127.0.0.1\\.evil.example",
    "127.0.0.1#evil.example",
    "user@127.0.0.1",
    "127.0.0.1:80:80",
    "127.0.0.1:-80",
    "127.0.0.1:+80",
    "127.0.0.1:８０",
    "127.0.0.1:65536",
    "127.0.0.1:80evil",
    "localhost, evil.example",
]


@pytest.mark.parametrize("text", [*AMBIGUOUS, "", ":80"])
def test_text_that_is_not_a_host_with_a_port_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"neither a host|no port|Octet|At least|At most|not permitted|not the number of a port"
    ):
        split_authority(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LocalHost", ("localhost", None)),
        ("localhost:", ("localhost", None)),
        ("lab.example.com:443", ("lab.example.com", 443)),
        ("[::1]", ("::1", None)),
        ("[0:0::1]:8000", ("::1", 8000)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
    ],
)
def test_a_host_is_read_with_its_port(text: str, expected: tuple[str, int | None]) -> None:
    assert split_authority(text) == expected


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_no_setting_and_no_url_takes_an_ambiguous_host(text: str) -> None:
    if text != "::1":  # A list of hosts may contain an IP address such as this.
        with pytest.raises(ValueError, match="is not a host"):
            named_host(text)
    with pytest.raises(ValueError, match="is not an origin that can be allowed"):
        Settings(cors_origins=f"http://{text}")
    assert not is_loopback(url_host(f"http://{text}/")) or "@" in text or "#" in text
    if "#" not in text:  # A URL may have a fragment, which clients do not send.
        with pytest.raises(RefusedError, match=r"not a URL|credentials"):
            parse(f"https://{text}/a.jpg")


@pytest.mark.parametrize("text", ["\u00fc" * 64 + ".example", "a_\u00fc.example", "\u00fc..example"])
def test_a_name_without_an_ascii_form_is_not_a_host(text: str) -> None:
    for given in (text, f"{text}:8000", f"https://{text}"):
        with pytest.raises(ValueError, match="is not a host"):
            named_host(given)
    with pytest.raises(ValueError, match="is not a host"):
        Settings(public_hosts=text)


def test_a_public_host_gets_the_form_that_browsers_send() -> None:
    assert Settings(public_hosts="stra\u00dfe.example").public_hosts == "xn--strae-oqa.example"
