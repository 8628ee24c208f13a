"""Tokens by which a device shows that it has signed in to an account before.

Such a device is counted by itself, so that strangers who guess at the account's password do not
keep its owner out. A token opens nothing; it is not stored, checking one is a single HMAC.
Source: OWASP, device cookies against slow online guessing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

_PURPOSE = b"marquee device tokens 1"  # a key of its own, which signs nothing else
_ID_BYTES = 12
_SIGNATURE_BYTES = 18
_CHARACTERS = (_ID_BYTES + _SIGNATURE_BYTES) * 4 // 3


class DeviceTokens:
    """Issuer and verifier of device tokens, bound to an account's folded address."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)

    def issue(self, account: str) -> str:
        """Issue a token of 40 characters for a device that has just signed in."""
        device = secrets.token_bytes(_ID_BYTES)
        return base64.urlsafe_b64encode(device + self._sign(device, account)).decode()

    def verify(self, token: str | None, account: str) -> str | None:
        """Return the id of the device; None if the token is not of this account."""
        if token is None or len(token) != _CHARACTERS or not token.isascii():
            return None
        try:
            content = base64.b64decode(token, altchars=b"-_", validate=True)
        except ValueError:
            return None
        device, signature = content[:_ID_BYTES], content[_ID_BYTES:]
        if not hmac.compare_digest(signature, self._sign(device, account)):
            return None
        return f"device:{device.hex()}"

    def _sign(self, device: bytes, account: str) -> bytes:
        text = device + account.encode()
        return hmac.digest(self._key, text, hashlib.sha256)[:_SIGNATURE_BYTES]
