from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from services.accounts.token_keys import Key, build_jwk_set, generate_pem, open_keys
from services.accounts.tokens import AccessTokens
from services.errors import InvalidToken, StartupError
from services.production_check import reject_unsafe_settings
from services.settings.settings import Environment, Settings

# RFC 8037, appendix A: a published key and its thumbprint
RFC_KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
"""
RFC_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
OWN_SECRET = "a secret of the test suite, 32 bytes and more"


def settings(keys: str = "", **changes: Any) -> Settings:
    return Settings(_env_file=None, jwt_private_keys=keys, **changes)


def test_a_keys_id_is_its_thumbprint_and_its_public_half_is_published() -> None:
    (key,) = open_keys(settings(RFC_KEY))
    assert (key.id, key.algorithm) == (RFC_THUMBPRINT, "EdDSA")
    assert build_jwk_set([key]) == {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": RFC_PUBLIC,
                "kid": RFC_THUMBPRINT,
                "use": "sig",
                "alg": "EdDSA",
            }
        ]
    }


def test_the_key_set_verifies_tokens_for_others() -> None:
    # given a token, and another program that knows only what is published
    service = AccessTokens(open_keys(settings(generate_pem())), lifetime_seconds=900)
    token = service.issue(user_id="user_1", role="USER", tier="FREE", login_id="l_1", now=2e9)
    known = jwt.PyJWKSet.from_json(json.dumps(service.public_keys))
    # when it verifies as the header says
    key = known[jwt.get_unverified_header(token)["kid"]]
    payload = jwt.decode(
        token, key, algorithms=["EdDSA"], audience="marquee-api", options={"verify_iat": False}
    )
    # then it reads who signed in
    assert payload["sub"] == "user_1"


def test_several_keys_may_stand_in_one_setting_as_text_or_as_files(tmp_path: Path) -> None:
    first, second, third, fourth = (generate_pem() for _ in range(4))
    one, two = tmp_path / "one key.pem", tmp_path / "two.pem"
    one.write_text(second)
    two.write_text("a comment\n" + third + fourth)
    in_order = [Key.from_pem(pem).id for pem in (first, second, third, fourth)]
    for value in (
        first + second + third + fourth,
        (first + second + third + fourth).replace("\n", "\\n"),
        f"{first}{one}, {two}",
        f"{first},{one}\n{third},{fourth}",
    ):
        assert [key.id for key in open_keys(settings(value))] == in_order
    assert [key.id for key in open_keys(settings(f"{two},{one}"))] == [
        in_order[at] for at in (2, 3, 1)
    ]


def test_rotation_signs_nobody_out() -> None:
    # given every process on the old key
    old, new = generate_pem(), generate_pem()
    at_first = AccessTokens(open_keys(settings(old)), lifetime_seconds=900)
    first = at_first.issue(user_id="user_1", role="USER", tier="FREE", login_id="l_1", now=2e9)
    # when the new one is added last, and then, process by process, moved to the front
    made_known = AccessTokens(open_keys(settings(old + new)), lifetime_seconds=900)
    signing = AccessTokens(open_keys(settings(new + old)), lifetime_seconds=900)
    second = made_known.issue(user_id="user_1", role="USER", tier="FREE", login_id="l_1", now=2e9)
    third = signing.issue(user_id="user_1", role="USER", tier="FREE", login_id="l_1", now=2e9)
    # then each token is good at the processes of its step and the next
    for service, good in ((at_first, [first, second]), (made_known, [first, second, third])):
        assert [service.verify(token, 2e9).login_id for token in good] == ["l_1"] * len(good)
    assert {signing.verify(token, 2e9).login_id for token in (first, second, third)} == {"l_1"}
    # and without the old key its tokens are refused
    at_last = AccessTokens(open_keys(settings(new)), lifetime_seconds=900)
    assert at_last.verify(third, 2e9).login_id == "l_1"
    for token in (first, second):
        with pytest.raises(InvalidToken):
            at_last.verify(token, 2e9)


def test_a_shared_secret_signs_in_development_alone() -> None:
    (key,) = open_keys(settings())
    assert key.algorithm == "HS256"
    assert build_jwk_set([key]) == {"keys": []}
    # with a key of its own, not the secret that signs other things
    assert OWN_SECRET.encode() not in (
        open_keys(settings(jwt_secret=OWN_SECRET))[0].signing,
        open_keys(settings(jwt_secret=OWN_SECRET))[0].verifying,
    )
    production = settings(environment=Environment.PRODUCTION, jwt_secret=OWN_SECRET)
    for refusing in (open_keys, reject_unsafe_settings):
        with pytest.raises(StartupError, match="JWT_PRIVATE_KEYS is not set"):
            refusing(production)
    with_key = production.model_copy(
        update={"jwt_private_keys": settings(RFC_KEY).jwt_private_keys}
    )
    reject_unsafe_settings(with_key)
    assert [key.algorithm for key in open_keys(with_key)] == ["EdDSA"]


def test_with_a_key_the_secret_verifies_nothing() -> None:
    by_secret = AccessTokens(open_keys(settings()), lifetime_seconds=900)
    by_key = AccessTokens(open_keys(settings(generate_pem())), lifetime_seconds=900)
    token = by_secret.issue(user_id="user_1", role="USER", tier="FREE", login_id="l", now=2e9)
    with pytest.raises(InvalidToken):
        by_key.verify(token, 2e9)


def other_kinds() -> dict[str, str]:
    pkcs8 = (Encoding.PEM, PrivateFormat.PKCS8)
    ed25519, p256 = Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())
    return {
        "another curve": p256.private_bytes(*pkcs8, NoEncryption()).decode(),
        "with a password": ed25519.private_bytes(*pkcs8, BestAvailableEncryption(b"x")).decode(),
        "damaged": generate_pem().replace("MC4C", "MC5C"),
        "empty": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
        "a certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    }


@pytest.mark.parametrize(("name", "pem"), other_kinds().items(), ids=lambda value: value[:20])
def test_what_is_no_ed25519_key_is_one_clear_line_without_the_key(name: str, pem: str) -> None:
    with pytest.raises(StartupError) as refused:
        open_keys(settings(RFC_KEY + pem))
    assert str(refused.value) == "Key 2 of JWT_PRIVATE_KEYS is no Ed25519 private key."


def test_a_file_that_cannot_be_read_is_not_repeated(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    binary = tmp_path / "binary.pem"
    binary.write_bytes(b"\xff" * 100)
    for value in ("MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v", str(tmp_path), str(binary), "a\0b"):
        with pytest.raises(StartupError) as refused:
            open_keys(settings(value))
        assert str(refused.value) == "JWT_PRIVATE_KEYS names a file that cannot be read."
    with pytest.raises(StartupError, match="names a file without a key in PEM"):
        open_keys(settings(str(empty)))


def test_keys_do_not_show_in_texts() -> None:
    configured = settings(RFC_KEY)
    (key,) = open_keys(configured)
    shown = f"{configured!r} {key!r} {key}"
    assert "nWGxne" not in shown and "MC4C" not in shown
    assert f"Key('{RFC_THUMBPRINT}', 'EdDSA')" in shown
