"""Calls to this machine go through no proxy, whichever client makes them: requests, httpx, httplib2, gRPC, and children.

All of them read the same list from the environment. Their rules differ, so each form is named: requests and gRPC take a
network, httpx and httplib2 only addresses, and httpx refuses an address in brackets.
"""

import os
from collections.abc import MutableMapping

NAMES = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")

_LISTS = ("no_proxy", "NO_PROXY", "no_grpc_proxy")
"""Clients read the first one first. gRPC reads its own before them, where there is one."""


def spare_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Complete the list of hosts that no proxy is asked for; what a person put into it stays."""
    wanted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    for name in _LISTS:
        if name == "no_grpc_proxy" and name not in environment:
            continue
        there = [host.strip() for host in (environment.get(name) or wanted).split(",") if host.strip()]
        more = [] if "*" in there else [host for host in NAMES if host not in there]  # beside others a * means nothing
        environment[name] = ",".join([*there, *more])
