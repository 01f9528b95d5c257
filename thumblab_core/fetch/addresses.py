"""Decide whether an address is public: whether everybody on the internet can reach it."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import psutil

_IPV4_REFUSED = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # This network. Linux connects 0.0.0.0 to the machine itself.
            "10.0.0.0/8",  # Private.
            "100.64.0.0/10",  # Shared by the customers of a provider (CGNAT). Alibaba Cloud's metadata server is here.
            "127.0.0.0/8",  # Loopback.
            "168.63.129.16/32",  # Azure's host of a virtual machine. It looks like a public address.
            "169.254.0.0/16",  # Link-local. The metadata servers of AWS, Azure and Google Cloud are here.
            "172.16.0.0/12",  # Private.
            "192.0.0.0/24",  # Protocol assignments. Oracle Cloud's metadata server is here.
            "192.0.2.0/24",  # Documentation.
            "192.31.196.0/24",  # AS112, the name servers for private addresses.
            "192.52.193.0/24",  # Relays of multicast (AMT).
            "192.88.99.0/24",  # Relays of 6to4.
            "192.168.0.0/16",  # Private.
            "192.175.48.0/24",  # AS112.
            "198.18.0.0/15",  # Benchmarks. Some proxies and VPNs answer with these addresses.
            "198.51.100.0/24",  # Documentation.
            "203.0.113.0/24",  # Documentation.
            "224.0.0.0/4",  # Multicast.
            "240.0.0.0/4",  # Reserved, and the broadcast address.
        ),
    )
)
"""IPv4 networks that are not public. The source is IANA's IPv4 Special-Purpose Address Registry, and its Multicast
Address Space Registry. The lab does not use `ipaddress.is_global`, because it is true for multicast. Also, its answers
for some networks differ between releases of Python 3.11, 3.12 and 3.13.
"""

_IPV6_PUBLIC = IPv6Network("2000::/3")
"""The only IPv6 addresses that IANA assigns to public hosts (IPv6 Address Space Registry).

All forms that contain an IPv4 address, apart from the forms in `_IPV6_REFUSED`, are outside of this range: IPv4-mapped
(`::ffff:0:0/96`), IPv4-compatible (`::/96`), IPv4-translated (`::ffff:0:0:0/96`) and NAT64 (`64:ff9b::/96` and
`64:ff9b:1::/48`). Loopback, private (`fc00::/7`), link-local, site-local and multicast addresses are outside of this
range too.
"""

_IPV6_REFUSED = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Protocol assignments, benchmarks and ORCHID. Teredo addresses contain an IPv4 address.
            "2001:db8::/32",  # Documentation.
            "2002::/16",  # 6to4, which contains an IPv4 address.
            "2620:4f:8000::/48",  # AS112.
            "3fff::/20",  # Documentation.
        ),
    )
)
"""The parts of `_IPV6_PUBLIC` that are not public (IANA's IPv6 Special-Purpose Address Registry)."""

_ISATAP = 0x0000_5EFE
"""The upper half of the interface identifier of ISATAP, which contains an IPv4 address (RFC 5214). Two of these bits
may have any value.
"""

_SHORTEST_PREFIX = {4: 8, 6: 16}
"""The shortest prefix of a local network, in bits. Some tunnels claim that the whole internet is their local network.
"""

Network = IPv4Network | IPv6Network


def local_networks() -> list[Network]:
    """Return this machine's own addresses and the networks of its interfaces.

    A neighbour in such a network may have a public address, and still be behind the firewall that protects this machine
    from the internet. With IPv6, most homes have such neighbours.
    """
    networks: list[Network] = []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            try:
                own = ip_address(address.address.partition("%")[0])
            except ValueError:  # This is the hardware address of an interface, and not an IP address.
                continue
            prefix = int(ip_address(address.netmask)).bit_count() if address.netmask else own.max_prefixlen
            prefix = prefix if prefix >= _SHORTEST_PREFIX[own.version] else own.max_prefixlen
            networks.append(ip_network((str(own), prefix), strict=False))
    return networks


def is_address(host: str) -> bool:
    """Return whether `host` is an IP address in its usual notation, and not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str, local: Iterable[Network] = ()) -> bool:
    """Return whether `address` is a public address and in none of the networks `local`.

    Returns False for an IPv6 address with a zone (`%eth0`), and for a text that is not an address.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if any(parsed in network for network in local):
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _IPV4_REFUSED)
    return (
        parsed.scope_id is None
        and parsed in _IPV6_PUBLIC
        and not any(parsed in network for network in _IPV6_REFUSED)
        and not _contains_ipv4(parsed)
    )


def _contains_ipv4(address: IPv6Address) -> bool:
    upper_half = (int(address) >> 32) & 0xFFFF_FFFF
    return upper_half & ~0x0300_0000 == _ISATAP
