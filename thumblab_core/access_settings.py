"""Define the settings for access to the scoring service: limits, host names, proxies and web pages.

`thumblab_core.setting_groups` has the other groups of settings.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from pydantic import field_validator
from pydantic_settings import BaseSettings

from thumblab_core.hosts import USUAL_PORTS, ascii_host, bare_host, host_in_url, split_authority
from thumblab_core.setting_groups import setting


class AccessSettings(BaseSettings):
    """Access to the scoring service."""

    requests_per_minute: int | None = setting(
        None,
        "How many requests a key may send per minute, if the key has no limit of its own. See "
        "[Keys and proxies](keys.md). If this is unset, there is no limit.",
        "requests",
        ge=1,
        le=1_000_000,
    )
    public_hosts: str = setting(
        "",
        "The names under which other machines reach the scoring service, separated by commas, such as "
        "`lab.example.com`. If this setting is set, the service refuses requests whose `Host` header has another "
        "name. The names of the service's own machine are always accepted.",
    )
    trusted_proxies: str = setting(
        "",
        "The addresses or networks of reverse proxies, separated by commas, such as `127.0.0.1,10.1.0.0/16`. The "
        "service ignores the headers `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` of requests from "
        "every other address.",
    )
    cors_origins: str = setting(
        "",
        "The origins of web pages that may call the scoring service from a browser, separated by commas, such as "
        "`https://app.example.com`.",
    )

    @field_validator("public_hosts")
    @classmethod
    def _normal_public_hosts(cls, value: str) -> str:
        return ",".join(map(_public_host, _parts(value)))

    @field_validator("trusted_proxies")
    @classmethod
    def _normal_proxies(cls, value: str) -> str:
        return ",".join(str(_network(part)) for part in _parts(value))

    @field_validator("cors_origins")
    @classmethod
    def _normal_origins(cls, value: str) -> str:
        return ",".join(map(_origin, _parts(value)))

    @property
    def public_names(self) -> frozenset[str]:
        """The host names in `public_hosts`."""
        return frozenset(_parts(self.public_hosts))

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks in `trusted_proxies`. A single address is a network of one address."""
        return tuple(map(ip_network, _parts(self.trusted_proxies)))

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins in `cors_origins`, in the form of the header `Origin`."""
        return tuple(_parts(self.cors_origins))


def _parts(value: str) -> Iterator[str]:
    return (part.strip() for part in value.split(",") if part.strip())


def _public_host(text: str) -> str:
    """Return a host name in the form of the `Host` header. Raises ValueError if `text` is not a host."""
    try:
        # In the header `Host`, letters outside ASCII are in Punycode, so the name is converted to Punycode.
        return bare_host(ascii_host(text))
    except ValueError:
        raise ValueError(
            f"{text} is not a host; write a name or an address without scheme, port and path, such as lab.example.com"
        ) from None


def _network(text: str) -> IPv4Network | IPv6Network:
    """Return the network that `text` names. Raises ValueError if `text` is not a network, or contains every address."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text} is neither an address nor a network{_hint(text)}; write addresses such as 127.0.0.1, or networks "
            "such as 10.1.0.0/16"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"{text} would trust every address; write only the addresses of your proxies")
    return network


def _hint(text: str) -> str:
    """Return a hint if `text` is an address followed by the prefix length of a network. For 10.1.2.3/16, the hint
    suggests 10.1.0.0/16 or 10.1.2.3.
    """
    try:
        return f" (do you mean {ip_network(text, strict=False)} or {ip_address(text.partition('/')[0])}?)"
    except ValueError:
        return ""


def _origin(text: str) -> str:
    """Return an origin in the form of the header `Origin`: without the usual port of its scheme.

    Raises ValueError if `text` is not an origin, or is `*`. With `*`, every web page could send requests to the service
    from the browser of its visitor.
    """
    try:
        parts = urlsplit(text)
        host, port = split_authority(parts.netloc)
        is_origin = parts.scheme in USUAL_PORTS and not (parts.path.strip("/") or parts.query or parts.fragment)
        if not is_origin:
            raise ValueError
        usual = USUAL_PORTS[parts.scheme]
        return f"{parts.scheme}://{host_in_url(_public_host(host), None if port in (None, usual) else port)}"
    except ValueError:
        example = "write scheme, host and port only, such as https://app.example.com or http://127.0.0.1:5173"
        every = "every page would be allowed; " if text == "*" else ""
        raise ValueError(f"{text} is not an origin that can be allowed; {every}{example}") from None
