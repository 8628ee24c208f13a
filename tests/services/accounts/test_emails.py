from __future__ import annotations

import pytest

from services.accounts.emails import normalize_email
from services.errors import ValidationFailed


@pytest.mark.parametrize(
    ("address", "folded"),
    [
        ("ada@example.org", "ada@example.org"),
        ("  Ada.Lovelace+films@EXAMPLE.Org ", "ada.lovelace+films@example.org"),
        ("ada@BÜCHER.example.org", "ada@bücher.example.org"),
        ("ada@xn--bcher-kva.example.org", "ada@bücher.example.org"),
        ("cafe\u0301@example.org", "caf\u00e9@example.org"),
    ],
)
def test_an_address_has_one_spelling(address: str, folded: str) -> None:
    assert normalize_email(address) == folded
    assert normalize_email(folded) == folded


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@localhost",
        "ada@example..org",
        "ada@example.org\nBcc: x@y.org",
        "Ada <ada@example.org>",
        '"ada lovelace"@example.org',
        "ada@[127.0.0.1]",
        "ada@marquee.test",
        "\ud800@example.org",
        "a" * 65 + "@example.org",
        "a@" + "b." * 1_000_000 + "org",
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationFailed, match=r"This is not an email address\.") as refused:
        normalize_email(address)
    assert refused.value.path == ["email"]


def test_the_test_domain_is_for_development() -> None:
    assert normalize_email("Viewer@Marquee.TEST", allow_test_domain=True) == "viewer@marquee.test"
