"""Secrets shown once and stored only as hashes: codes in mails, and API keys.

256 random bits need no salt and no slow hash. The purpose is hashed with a code, so one made for
proving an address resets no password.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

KEY_SCHEME = "marquee_"
_BYTES = 32
_PREFIX_HEX = 8
_CODE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_KEY = re.compile(rf"{KEY_SCHEME}([0-9a-f]{{{_PREFIX_HEX}}})_[A-Za-z0-9_-]{{43}}", re.ASCII)


def generate_code() -> str:
    """Generate a random code of 43 characters."""
    return secrets.token_urlsafe(_BYTES)


def hash_code(purpose: str, code: str) -> str | None:
    """Hash a code for storage; None if the text cannot be a code."""
    if not _CODE.fullmatch(code):
        return None
    return hashlib.sha256(f"mail\0{purpose}\0{code}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ApiKeyText:
    """`marquee_<prefix>_<secret>`; the prefix is no secret, people know their keys by it."""

    text: str
    prefix: str

    @classmethod
    def new(cls) -> ApiKeyText:
        """Generate a new key with a random prefix and secret."""
        prefix = secrets.token_hex(_PREFIX_HEX // 2)
        return cls(f"{KEY_SCHEME}{prefix}_{secrets.token_urlsafe(_BYTES)}", prefix)

    @classmethod
    def parse(cls, text: str) -> ApiKeyText | None:
        """Parse a key's text; None if it cannot be one of ours."""
        match = _KEY.fullmatch(text)
        return cls(text, match[1]) if match else None

    @property
    def hash(self) -> str:
        """SHA-256 digest under which the key is stored, in hex."""
        return hashlib.sha256(b"api key\0" + self.text.encode()).hexdigest()
