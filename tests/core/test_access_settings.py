"""Test the settings that determine who may use the scoring service.

An invalid value is reported with the name of its setting, and never allows more access.
"""

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from thumblab_core.settings import Settings


def test_the_service_is_closed_unless_a_setting_opens_it() -> None:
    chosen = Settings()
    assert chosen.public_names == frozenset()
    assert chosen.proxy_networks == ()
    assert chosen.allowed_origins == ()
    assert chosen.requests_per_minute is None


def test_lists_are_separated_by_commas_and_normalised() -> None:
    chosen = Settings(
        public_hosts=" Lab.Example.com, [::1] ,münchen.example,",
        trusted_proxies="127.0.0.1, 10.1.0.0/16 ,fd00::/8",
        cors_origins="https://App.example.com:443/, http://127.0.0.1:5173",
    )
    assert chosen.public_names == {"lab.example.com", "::1", "xn--mnchen-3ya.example"}
    assert chosen.proxy_networks == tuple(map(ip_network, ("127.0.0.1/32", "10.1.0.0/16", "fd00::/8")))
    assert chosen.allowed_origins == ("https://app.example.com", "http://127.0.0.1:5173")


@pytest.mark.parametrize(
    "value",
    ["https://lab.example.com", "lab.example.com:443", "lab.example.com/path", "*", "*.example.com", "a b", "a;b"],
)
def test_a_public_host_is_a_name_alone(value: str) -> None:
    with pytest.raises(ValidationError, match="is not a host; write a name or an address without scheme, port"):
        Settings(public_hosts=value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("*", "neither an address nor a network"),
        ("proxy.example.com", "neither an address nor a network"),
        ("10.1.2.3/16", "do you mean 10.1.0.0/16 or 10.1.2.3"),
        ("0.0.0.0/0", "would trust every address"),
        ("::/0", "would trust every address"),
        ("127.0.0.1:8080", "neither an address nor a network"),
        ("127.0.0.1;10.0.0.1", "neither an address nor a network"),
    ],
)
def test_a_trusted_proxy_is_an_address_or_a_network_but_not_everybody(value: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(trusted_proxies=value)


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "null",
        "app.example.com",
        "https://",
        "https://*.example.com",
        "https://app.example.com/path",
        "https://app.example.com?x",
        "https://user@app.example.com",
        "https://app.example.com:port",
        "https://app.example.com:99999",
        "file:///etc",
        "javascript:alert(1)",
    ],
)
def test_an_origin_is_scheme_host_and_port_and_never_a_star(value: str) -> None:
    with pytest.raises(ValidationError, match="is not an origin that can be allowed"):
        Settings(cors_origins=value)


@pytest.mark.parametrize("value", [0, -1, 1_000_001])
def test_a_rate_limit_is_at_least_one(value: int) -> None:
    with pytest.raises(ValidationError):
        Settings(requests_per_minute=value)
