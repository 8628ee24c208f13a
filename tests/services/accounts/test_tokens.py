from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import astuple
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.token_keys import Key, generate_pem
from services.accounts.tokens import AccessTokens, Claims, RefreshToken
from services.errors import InvalidToken

NOW = 1_800_000_000.0
SECRET = b"a secret of the test suite, 32 bytes and more"
OTHER_SECRET = b"another secret of the test suite, long enough"
ONE_MESSAGE = "The token is not valid: sign in again."


def tokens(*keys: Key, lifetime_seconds: int = 900, max_cached: int = 100) -> AccessTokens:
    ring = keys or (Key.from_secret(SECRET),)
    return AccessTokens(ring, lifetime_seconds=lifetime_seconds, max_cached=max_cached)


def issued(by: AccessTokens, now: float = NOW) -> str:
    return by.issue(user_id="user_1", role="USER", tier="FREE", login_id="login_1", now=now)


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(header: dict[str, Any], payload: dict[str, Any], secret: bytes = SECRET) -> str:
    """A token made by hand, as an attacker would who knew the secret."""
    text = f"{segment(header)}.{segment(payload)}"
    mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, payload, _ = token.split(".")
    return jwt.get_unverified_header(token), json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    ) if header else {}


def test_a_token_says_what_it_was_issued_for() -> None:
    service = tokens()
    token = issued(service)
    header, payload = parts(token)
    claims = service.verify(token, NOW)
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": Key.from_secret(SECRET).id}
    assert {**payload, "jti": None} == {
        "iss": "marquee",
        "aud": "marquee-api",
        "sub": "user_1",
        "role": "USER",
        "tier": "FREE",
        "sid": "login_1",
        "iat": 1_800_000_000,
        "exp": 1_800_000_900,
        "jti": None,
    }
    expected = Claims(
        "user_1",
        "USER",
        "FREE",
        "login_1",
        issued_at=1_800_000_000,
        starts_at=1_800_000_000,
        expires_at=1_800_000_900,
        token_id=payload["jti"],
    )
    assert astuple(claims) == astuple(expected)
    # and one that was verified before has the same claims, as one object
    assert service.verify(token, NOW) is claims


def test_the_time_of_issue_is_encoded_to_the_microsecond() -> None:
    # given two tokens of one second, one before and one after something that ends the first
    service = tokens()
    first, second = issued(service, NOW + 0.25), issued(service, NOW + 0.250001)
    # then they can be told apart, and both end at a whole second
    assert service.verify(first, NOW + 1).issued_at == NOW + 0.25
    assert service.verify(second, NOW + 1).issued_at == NOW + 0.250001
    assert service.verify(second, NOW + 1).expires_at == NOW + 900


def test_two_tokens_of_one_second_differ() -> None:
    service = tokens()
    assert issued(service) != issued(service)


def test_a_token_ends_to_the_second_even_when_it_was_seen_before() -> None:
    service = tokens()
    token = issued(service)
    service.verify(token, NOW + 899)
    for at in (NOW + 900, NOW + 901):
        with pytest.raises(InvalidToken, match=ONE_MESSAGE):
            service.verify(token, at)
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        tokens().verify(token, NOW + 900)


def test_a_handmade_token_with_everything_right_is_accepted() -> None:
    # the frame of the next test: its refusals are due to the one thing each changes
    service = tokens()
    header, payload = parts(issued(service))
    assert service.verify(signed(header, payload), NOW).user_id == "user_1"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"aud": "another-api"},
        {"aud": None},
        {"sub": None},
        {"sub": 7},
        {"sub": {"$ne": ""}},
        {"role": None},
        {"role": ["ADMIN"]},
        {"tier": None},
        {"sid": None},
        {"jti": None},
        {"iat": None},
        {"iat": "now"},
        {"iat": True},
        {"iat": -1},
        {"iat": float("nan")},
        {"iat": float("inf")},
        {"iat": NOW + 6},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": 1e300},
        {"exp": True},
        {"exp": -1},
        {"exp": NOW},
        {"nbf": 99_999_999_999},
        {"nbf": NOW + 6},
        {"nbf": "1"},
        {"nbf": [1]},
    ],
    ids=str,
)
def test_a_signed_token_with_one_wrong_claim_is_refused(change: dict[str, Any]) -> None:
    service = tokens()
    header, payload = parts(issued(service))
    edited = {k: v for k, v in (payload | change).items() if v is not None}
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        service.verify(signed(header, edited), NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"kid": None},
        {"kid": "another"},
        {"kid": "../../dev/null"},
        {"kid": 1},
        {"kid": {}},
        {"alg": "HS512"},
        {"alg": "none"},
        {"alg": "RS256"},
        {"alg": None},
        {"crit": ["unknown"]},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"jku": "https://evil.example/keys.json"},
        {"x5u": "https://evil.example/chain.pem"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5c": ["AAAA"]},
        {"zip": "DEF"},
    ],
    ids=str,
)
def test_a_signed_token_with_one_wrong_header_is_refused(change: dict[str, Any]) -> None:
    service = tokens()
    header, payload = parts(issued(service))
    edited = {k: v for k, v in (header | change).items() if v is not None}
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        service.verify(signed(edited, payload), NOW)


