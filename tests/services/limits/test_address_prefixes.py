from __future__ import annotations

import pytest

from services.limits.address_prefixes import shorten_address


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("fe80::1%eth0", "fe80::"),
        ("a proxy's word", None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_is_stored_as_its_prefix(address: str | None, prefix: str | None) -> None:
    assert shorten_address(address) == prefix
