"""Prefixes of client addresses: short ones for storage, one per household for counting."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_STORED_BITS = {4: 24, 6: 48}


def shorten_address(address: str | None) -> str | None:
    """Shorten an address for storage: IPv4 to its /24, IPv6 to its /48, other bits zero.

    Returns:
        The network's address, or None when `address` is not an address.
    """
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
    """Group addresses for counting: IPv4 itself; IPv6 by /64, which one household owns.

    Returns:
        Such as `192.0.2.1` or `2001:db8::/64`; `unknown` when `address` is not an address.
    """
    return _group(address, 64)


@lru_cache(maxsize=4096)
def group_household(address: str | None) -> str:
    """Group addresses for locks: IPv4 itself; IPv6 by /56, all that providers give a household.

    Returns:
        Such as `192.0.2.1` or `2001:db8::/56`; `unknown` when `address` is not an address.
    """
    return _group(address, 56)


def _group(address: str | None, ipv6_bits: int) -> str:
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, ipv6_bits), strict=False))
