"""Who is asking: the peer's address, or what proxies of ours say of it.

X-Forwarded-For is read from the right, and only as far as TRUSTED_PROXIES wrote it; whatever a
client puts in front of that is never looked at. Neighbours share a prefix: IPv4 /24, IPv6 /64.
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
    """The addresses and networks of a setting, separated by commas; `none` is none.

    Raises:
        StartupError: one is neither.
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
    """Without a zone; an IPv4 address inside an IPv6 one (RFC 4291, 2.5.5.2) as IPv4."""
    try:
        current = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(current, ipaddress.IPv6Address) and current.ipv4_mapped is not None:
        return current.ipv4_mapped
    return current


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def get_network(address: Address) -> Network:
    return ipaddress.ip_network((address, _PREFIX_BITS[address.version]), strict=False)


class ClientAddresses:
    """`trusted` is TRUSTED_PROXIES.

    Raises:
        StartupError: it names something that is no address and no network.
    """

    def __init__(self, trusted: str) -> None:
        self.trusted = parse_networks(trusted, "TRUSTED_PROXIES")
        self._walk_hops_cached = lru_cache(maxsize=4096)(self._walk_hops)

    def is_trusted(self, address: str | None) -> bool:
        current = parse_address(address)
        return current is not None and is_within(current, self.trusted)

    def resolve(self, peer: str | None, forwarded: Sequence[bytes]) -> str | None:
        """The first address from the right that is not of a trusted proxy. `forwarded` are the
        X-Forwarded-For headers in their order. What cannot be read ends the walk: the proxy that
        wrote it counts as the one who asks."""
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
    """Of 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80, in quotes or not."""
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
