"""The client's address: the peer's, or the one that trusted proxies forwarded.

X-Forwarded-For is read from the right, and only as far as TRUSTED_PROXIES wrote it; entries that a
client puts in front are ignored. Prefixes for the abuse watch are /24 (IPv4) and /64 (IPv6).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from services.errors import StartupError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PREFIX_BITS = {4: 24, 6: 64}
_MAX_HOPS = 16
_MAX_BYTES = 4096  # of the header; of a longer one only its end is read
_CACHED_BYTES = 300


def parse_networks(text: str, setting: str) -> tuple[Network, ...]:
    """Parse a setting's addresses and networks, separated by commas; `none` means no network.

    Raises:
        StartupError: a part is neither an address nor a network.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if [name.lower() for name in names] == ["none"]:
        return ()
    try:
        return tuple(ipaddress.ip_network(name) for name in names)
    except ValueError as error:
        raise StartupError(
            f"{setting}: {error}; name addresses and networks such as 10.0.0.0/8."
        ) from None


def parse_address(address: str | None) -> Address | None:
    """Parse an address without its zone; an IPv4-mapped IPv6 address becomes IPv4.

    Returns:
        The address, or None when it cannot be read.

    Source:
        RFC 4291, 2.5.5.2.
    """
    try:
        current = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(current, ipaddress.IPv6Address) and current.ipv4_mapped is not None:
        return current.ipv4_mapped
    return current


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of the networks contains the address."""
    return any(address in network for network in networks)


def get_network(address: Address) -> Network:
    """Return the address's prefix: IPv4 /24, IPv6 /64."""
    return ipaddress.ip_network((address, _PREFIX_BITS[address.version]), strict=False)


class ClientAddresses:
    """Resolver of client addresses behind trusted proxies.

    Args:
        trusted: TRUSTED_PROXIES.

    Raises:
        StartupError: `trusted` names something that is neither an address nor a network.
    """

    def __init__(self, trusted: str) -> None:
        self.trusted = parse_networks(trusted, "TRUSTED_PROXIES")
        self._walk_hops_cached = lru_cache(maxsize=4096)(self._walk_hops)

    def is_trusted(self, address: str | None) -> bool:
        """Whether the address belongs to a trusted proxy."""
        current = parse_address(address)
        return current is not None and is_within(current, self.trusted)

    def resolve(self, peer: str | None, forwarded: Sequence[bytes]) -> str | None:
        """Return the first address from the right that is not of a trusted proxy.

        An unreadable entry ends the walk: the proxy that wrote it counts as the client.

        Args:
            peer: address of the connection's other end.
            forwarded: the X-Forwarded-For headers in their order.
        """
        header = b",".join(forwarded)
        if len(header) > _CACHED_BYTES:
            return self._walk_hops(peer, header[-_MAX_BYTES:])
        return self._walk_hops_cached(peer, header)

    def _walk_hops(self, peer: str | None, header: bytes) -> str | None:
        current = parse_address(peer)
        if current is None:
            return peer
        for entry in reversed(header.decode("latin-1").split(",")[-_MAX_HOPS:]):
            if not is_within(current, self.trusted):
                break
            before = parse_address(_strip_port(entry.strip()))
            if before is None:
                break
            current = before
        return str(current)


def _strip_port(entry: str) -> str:
    """Strip the port of 192.0.2.1:80 or [2001:db8::1]:80, and quotes; empty if malformed."""
    entry = entry.strip('"')
    if entry.startswith("["):
        host, bracket, suffix = entry[1:].partition("]")
        return host if bracket and (not suffix or _is_port(suffix)) else ""
    host, colon, port = entry.partition(":")
    if colon and ":" not in port:
        return host if _is_port(colon + port) else ""
    return entry


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
