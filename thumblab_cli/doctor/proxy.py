"""Check the proxies that are set in environment variables, such as `https_proxy`."""

import socket
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, error, fine, warning
from thumblab_core.loopback import NAMES

_SECONDS = 2.0
_SCHEMES = {"http", "https", "socks5", "socks5h"}
_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")


def proxy(examined: Examined) -> Iterator[Finding]:
    """Check the proxies that are set in environment variables.

    Each proxy must be usable and answer, and `no_proxy` must exclude this machine.
    """
    environment = examined.machine.environment
    proxies = {name: environment.get(name) or environment.get(name.upper()) or "" for name in _VARIABLES}
    proxies = {name: value for name, value in proxies.items() if value}
    if not proxies:
        yield fine("no proxy is set")
        return
    # All variables often name the same proxy, so each proxy is tried once.
    names = {value: [name for name in proxies if proxies[name] == value] for value in dict.fromkeys(proxies.values())}
    faults = [finding for value, of in names.items() for finding in _faults_of_proxy(" and ".join(of), value)]
    yield from faults
    missing = _not_excluded(environment)
    if missing:
        yield warning(
            f"no_proxy lacks {', '.join(missing)}: the lab's own programs do not use the proxy for these names, but curl, "
            f"dg and other programs send their requests to the lab's servers through the proxy",
            f"export no_proxy={','.join(NAMES)}",
        )
    elif not faults:
        yield fine(f"the proxy of {', '.join(proxies)} answers; this machine's own addresses do not use it")


def _faults_of_proxy(name: str, value: str) -> Iterator[Finding]:
    mend = f"correct or unset {name}"
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, _port(parts)
    except ValueError:
        yield error(f"{name} is not the address of a proxy", mend)
        return
    if parts.scheme not in _SCHEMES or not host:
        known = ", ".join(sorted(_SCHEMES))
        yield error(f"{name} has the scheme {parts.scheme}, but the lab supports only {known}", mend)
        return
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        yield error(
            f"the proxy {host}:{port} does not answer ({reason}), so YouTube and model hubs cannot be reached", mend
        )


def _port(parts: SplitResult) -> int:
    return parts.port or {"https": 443, "socks5": 1080, "socks5h": 1080}.get(parts.scheme, 80)


def _not_excluded(environment: Mapping[str, str]) -> list[str]:
    """Return the names of this machine, such as localhost, that `no_proxy` lacks."""
    excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = {host.strip() for host in excluded.split(",")}
    return [] if "*" in hosts else [name for name in ("127.0.0.1", "localhost") if name not in hosts]