def test_a_clock_a_few_seconds_behind_takes_new_tokens() -> None:
    # given a token of a process whose clock is ahead of ours
    service = tokens()
    token = issued(service, NOW + 5)
    # then five seconds are forgiven, at every use
    assert service.verify(token, NOW).user_id == "user_1"
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        service.verify(token, NOW - 0.1)
    # and a token may start later than it was issued
    header, payload = parts(token)
    waiting = signed(header, payload | {"nbf": NOW + 100})
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        service.verify(waiting, NOW + 94.9)
    assert service.verify(waiting, NOW + 95).starts_at == NOW + 100


def test_a_public_key_is_no_shared_secret() -> None:
    """RFC 8725, 2.1: whoever knows the public key must not sign with it as an HMAC secret."""
    key = Key.from_pem(generate_pem())
    service = tokens(key)
    header, payload = parts(issued(service))
    raw = key.verifying.public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = key.verifying.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (raw, pem, pem.strip(), base64.urlsafe_b64encode(raw).rstrip(b"="), b""):
        for algorithm in ("HS256", "EdDSA"):
            with pytest.raises(InvalidToken, match=ONE_MESSAGE):
                service.verify(signed(header | {"alg": algorithm}, payload, secret), NOW)


def test_forged_and_edited_tokens_are_refused() -> None:
    service = tokens()
    token = issued(service)
    header, payload = parts(token)
    head, body, mac = token.split(".")
    richer = segment(payload | {"role": "ADMIN"})
    longer = segment(payload | {"exp": payload["exp"] + 86400})
    forged = [
        signed(header, payload, secret=OTHER_SECRET),
        f"{head}.{richer}.{mac}",
        f"{head}.{longer}.{mac}",
        f"{segment(header | {'alg': 'none'})}.{richer}.",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{mac[:-2]}",
        f"{token}.{mac}",
        token.upper(),
        issued(tokens(Key.from_secret(OTHER_SECRET))),
    ]
    for text in forged:
        with pytest.raises(InvalidToken, match=ONE_MESSAGE):
            service.verify(text, NOW)
    assert service.verify(token, NOW).role == "USER"


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", "é.é.é", "a" * 1_000_000, "🎬", "\ud800", "\0", "null.null.null"],
    ids=lambda text: ascii(text[:12]),
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        tokens().verify(text, NOW)


def test_a_header_nested_a_thousand_deep_is_refused() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 2000).decode().rstrip("=")
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        tokens().verify(f"{deep}.{deep}.AAAA", NOW)


@given(st.text(alphabet=st.characters(), max_size=60), st.binary(max_size=60), st.booleans())
def test_no_garbage_is_answered_otherwise(text: str, raw: bytes, as_header: bool) -> None:
    encoded = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    token = f"{encoded}.{text}.{encoded}" if as_header else text
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        tokens().verify(token, NOW)


def test_a_new_key_signs_and_the_old_one_still_verifies() -> None:
    # given two generations of one ring
    old, new = Key.from_secret(SECRET), Key.from_secret(OTHER_SECRET)
    before, between, after = tokens(old), tokens(new, old), tokens(new)
    # when each generation has issued a token
    first, second = issued(before), issued(between)
    # then both live while both keys do, and the old one ends with its key
    assert between.verify(first, NOW).login_id == "login_1"
    assert after.verify(second, NOW).login_id == "login_1"
    with pytest.raises(InvalidToken):
        after.verify(first, NOW)


def test_an_eddsa_key_takes_its_place_in_the_ring() -> None:
    private = Ed25519PrivateKey.generate()
    key = Key("ed-1", "EdDSA", private, private.public_key())
    service = tokens(key, Key.from_secret(SECRET))
    token = issued(service)
    assert jwt.get_unverified_header(token)["alg"] == "EdDSA"
    assert service.verify(token, NOW).user_id == "user_1"
    # a key of one algorithm is no key of another
    header, payload = parts(token)
    with pytest.raises(InvalidToken):
        service.verify(signed(header | {"alg": "HS256"}, payload), NOW)


def test_what_is_remembered_is_bounded_and_holds_no_refused_token() -> None:
    service = tokens(max_cached=8)
    seen = [issued(service) for _ in range(50)]
    for token in seen:
        service.verify(token, NOW)
        with pytest.raises(InvalidToken):
            service.verify(token + "x", NOW)
    assert len(service._cached_claims) <= 8
    assert all(service.verify(token, NOW).user_id == "user_1" for token in seen)


def test_a_remembered_token_is_the_same_object() -> None:
    service = tokens()
    token = issued(service)
    assert service.verify(token, NOW) is service.verify(token, NOW + 1)


def test_refresh_tokens_are_long_random_and_stored_as_hashes() -> None:
    token, other = RefreshToken.new(), RefreshToken.new()
    assert token != other
    assert len(token.text) == 43
    assert RefreshToken.parse(token.text) == token
    assert len(token.hash) == 64
    assert token.text not in token.hash and token.secret.hex() not in token.hash


@pytest.mark.parametrize("text", ["", "a", "é" * 43, "A" * 42, "A" * 44, "!" * 43, "A" * 42 + "="])
def test_what_is_no_refresh_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken, match=ONE_MESSAGE):
        RefreshToken.parse(text)


def test_another_spelling_of_the_same_bits_is_refused() -> None:
    # 43 characters hold 258 bits: the last two must be zero
    with pytest.raises(InvalidToken):
        RefreshToken.parse("A" * 42 + "B")


def test_only_the_token_itself_opens_its_sealed_successor() -> None:
    token, successor, other = RefreshToken.new(), RefreshToken.new(), RefreshToken.new()
    sealed = token.seal(successor)
    assert token.unseal(sealed) == successor
    assert other.unseal(sealed) != successor
    assert successor.secret.hex() not in sealed
