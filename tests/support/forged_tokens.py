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


def by_hand(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    return f"{segment(header)}.{segment(payload)}.{segment(signature)}"


def hashed(secret: bytes, digest: str = "sha256", **header: Any) -> Forge:
    """Signed with a secret the attacker knows."""

    def forge(payload: dict[str, Any], now: float) -> str:
        text = f"{segment(HEADER | header)}.{segment(payload)}"
        return f"{text}.{segment(hmac.digest(secret, text.encode(), digest))}"

    return forge


def signed(key: Key = OURS, header: dict[str, Any] | None = None, **claims: Any) -> Forge:
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


def edited(**claims: Any) -> Forge:
    """A good token whose claims were changed, with its old signature."""

    def forge(payload: dict[str, Any], now: float) -> str:
        head, _, signature = signed()(payload, now).split(".")
        return f"{head}.{segment(payload | claims)}.{signature}"

    return forge


def rs256(payload: dict[str, Any], now: float) -> str:
    return jwt.encode(payload, RSA, "RS256", headers={"kid": OURS.id, "typ": "at+jwt"})


def unsigned(name: Any) -> Forge:
    return lambda payload, now: by_hand(HEADER | {"alg": name}, payload)


def text(value: str) -> Forge:
    return lambda payload, now: value


HEADER = {"alg": "EdDSA", "typ": "at+jwt", "kid": OURS.id}
RAW = OURS.verifying.public_bytes(Encoding.Raw, PublicFormat.Raw)
PEM = OURS.verifying.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SECRET = Settings(_env_file=None).secret_bytes
HS = {"alg": "HS256"}
ATTACKS: dict[str, Forge] = {
    # no signature
    **{f"alg {name}": unsigned(name) for name in ("none", "None", "NONE", "nOnE", "", None, 0, [])},
    "signature left out": lambda payload, now: signed()(payload, now).rpartition(".")[0] + ".",
    "two parts": lambda payload, now: signed()(payload, now).rpartition(".")[0],
    "signature cut": lambda payload, now: signed()(payload, now)[:-4],
    "four parts": lambda payload, now: signed()(payload, now) + ".AAAA",
    "zero signature": lambda payload, now: by_hand(HEADER, payload, bytes(64)),
    # the public key as a shared secret
    "HS256 of the raw public key": hashed(RAW, **HS),
    "HS256 of the PEM": hashed(PEM, **HS),
    "HS256 of the PEM without its end": hashed(PEM.strip(), **HS),
    "HS256 of the key's id": hashed(OURS.id.encode(), **HS),
    "HS256 of nothing": hashed(b"", **HS),
    "HS512 of the PEM": hashed(PEM, "sha512", alg="HS512"),
    "a MAC that says EdDSA": hashed(PEM),
    "HS256 of the published secret": hashed(SECRET, **HS),
    "HS256 of development's key": hashed(open_keys(Settings(_env_file=None))[0].signing, **HS),
    # another algorithm or key
    "RS256": rs256,
    "says RS256": signed(header={"alg": "RS256"}),
    "says ES256": signed(header={"alg": "ES256"}),
    "says Ed448": signed(header={"alg": "Ed448"}),
    "another's key under our id": signed(ANOTHER, header={"kid": OURS.id}),
    "another's key": signed(ANOTHER),
    "a key that was removed": signed(REMOVED),
    "no kid": signed(header={"kid": None}),
    "kid of a path": signed(header={"kid": "../../../dev/null"}),
    "kid of SQL": signed(header={"kid": "' UNION SELECT 'secret"}),
    "kid of an operator": signed(header={"kid": {"$ne": ""}}),
    "kid in other letters": signed(header={"kid": OURS.id.swapcase()}),
    "jwk in the header": signed(ANOTHER, header={"kid": OURS.id, "jwk": ANOTHER.public_jwk}),
    "jku": signed(header={"jku": "http://127.0.0.1:1/keys.json"}),
    "x5u": signed(header={"x5u": "http://127.0.0.1:1/chain.pem"}),
    "x5c": signed(header={"x5c": ["AAAA"]}),
    "crit": signed(header={"crit": ["exp"]}),
    "crit that is unknown": signed(header={"crit": ["x"], "x": 1}),
    "b64": signed(header={"b64": False, "crit": ["b64"]}),
    "zip": signed(header={"zip": "DEF"}),
    "typ JWT": signed(header={"typ": "JWT"}),
    "typ of another's": signed(header={"typ": "dpop+jwt"}),
    # time
    "expired": signed(exp=lambda now: int(now)),
    "expired long ago": signed(exp=1),
    "no exp": signed(exp=None),
    "exp is text": signed(exp="9999999999"),
    "exp is endless": signed(exp=1e308),
    "exp is NaN": signed(exp=float("nan")),
    "exp is true": signed(exp=True),
    "not yet valid": signed(nbf=lambda now: int(now) + 60),
    "issued tomorrow": signed(iat=lambda now: int(now) + 86400, exp=lambda now: int(now) + 90000),
    # audience, issuer, content
    "another audience": signed(aud="another-api"),
    "no audience": signed(aud=None),
    "another issuer": signed(iss="https://evil.example"),
    "no issuer": signed(iss=None),
    "no subject": signed(sub=None),
    "a subject that is an operator": signed(sub={"$gt": ""}),
    "no sign-in": signed(sid=None),
    "an unknown role": signed(role="ROOT"),
    "a list of roles": signed(role=["ADMIN"]),
    "an unknown tier": signed(tier="GOLD"),
    # edited
    "edited role": edited(role="ADMIN"),
    "edited tier": edited(tier="API"),
    "edited subject": edited(sub="user_2"),
    "stretched exp": edited(exp=4_000_000_000),
    "edited sign-in": edited(sid="login_2"),
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
