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
_MOST_HOPS = 16
_MOST_BYTES = 4096  # of the header; of a longer one only its end is read
_REMEMBERED_BYTES = 300


def networks(text: str, setting: str) -> tuple[Network, ...]:
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


def parsed(address: str | None) -> Address | None:
    """Without a zone; an IPv4 address inside an IPv6 one (RFC 4291, 2.5.5.2) as IPv4."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def is_within(address: Address, known: Sequence[Network]) -> bool:
    return any(address in network for network in known)


def network_of(address: Address) -> Network:
    return ipaddress.ip_network((address, _PREFIX_BITS[address.version]), strict=False)


class ClientAddresses:
    """`trusted` is TRUSTED_PROXIES.

    Raises:
        StartupError: it names something that is no address and no network.
    """

    def __init__(self, trusted: str) -> None:
        self.trusted = networks(trusted, "TRUSTED_PROXIES")
        self._remembered = lru_cache(maxsize=4096)(self._walked)

    def is_trusted(self, address: str | None) -> bool:
        found = parsed(address)
        return found is not None and is_within(found, self.trusted)

    def of(self, peer: str | None, forwarded: Sequence[bytes]) -> str | None:
        """The first address from the right that is not of a trusted proxy. `forwarded` are the
        X-Forwarded-For headers in their order. What cannot be read ends the walk: the proxy that
        wrote it counts as the one who asks."""
        header = b",".join(forwarded)
        if len(header) > _REMEMBERED_BYTES:
            return self._walked(peer, header[-_MOST_BYTES:])
        return self._remembered(peer, header)

    def _walked(self, peer: str | None, header: bytes) -> str | None:
        found = parsed(peer)
        if found is None:
            return peer
        for entry in reversed(header.decode("latin-1").split(",")[-_MOST_HOPS:]):
            if not is_within(found, self.trusted):
                break
            before = parsed(_without_port(entry.strip()))
            if before is None:
                break
            found = before
        return str(found)


def _without_port(entry: str) -> str:
    """Of 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80, in quotes or not."""
    entry = entry.strip('"')
    if entry.startswith("["):
        host, bracket, rest = entry[1:].partition("]")
        return host if bracket and (not rest or _is_port(rest)) else ""
    host, colon, port = entry.partition(":")
    if colon and ":" not in port:
        return host if _is_port(colon + port) else ""
    return entry


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
