"""Keys of access tokens: Ed25519 from JWT_PRIVATE_KEYS, or JWT_SECRET in development.

A key's id follows from the key (RFC 7638), so processes that share keys agree on names. The first
signs, all verify: a key is added last, later moved to the front, and dropped when its tokens ended.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from jwt.algorithms import OKPAlgorithm

from services.errors import StartupError
from services.settings.settings import Settings

_PURPOSE = b"marquee access tokens 1"  # the secret signs other things too, each with its own key
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_EDDSA = OKPAlgorithm()
_LARGEST_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key; `verifying` differs from `signing` only for asymmetric algorithms."""

    id: str
    algorithm: str
    signing: Any
    verifying: Any

    def __repr__(self) -> str:
        return f"Key({self.id!r}, {self.algorithm!r})"

    @classmethod
    def from_secret(cls, secret: bytes) -> Key:
        """Build an HS256 key; its id follows from the secret."""
        name = hashlib.blake2b(secret, digest_size=6, person=b"marquee-kid").hexdigest()
        return cls(name, "HS256", secret, secret)

    @classmethod
    def from_pem(cls, pem: str) -> Key:
        """Build an EdDSA (Ed25519) key from PEM text.

        Raises:
            ValueError: no private key of this kind.
        """
        try:
            private = _EDDSA.prepare_key(pem)
        except (jwt.InvalidKeyError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError("no private key that can be read without a password") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("no Ed25519 key")
        public = private.public_key()
        return cls(_thumbprint(public), "EdDSA", private, public)

    @property
    def public_jwk(self) -> dict[str, str] | None:
        """Public key as a JWK (RFC 8037); None for a shared secret."""
        if not isinstance(self.verifying, Ed25519PublicKey):
            return None
        return {**_to_jwk(self.verifying), "kid": self.id, "use": "sig", "alg": self.algorithm}


def open_keys(settings: Settings) -> list[Key]:
    """Load the keys, signer first: JWT_PRIVATE_KEYS, else one derived from JWT_SECRET.

    Raises:
        StartupError: an entry is no key, or the second one is not and this is production.
    """
    configured = settings.jwt_private_keys.get_secret_value()
    keys = [_parse_key(pem, at) for at, pem in enumerate(_split_pems(configured), 1)]
    if keys:
        return keys
    if settings.is_production:
        raise StartupError(
            "JWT_PRIVATE_KEYS is not set: make one with `python -m server keys new`."
        )
    return [Key.from_secret(hmac.digest(settings.secret_bytes, _PURPOSE, hashlib.sha256))]


def generate_pem() -> str:
    """Generate a private key as PEM, for JWT_PRIVATE_KEYS."""
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def build_jwk_set(keys: Sequence[Key]) -> dict[str, list[dict[str, str]]]:
    """Build the JWK Set (RFC 7517, section 5) of the public keys."""
    jwks = [key.public_jwk for key in keys]
    return {"keys": [jwk for jwk in jwks if jwk is not None]}


def _split_pems(configured: str) -> list[str]:
    """Each key's text, in order; a path stands for the keys in its file."""
    pems: list[str] = []
    at = 0
    for block in _PEM.finditer(configured):
        pems += _read_files(configured[at : block.start()])
        pems.append(block[0].replace("\\n", "\n"))  # as one line, in an environment file
        at = block.end()
    return pems + _read_files(configured[at:])


def _read_files(paths: str) -> list[str]:
    names = re.split(r"[,\n]|\\n", paths)
    return [pem for name in names if name.strip() for pem in _read_file(name.strip())]


def _read_file(name: str) -> list[str]:
    try:
        with Path(name).open("rb") as file:
            text = file.read(_LARGEST_FILE_BYTES).decode("ascii")
    except (OSError, ValueError):
        # the name stays out: it may be a key by mistake
        raise StartupError("JWT_PRIVATE_KEYS names a file that cannot be read.") from None
    pems = _PEM.findall(text)
    if not pems:
        raise StartupError("JWT_PRIVATE_KEYS names a file without a key in PEM.")
    return pems


def _parse_key(pem: str, at: int) -> Key:
    try:
        return Key.from_pem(pem)
    except ValueError:
        raise StartupError(f"Key {at} of JWT_PRIVATE_KEYS is no Ed25519 private key.") from None


def _to_jwk(public: Ed25519PublicKey) -> dict[str, str]:
    """The members that RFC 8037 requires, and no other."""
    return _EDDSA.to_jwk(public, as_dict=True)


def _thumbprint(public: Ed25519PublicKey) -> str:
    """RFC 7638: the required members, sorted, without spaces."""
    text = json.dumps(_to_jwk(public), separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
