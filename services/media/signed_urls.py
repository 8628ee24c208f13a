"""Signed addresses of our own films: /media/<token>/<title id>/master.m3u8 and all below it.

A token opens one title, for one sign-in, until it expires. It is not stored anywhere: checking one
is a single HMAC. Whoever holds the address holds the right, so no log ever gets one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import struct
from dataclasses import dataclass
from typing import NoReturn

from services.errors import InvalidToken

_PURPOSE = b"marquee media addresses 1"  # a key of its own, which opens nothing else
_STEP_SECONDS = 300  # within it a title gets the same address again: browsers cache by it
_HEAD = struct.Struct(">BQ8s")  # format, expiry, digest of the client's address
_FORMAT = 1
_ANY_ADDRESS = bytes(8)
_SIGNATURE_BYTES = 16
_MOST_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """Token of one title's address and its expiry."""

    token: str
    expires_at: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class MediaGrant:
    """Rights of a verified token."""

    login_id: str
    expires_at: float


class MediaUrlSigner:
    """Signer of media addresses; `binds_address` ties new tokens to the client's address."""

    def __init__(self, secret: bytes, *, lifetime_seconds: int, binds_address: bool) -> None:
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)
        self._lifetime_seconds = lifetime_seconds
        self._binds_address = binds_address

    def sign(
        self, title_id: str, login_id: str, client_address: str | None, now: float
    ) -> SignedUrl:
        """Sign a title's address for the lifetime and up to five minutes more."""
        steps = math.ceil((now + self._lifetime_seconds) / _STEP_SECONDS)
        expires_at = steps * _STEP_SECONDS
        address_digest = (
            self._digest_address(client_address) if self._binds_address else _ANY_ADDRESS
        )
        head = _HEAD.pack(_FORMAT, expires_at, address_digest) + login_id.encode()
        token = base64.urlsafe_b64encode(head + self._signature(head, title_id))
        return SignedUrl(token.decode().rstrip("="), expires_at)

    def verify(
        self, token: str, title_id: str, client_address: str | None, now: float
    ) -> MediaGrant:
        """Verify a token for this title, client and time.

        Raises:
            InvalidToken: not ours, changed, for another title, or expired.
        """
        head, signature = _split_token(token)
        if not hmac.compare_digest(signature, self._signature(head, title_id)):
            _reject()
        version, expires_at, address_digest = _HEAD.unpack_from(head)
        if version != _FORMAT or (
            address_digest != _ANY_ADDRESS
            and address_digest != self._digest_address(client_address)
        ):
            _reject()
        if expires_at <= now:
            raise InvalidToken("This address has expired: ask for the title's `hls` again.")
        return MediaGrant(head[_HEAD.size :].decode(), float(expires_at))

    def _signature(self, head: bytes, title_id: str) -> bytes:
        """The head's length goes first, so that no part can pass for another."""
        text = len(head).to_bytes(2) + head + title_id.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, hashlib.sha256)[:_SIGNATURE_BYTES]

    def _digest_address(self, client_address: str | None) -> bytes:
        text = b"place\0" + (client_address or "").encode("utf-8", "replace")
        return hmac.digest(self._key, text, hashlib.sha256)[: len(_ANY_ADDRESS)]


def _split_token(token: str) -> tuple[bytes, bytes]:
    """The signed part and its signature; another spelling of a good token is refused."""
    if len(token) > _MOST_CHARACTERS or not token.isascii():
        _reject()
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        _reject()
    if len(raw) < _HEAD.size + _SIGNATURE_BYTES:
        _reject()
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        _reject()
    return raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]


def _reject() -> NoReturn:
    raise InvalidToken("This address is not one of ours.") from None
