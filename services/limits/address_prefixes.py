"""Addresses of clients: cut short before they are stored (a neighbourhood, not a household), and
by household where they are counted."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_STORED_BITS = {4: 24, 6: 48}


def shorten_address(address: str | None) -> str | None:
    """IPv4 as its /24, IPv6 as its /48 (the rest zero); None for what is no address."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    network = ipaddress.ip_network((parsed, _STORED_BITS[parsed.version]), strict=False)
    return str(network.network_address)


@lru_cache(maxsize=4096)
def group_address(address: str | None) -> str:
    """Whose it is: IPv4 itself, IPv6 its /64, of which one household has all addresses."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address) + "/64"
