"""Keep calls to this machine away from proxies, for every client: requests, httpx, httplib2, gRPC, and child processes.

All of them read a list of exceptions from the environment, so it can only be set there. Their rules differ, so the
loopback is listed in each form: requests and gRPC accept a network, httpx and httplib2 only addresses, and httpx refuses an
address in brackets.
"""

import os
from collections.abc import MutableMapping

NAMES = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
"""The loopback, in the forms that the clients understand."""

_LISTS = ("no_proxy", "NO_PROXY", "no_grpc_proxy")
"""The variables that clients read, in their order. gRPC reads its own first, where it is set."""


def bypass_proxy_for_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Add the loopback names to the `no_proxy` variables, and keep the user's own entries."""
    user_list = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    for name in _LISTS:
        if name == "no_grpc_proxy" and name not in environment:
            continue
        hosts = [host.strip() for host in (environment.get(name) or user_list).split(",") if host.strip()]
        # A * means every host only when it is the only entry.
        missing = [] if "*" in hosts else [host for host in NAMES if host not in hosts]
        environment[name] = ",".join([*hosts, *missing])
