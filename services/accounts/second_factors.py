"""Second factors: codes by time (RFC 6238) from an authenticator, and recovery codes.

Secrets are stored encrypted, as whoever reads the database could otherwise make codes; recovery
codes as hashes. A challenge is a signed word that a password was right, for some minutes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

import pyotp
from cryptography.fernet import Fernet, InvalidToken

ISSUER = "Marquee"
RECOVERY_CODES = 10
CHALLENGE_SECONDS = 300
_WINDOW = 1  # steps of 30 s before and after now: clocks of phones differ (RFC 6238, 5.2)
_CODE = re.compile(r"[0-9]{6}", re.ASCII)
_RECOVERY_BYTES = 10  # 80 random bits need no salt and no slow hash
_RECOVERY = re.compile(r"[A-Z2-7]{16}", re.ASCII)
_CHALLENGE = re.compile(r"([a-z0-9_]{1,64})\.(\d{1,9})\.(\d{1,11})\.([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A sign-in whose password was right, in the account's `session_epoch`."""

    user_id: str
    session_epoch: int


class SecondFactors:
    """Maker and reader of secrets, codes and challenges of one service."""

    def __init__(self, secret: bytes) -> None:
        key = hmac.digest(secret, b"marquee second factors 1", hashlib.sha256)
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._challenge_key = hmac.digest(secret, b"marquee challenges 1", hashlib.sha256)

    def generate_secret(self) -> str:
        """Generate a secret of 160 bits, in base32."""
        return pyotp.random_base32()

    def encrypt(self, secret: str) -> str:
        """Encrypt a secret for storage."""
        return self._fernet.encrypt(secret.encode()).decode()

    def build_uri(self, secret: str, account: str) -> str:
        """Build the `otpauth:` address that authenticators read, mostly from a QR code."""
        return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER)

    def find_step(self, encrypted: str, code: str, now: float) -> int | None:
        """Find the time step whose code this is; None for a wrong code."""
        text = _strip(code)
        if not _CODE.fullmatch(text):
            return None
        totp = pyotp.TOTP(self._decrypt(encrypted))
        step = int(now) // totp.interval
        steps = range(step - _WINDOW, step + _WINDOW + 1)
        matches = [
            one for one in steps if hmac.compare_digest(totp.generate_otp(one), text)
        ]  # all are compared, whichever it is
        return matches[-1] if matches else None

    def _decrypt(self, encrypted: str) -> str:
        """Decrypt a stored secret; one of another JWT_SECRET matches no code."""
        try:
            return self._fernet.decrypt(encrypted).decode()
        except InvalidToken:
            return pyotp.random_base32()

    def issue_challenge(self, challenge: Challenge, now: float) -> str:
        """Issue a token that says: the password was right."""
        expires_at = int(now) + CHALLENGE_SECONDS
        text = f"{challenge.user_id}.{challenge.session_epoch}.{expires_at}"
        return f"{text}.{self._sign(text)}"

    def verify_challenge(self, token: str, now: float) -> Challenge | None:
        """Read a challenge; None if it is not ours or its time is over."""
        match = _CHALLENGE.fullmatch(token)
        if match is None:
            return None
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._sign(text)) or int(match[3]) <= now:
            return None
        return Challenge(match[1], int(match[2]))

    def _sign(self, text: str) -> str:
        return hmac.digest(self._challenge_key, text.encode(), hashlib.sha256).hex()


def generate_recovery_codes() -> list[str]:
    """Generate recovery codes, each of 16 characters in groups of four."""
    codes = (secrets.token_bytes(_RECOVERY_BYTES) for _ in range(RECOVERY_CODES))
    texts = (base64.b32encode(code).decode() for code in codes)
    return ["-".join(text[at : at + 4] for at in range(0, 16, 4)) for text in texts]


def hash_recovery_code(code: str) -> str | None:
    """Hash a recovery code for storage; None if the text cannot be one."""
    text = _strip(code).upper()
    if not _RECOVERY.fullmatch(text):
        return None
    return hashlib.sha256(b"recovery code\0" + text.encode()).hexdigest()


def _strip(code: str) -> str:
    return re.sub(r"[\s-]", "", code[:64])
