"""Let calls to this machine bypass the proxy.

The calls come from the packages requests, httpx, httplib2 and gRPC, and from child processes. All of them read
environment variables to find which hosts need no proxy. So the addresses of this machine, the loopback, are added to
these variables. The packages accept different forms of the loopback, so every form is added. requests and gRPC accept a
network, such as 127.0.0.0/8. httpx and httplib2 accept only addresses, and httpx refuses an address in brackets.
"""

import os
from collections.abc import MutableMapping

NAMES = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
"""The names and addresses of the loopback, by which this machine reaches itself. Each HTTP package accepts some of
these forms.
"""

_LISTS = ("no_proxy", "NO_PROXY", "no_grpc_proxy")
"""The environment variables that exclude hosts from the proxy. gRPC reads `no_grpc_proxy` first, if it is set."""


def bypass_proxy_for_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Add the loopback names to the `no_proxy` variables, and keep the user's own entries."""
    user_list = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    for name in _LISTS:
        if name == "no_grpc_proxy" and name not in environment:
            continue
        hosts = [host.strip() for host in (environment.get(name) or user_list).split(",") if host.strip()]
        # A `*` means every host only if it is the single entry of the list. So a list with a `*` is left unchanged.
        missing = [] if "*" in hosts else [host for host in NAMES if host not in hosts]
        environment[name] = ",".join([*hosts, *missing])
