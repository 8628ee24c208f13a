"""Check of new passwords against published breaches, by a service that never learns them.

Asked by the first five digits of the SHA-1 alone (k-anonymity), which some hundred others share;
the answer is padded, so its length tells nothing either. Without an answer in time a password
counts as unknown: a service elsewhere keeps nobody from changing a password.
Source: the range API of Have I Been Pwned, which others offer as well.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import httpx

from services.accounts.passwords import canonicalize
from services.errors import ValidationFailed
from services.http_client import HttpClient
from services.telemetry import metrics
from services.telemetry.logs import get_logger

_PREFIX_DIGITS = 5
_MAX_BYTES = 1024 * 1024  # an answer has some 40 KB
log = get_logger("accounts")


class BreachedPasswords:
    """Checker of one process; without an address nothing is asked."""

    def __init__(self, client: HttpClient, base_url: str, timeout_seconds: float) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds

    async def refuse_breached(self, password: str, path: Sequence[str]) -> None:
        """Refuse a password that is in a published breach.

        Raises:
            ValidationFailed: it is, or it is longer than 1 KB.
        """
        if not self._base_url:
            return
        digest = hashlib.sha1(canonicalize(password, path), usedforsecurity=False).hexdigest()
        digits = digest.upper()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._read(digits[:_PREFIX_DIGITS])
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            metrics.breached_password_checks_total.labels("unavailable").inc()
            log.warning("breached_passwords_unavailable", error=type(error).__name__)
            return
        is_breached = _contains(answer, digits[_PREFIX_DIGITS:])
        metrics.breached_password_checks_total.labels("breached" if is_breached else "clean").inc()
        if is_breached:
            message = "This password is in a published breach: choose another."
            raise ValidationFailed(message, path=path)

    async def _read(self, prefix: str) -> str:
        """Read the endings of all known hashes with this prefix.

        Raises:
            httpx.HTTPError, ValueError: there is no fit answer.
        """
        address, headers = f"{self._base_url}/range/{prefix}", {"Add-Padding": "true"}
        async with self._client.stream("GET", address, headers=headers) as response:
            response.raise_for_status()
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _MAX_BYTES:
                    raise ValueError("too long")
        return content.decode("ascii")


def _contains(answer: str, ending: str) -> bool:
    """Whether a line names the ending with a count above 0, which is padding's."""
    for line in answer.splitlines():
        digits, _, count = line.strip().partition(":")
        if digits.upper() == ending:
            return count.strip() not in ("", "0")
    return False
