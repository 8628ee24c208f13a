"""Access tokens made by hand: one as ours are, and many that must be refused, by name."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.accounts.token_keys import Key, generate_pem, open_keys
from services.accounts.tokens import RefreshToken
from services.settings.settings import Settings

OURS = Key.from_pem(generate_pem())
REMOVED = Key.from_pem(generate_pem())
ANOTHER = Key.from_pem(generate_pem())
RSA = generate_private_key(public_exponent=65537, key_size=2048)
Forge = Callable[[dict[str, Any], float], str]  # of a payload, at a time


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def encode_by_hand(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    return f"{segment(header)}.{segment(payload)}.{segment(signature)}"


def forge_with_secret(secret: bytes, digest: str = "sha256", **header: Any) -> Forge:
    """Signed with a secret the attacker knows."""

    def forge(payload: dict[str, Any], now: float) -> str:
        text = f"{segment(HEADER | header)}.{segment(payload)}"
        return f"{text}.{segment(hmac.digest(secret, text.encode(), digest))}"

    return forge


def forge_signed(key: Key = OURS, header: dict[str, Any] | None = None, **claims: Any) -> Forge:
    """Really signed, by `key`; a claim may be made from now; None leaves one out."""

    def forge(payload: dict[str, Any], now: float) -> str:
        resolved = {
            name: value(now) if callable(value) else value for name, value in claims.items()
        }
        content = {name: value for name, value in (payload | resolved).items() if value is not None}
        named = HEADER | {"kid": key.id} | (header or {})
        text = f"{segment(named)}.{segment(content)}"
        return f"{text}.{segment(key.signing.sign(text.encode()))}"

    return forge


def forge_edited(**claims: Any) -> Forge:
    """A good token whose claims were changed, with its old signature."""

    def forge(payload: dict[str, Any], now: float) -> str:
        head, _, signature = forge_signed()(payload, now).split(".")
        return f"{head}.{segment(payload | claims)}.{signature}"

    return forge


def rs256(payload: dict[str, Any], now: float) -> str:
    return jwt.encode(payload, RSA, "RS256", headers={"kid": OURS.id, "typ": "at+jwt"})


def forge_unsigned(name: Any) -> Forge:
    return lambda payload, now: encode_by_hand(HEADER | {"alg": name}, payload)


def text(value: str) -> Forge:
    return lambda payload, now: value


HEADER = {"alg": "EdDSA", "typ": "at+jwt", "kid": OURS.id}
RAW = OURS.verifying.public_bytes(Encoding.Raw, PublicFormat.Raw)
PEM = OURS.verifying.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SECRET = Settings(_env_file=None).secret_bytes
HS = {"alg": "HS256"}
ATTACKS: dict[str, Forge] = {
    # no signature
    **{
        f"alg {name}": forge_unsigned(name)
        for name in ("none", "None", "NONE", "nOnE", "", None, 0, [])
    },
    "signature left out": lambda payload, now: (
        forge_signed()(payload, now).rpartition(".")[0] + "."
    ),
    "two parts": lambda payload, now: forge_signed()(payload, now).rpartition(".")[0],
    "signature cut": lambda payload, now: forge_signed()(payload, now)[:-4],
    "four parts": lambda payload, now: forge_signed()(payload, now) + ".AAAA",
    "zero signature": lambda payload, now: encode_by_hand(HEADER, payload, bytes(64)),
    # the public key as a shared secret
    "HS256 of the raw public key": forge_with_secret(RAW, **HS),
    "HS256 of the PEM": forge_with_secret(PEM, **HS),
    "HS256 of the PEM without its end": forge_with_secret(PEM.strip(), **HS),
    "HS256 of the key's id": forge_with_secret(OURS.id.encode(), **HS),
    "HS256 of nothing": forge_with_secret(b"", **HS),
    "HS512 of the PEM": forge_with_secret(PEM, "sha512", alg="HS512"),
    "a MAC that says EdDSA": forge_with_secret(PEM),
    "HS256 of the published secret": forge_with_secret(SECRET, **HS),
    "HS256 of development's key": forge_with_secret(
        open_keys(Settings(_env_file=None))[0].signing, **HS
    ),
    # another algorithm or key
    "RS256": rs256,
    "says RS256": forge_signed(header={"alg": "RS256"}),
    "says ES256": forge_signed(header={"alg": "ES256"}),
    "says Ed448": forge_signed(header={"alg": "Ed448"}),
    "another's key under our id": forge_signed(ANOTHER, header={"kid": OURS.id}),
    "another's key": forge_signed(ANOTHER),
    "a key that was removed": forge_signed(REMOVED),
    "no kid": forge_signed(header={"kid": None}),
    "kid of a path": forge_signed(header={"kid": "../../../dev/null"}),
    "kid of SQL": forge_signed(header={"kid": "' UNION SELECT 'secret"}),
    "kid of an operator": forge_signed(header={"kid": {"$ne": ""}}),
    "kid in other letters": forge_signed(header={"kid": OURS.id.swapcase()}),
    "jwk in the header": forge_signed(ANOTHER, header={"kid": OURS.id, "jwk": ANOTHER.public_jwk}),
    "jku": forge_signed(header={"jku": "http://127.0.0.1:1/keys.json"}),
    "x5u": forge_signed(header={"x5u": "http://127.0.0.1:1/chain.pem"}),
    "x5c": forge_signed(header={"x5c": ["AAAA"]}),
    "crit": forge_signed(header={"crit": ["exp"]}),
    "crit that is unknown": forge_signed(header={"crit": ["x"], "x": 1}),
    "b64": forge_signed(header={"b64": False, "crit": ["b64"]}),
    "zip": forge_signed(header={"zip": "DEF"}),
    "typ JWT": forge_signed(header={"typ": "JWT"}),
    "typ of another's": forge_signed(header={"typ": "dpop+jwt"}),
    # time
    "expired": forge_signed(exp=lambda now: int(now)),
    "expired long ago": forge_signed(exp=1),
    "no exp": forge_signed(exp=None),
    "exp is text": forge_signed(exp="9999999999"),
    "exp is endless": forge_signed(exp=1e308),
    "exp is NaN": forge_signed(exp=float("nan")),
    "exp is true": forge_signed(exp=True),
    "not yet valid": forge_signed(nbf=lambda now: int(now) + 60),
    "issued tomorrow": forge_signed(
        iat=lambda now: int(now) + 86400, exp=lambda now: int(now) + 90000
    ),
    # audience, issuer, content
    "another audience": forge_signed(aud="another-api"),
    "no audience": forge_signed(aud=None),
    "another issuer": forge_signed(iss="https://evil.example"),
    "no issuer": forge_signed(iss=None),
    "no subject": forge_signed(sub=None),
    "a subject that is an operator": forge_signed(sub={"$gt": ""}),
    "no sign-in": forge_signed(sid=None),
    "an unknown role": forge_signed(role="ROOT"),
    "a list of roles": forge_signed(role=["ADMIN"]),
    "an unknown tier": forge_signed(tier="GOLD"),
    # edited
    "edited role": forge_edited(role="ADMIN"),
    "edited tier": forge_edited(tier="API"),
    "edited subject": forge_edited(sub="user_2"),
    "stretched exp": forge_edited(exp=4_000_000_000),
    "edited sign-in": forge_edited(sid="login_2"),
    # no token
    "a refresh token": lambda payload, now: RefreshToken.new().text,
    "one word": text("token"),
    "dots": text(".."),
    "nothing in three parts": text("bnVsbA.bnVsbA.bnVsbA"),
    "a list as a header": lambda payload, now: f"{segment([])}.{segment(payload)}.AAAA",
    "very deep": lambda payload, now: f"{segment(b'[' * 2000)}.{segment(b'[' * 2000)}.AAAA",
    "very long": text("a" * 50_000),
    "bytes that are no text": text("\xff\xfe.\xff.\xff"),
    "operators": text("{$ne: null}"),
}


def payload_at(now: float) -> dict[str, Any]:
    return {
        "iss": "marquee",
        "aud": "marquee-api",
        "sub": "user_1",
        "role": "USER",
        "tier": "FREE",
        "sid": "login_1",
        "iat": int(now),
        "exp": int(now) + 900,
        "jti": "0011223344556677",
    }
