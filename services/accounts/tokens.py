"""Access tokens (signed JWTs, RFC 9068 and 8725) and opaque refresh tokens.

The key decides the algorithm, never the token; only our own keys verify, and a header may hold
nothing but algorithm, type and key id. Every bad token gets the same answer. Refresh tokens are
stored only as hashes.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import jwt

from services.accounts.token_keys import Key, build_jwk_set
from services.errors import InvalidToken

_ISSUER = "marquee"
_AUDIENCE = "marquee-api"
_TYPE = "at+jwt"
_MAX_CHARACTERS = 4096
_CLAIMS = ("iss", "aud", "sub", "exp", "iat", "jti", "role", "tier", "sid")
_LAST_MOMENT = 32_503_680_000.0
_HEADERS = {"alg", "typ", "kid"}
_LEEWAY_SECONDS = 5.0  # how far ahead the clock of the process may be that issued a token
_REFRESH_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Claims:
    """Claims of a verified access token, one object for each; times in seconds since 1970."""

    user_id: str
    role: str
    tier: str
    login_id: str
    issued_at: float
    starts_at: float
    expires_at: float
    token_id: str


class AccessTokens:
    """Issuer (first key) and verifier (any key) of access tokens; verified ones are cached."""

    def __init__(
        self, keys: Sequence[Key], *, lifetime_seconds: int, max_cached: int = 10_000
    ) -> None:
        self._signer = keys[0]
        self._keys = {key.id: key for key in keys}
        self.public_keys = build_jwk_set(keys)
        self._cached_claims: dict[str, Claims] = {}
        self._max_cached = max_cached
        self.lifetime_seconds = lifetime_seconds

    def issue(self, *, user_id: str, role: str, tier: str, login_id: str, now: float) -> str:
        """Issue a token; `iat` has fractions of a second, as revocations compare it."""
        payload = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": user_id,
            "role": role,
            "tier": tier,
            "sid": login_id,
            "iat": now,
            "exp": int(now) + self.lifetime_seconds,
            "jti": secrets.token_hex(8),
        }
        key = self._signer
        headers = {"typ": _TYPE, "kid": key.id}
        return jwt.encode(payload, key.signing, algorithm=key.algorithm, headers=headers)

    def verify(self, token: str, now: float) -> Claims:
        """Verify signature, claims and times of a token at `now`.

        Raises:
            InvalidToken: for whatever is wrong with it, always with the same message.
        """
        claims = self._cached_claims.get(token)
        if claims is None:
            claims = self._decode_claims(token)
            self._cache(token, claims)
        if claims.expires_at <= now:
            self._cached_claims.pop(token, None)
            reject_token()
        if claims.starts_at > now + _LEEWAY_SECONDS:
            reject_token()
        return claims

    def _decode_claims(self, token: str) -> Claims:
        if len(token) > _MAX_CHARACTERS or not token.isascii():
            reject_token()
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys[header["kid"]]
            if header["typ"] != _TYPE or header.keys() != _HEADERS:
                reject_token()
            return _parse_claims(_decode(token, key))
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError):
            reject_token()

    def _cache(self, token: str, claims: Claims) -> None:
        if len(self._cached_claims) >= self._max_cached:
            for oldest in list(self._cached_claims)[: self._max_cached // 4 + 1]:
                del self._cached_claims[oldest]
        self._cached_claims[token] = claims


def _decode(token: str, key: Key) -> Mapping[str, Any]:
    """Times are compared by `verify`, with the caller's clock."""
    return jwt.decode(
        token,
        key.verifying,
        algorithms=[key.algorithm],
        audience=_AUDIENCE,
        issuer=_ISSUER,
        options={
            "require": list(_CLAIMS),
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        },
    )


def _parse_claims(payload: Mapping[str, Any]) -> Claims:
    texts = [payload[name] for name in ("sub", "role", "tier", "sid", "jti")]
    if {type(text) for text in texts} != {str}:
        reject_token()
    issued_at, expires_at = _parse_numeric_date(payload["iat"]), _parse_numeric_date(payload["exp"])
    starts_at = max(issued_at, _parse_numeric_date(payload.get("nbf", issued_at)))
    user_id, role, tier, login_id, token_id = texts
    return Claims(user_id, role, tier, login_id, issued_at, starts_at, expires_at, token_id)


def _parse_numeric_date(value: object) -> float:
    """A NumericDate (RFC 7519, 2) of this millennium."""
    if type(value) not in (int, float) or not 0 <= value < _LAST_MOMENT:  # type: ignore[operator]
        reject_token()
    return value  # type: ignore[return-value]


def reject_token() -> NoReturn:
    """Raise the one error of every bad token, access or refresh: InvalidToken."""
    raise InvalidToken("The token is not valid: sign in again.") from None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Refresh token of 256 random bits; only `hash` is stored."""

    secret: bytes

    @classmethod
    def new(cls) -> RefreshToken:
        """Generate a new token."""
        return cls(secrets.token_bytes(_REFRESH_BYTES))

    @classmethod
    def parse(cls, text: str) -> RefreshToken:
        """Parse a token's text.

        Raises:
            InvalidToken: the text is no refresh token.
        """
        try:
            token = cls(base64.urlsafe_b64decode(text.encode("ascii") + b"="))
        except ValueError:
            reject_token()
        if len(token.secret) != _REFRESH_BYTES or token.text != text:
            reject_token()
        return token

    @property
    def text(self) -> str:
        """Token as base64url text without padding, 43 characters."""
        return base64.urlsafe_b64encode(self.secret).decode().rstrip("=")

    @property
    def hash(self) -> str:
        """SHA-256 digest under which the token is stored, in hex."""
        return hashlib.sha256(b"stored\0" + self.secret).hexdigest()

    def seal(self, successor: RefreshToken) -> str:
        """Encrypt the successor so that only this token reads it, to repeat a lost answer."""
        return _xor(successor.secret, self._pad()).hex()

    def unseal(self, sealed: str) -> RefreshToken:
        """Decrypt the successor that `seal` encrypted."""
        return RefreshToken(_xor(bytes.fromhex(sealed), self._pad()))

    def _pad(self) -> bytes:
        """Used once, as a token has one successor; tells nothing about `hash`."""
        return hashlib.sha256(b"successor\0" + self.secret).digest()


def _xor(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=True))
