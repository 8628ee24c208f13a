"""Who is asking: the peer, or what trusted proxies say; never what a client says of itself."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import StartupError
from services.limits.client_address import (
    ClientAddresses,
    get_network,
    parse_address,
    parse_networks,
)

PROXIES = "10.0.0.0/8, 2001:db8:ffff::/48, 192.0.2.250"


def resolve_client(peer: str | None, *forwarded: str, trusted: str = PROXIES) -> str | None:
    return ClientAddresses(trusted).resolve(peer, [one.encode("latin-1") for one in forwarded])


def test_without_trusted_proxies_the_header_is_not_read() -> None:
    assert resolve_client("203.0.113.9", "198.51.100.1", trusted="") == "203.0.113.9"
    assert resolve_client("127.0.0.1", "198.51.100.1", trusted="") == "127.0.0.1"
    assert resolve_client("10.0.0.1", "198.51.100.1", trusted="none") == "10.0.0.1"


def test_a_strangers_header_is_not_read() -> None:
    assert resolve_client("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    assert resolve_client("203.0.113.9", "10.0.0.1, 10.0.0.2") == "203.0.113.9"


def test_one_proxy_names_its_client() -> None:
    assert resolve_client("10.0.0.1", "203.0.113.9") == "203.0.113.9"


def test_what_a_client_put_in_front_is_not_believed() -> None:
    assert resolve_client("10.0.0.1", "1.1.1.1, 8.8.8.8, 203.0.113.9") == "203.0.113.9"
    assert resolve_client("10.0.0.1", "10.9.9.9, 203.0.113.9") == "203.0.113.9"
    assert resolve_client("10.0.0.1", "127.0.0.1", "203.0.113.9") == "203.0.113.9"


def test_two_proxies_in_a_row_are_walked_through() -> None:
    assert resolve_client("10.0.0.1", "6.6.6.6, 203.0.113.9, 192.0.2.250") == "203.0.113.9"
    # as well in two headers
    assert resolve_client("10.0.0.1", "6.6.6.6, 203.0.113.9", "192.0.2.250") == "203.0.113.9"


def test_a_proxy_that_is_no_longer_trusted_is_who_asks() -> None:
    assert resolve_client("10.0.0.1", "203.0.113.9, 192.0.2.251") == "192.0.2.251"


def test_a_call_from_inside_is_from_its_first_proxy() -> None:
    assert resolve_client("10.0.0.1", "10.0.0.7, 10.0.0.8") == "10.0.0.7"
    assert resolve_client("10.0.0.1") == "10.0.0.1"


@pytest.mark.parametrize(
    "entry",
    ["", "unknown", "_hidden", "203.0.113", "203.0.113.999", "[2001:db8::1", "203.0.113.9:http"],
)
def test_an_entry_nobody_can_read_ends_the_walk(entry: str) -> None:
    assert resolve_client("10.0.0.1", f"203.0.113.9, {entry}") == "10.0.0.1"
    assert resolve_client("10.0.0.1", f"203.0.113.9, {entry}, 10.0.0.2") == "10.0.0.2"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ('"[2001:db8::1]:4711"', "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("  203.0.113.9\t", "203.0.113.9"),
    ],
)
def test_addresses_are_read_as_proxies_write_them(entry: str, address: str) -> None:
    assert resolve_client("10.0.0.1", entry) == address


def test_a_mapped_peer_is_the_ipv4_address_it_is() -> None:
    assert resolve_client("::ffff:10.0.0.1", "203.0.113.9") == "203.0.113.9"
    assert resolve_client("::ffff:203.0.113.9", "10.1.1.1") == "203.0.113.9"


def test_a_very_long_list_is_read_from_its_end_only() -> None:
    invented = ", ".join(["6.6.6.6"] * 20_000)
    assert resolve_client("10.0.0.1", f"{invented}, 203.0.113.9") == "203.0.113.9"
    # a chain of more proxies than anybody has ends somewhere in it
    chain = ", ".join(f"10.0.{n // 250}.{n % 250}" for n in range(1000))
    assert resolve_client("10.0.0.1", f"203.0.113.9, {chain}") == "10.0.3.234"


def test_without_a_peer_there_is_no_address() -> None:
    assert resolve_client(None, "203.0.113.9") is None


@given(st.lists(st.ip_addresses().map(str), max_size=5), st.ip_addresses(v=4))
def test_what_stands_left_of_the_client_never_matters(
    invented: list[str], client: ipaddress.IPv4Address
) -> None:
    if any(client in network for network in parse_networks(PROXIES, "")):
        return
    header = ", ".join([*invented, str(client), "10.3.2.1"])
    assert resolve_client("10.0.0.1", header) == str(client)


@pytest.mark.parametrize(
    "text", ["*", "10.0.0.0/99", "proxy.internal", "10.0.0.1/8", "none,10.0.0.1"]
)
def test_a_setting_nobody_can_read_is_refused(text: str) -> None:
    with pytest.raises(StartupError, match="TRUSTED_PROXIES"):
        ClientAddresses(text)


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ],
)
def test_neighbours_share_a_prefix(address: str, prefix: str) -> None:
    parsed = parse_address(address)
    assert parsed is not None
    assert str(get_network(parsed)) == prefix


@pytest.mark.parametrize("text", [None, "", "unknown", "203.0.113.9:80"])
def test_what_is_no_address_has_none(text: str | None) -> None:
    assert parse_address(text) is None
