"""Signed addresses: what opens, and everything that must not."""

from __future__ import annotations

import base64

import pytest

from services.errors import InvalidToken
from services.media.signed_urls import MediaGrant, MediaUrlSigner

SECRET = b"a secret of at least thirty-two bytes"
NOW = 1_800_000_000.0
HOUR = 3600
FILM = "movie_00001"
LOGIN = "login_0123456789abcdef0123"


def addresses(secret: bytes = SECRET, *, binds_address: bool = False) -> MediaUrlSigner:
    return MediaUrlSigner(secret, lifetime_seconds=HOUR, binds_address=binds_address)


def signed(title_id: str = FILM, login_id: str = LOGIN, address: str | None = None) -> str:
    return addresses().sign(title_id, login_id, address, NOW).token


def refusal(token: str, title_id: str = FILM, now: float = NOW) -> str:
    with pytest.raises(InvalidToken) as caught:
        addresses().verify(token, title_id, None, now)
    return caught.value.message


def test_a_token_tells_whose_it_is_and_until_when() -> None:
    made = addresses().sign(FILM, LOGIN, None, NOW)
    grant = addresses().verify(made.token, FILM, None, NOW)
    assert grant == MediaGrant(LOGIN, made.expires_at)
    assert made.expires_at == NOW + HOUR
    assert set(made.token) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )
    assert len(made.token) < 100


def test_it_lives_for_its_lifetime_and_at_most_five_minutes_more() -> None:
    for second in range(0, 1000, 7):
        made = addresses().sign(FILM, LOGIN, None, NOW + second)
        assert HOUR <= made.expires_at - (NOW + second) < HOUR + 300


def test_an_address_signed_again_soon_is_the_same_so_browsers_reuse_their_cache() -> None:
    tokens = {addresses().sign(FILM, LOGIN, None, NOW + 1 + second).token for second in range(299)}
    assert len(tokens) == 1


def test_it_ends_with_its_last_second() -> None:
    made = addresses().sign(FILM, LOGIN, None, NOW)
    assert addresses().verify(made.token, FILM, None, made.expires_at - 0.001).login_id == LOGIN
    assert "expired" in refusal(made.token, now=made.expires_at)
    assert "expired" in refusal(made.token, now=made.expires_at + 10**6)


def test_it_opens_one_title_only() -> None:
    assert refusal(signed(), "movie_00002") == "This address is not one of ours."
    assert refusal(signed("movie_1"), "movie_11") == "This address is not one of ours."


def test_login_and_title_cannot_be_cut_apart_another_way() -> None:
    # the same bytes in a row, split elsewhere
    token = addresses().sign("_a", "login", None, NOW).token
    head = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    moved = head[:-16] + b"_" + head[-16:]
    forged = base64.urlsafe_b64encode(moved).decode().rstrip("=")
    assert refusal(forged, "a") == "This address is not one of ours."


def test_another_secret_and_the_secret_itself_as_key_make_nothing_of_ours() -> None:
    for secret in (b"another secret of thirty-two bytes!!", SECRET[:-1]):
        other = addresses(secret).sign(FILM, LOGIN, None, NOW).token
        assert refusal(other) == "This address is not one of ours."


def test_no_changed_character_goes_unseen() -> None:
    token = signed()
    for at in range(len(token)):
        for other in "AB_":
            changed = token[:at] + other + token[at + 1 :]
            if changed != token:
                assert refusal(changed) == "This address is not one of ours."


@pytest.mark.parametrize(
    "token",
    ["", "A", "AAAA", "=", "....", "%2e%2e", "é", "\ud800", "a b", "A" * 66, "A" * 10**6, "_" * 90],
)
def test_what_was_never_a_token_is_refused(token: str) -> None:
    assert refusal(token) == "This address is not one of ours."


def test_a_token_spelled_otherwise_is_refused() -> None:
    token = signed()
    for other in (
        token + "=",
        token + "==",
        token + "A",
        token[:-1],
        token.swapcase(),
        f" {token}",
    ):
        assert refusal(other) == "This address is not one of ours."


def test_unbound_it_works_from_everywhere() -> None:
    token = addresses().sign(FILM, LOGIN, "192.0.2.1", NOW).token
    for address in ("192.0.2.1", "198.51.100.7", None):
        assert addresses().verify(token, FILM, address, NOW).login_id == LOGIN


def test_bound_it_works_from_its_own_address_only() -> None:
    bound = addresses(binds_address=True)
    token = bound.sign(FILM, LOGIN, "192.0.2.1", NOW).token
    assert bound.verify(token, FILM, "192.0.2.1", NOW).login_id == LOGIN
    for address in ("192.0.2.2", "2001:db8::1", None):
        with pytest.raises(InvalidToken):
            bound.verify(token, FILM, address, NOW)
    # and stays so when new ones are bound no more
    with pytest.raises(InvalidToken):
        addresses().verify(token, FILM, "192.0.2.2", NOW)
