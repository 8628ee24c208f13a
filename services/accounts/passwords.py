"""Passwords judged, and hashed by argon2id (RFC 9106), in two threads off the event loop.

Memory and waiting are bounded: two hashes at a time, a short queue, a deadline. An account that
does not exist costs the same as a wrong password, so time does not tell who is registered.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.accounts import password_policy
from services.errors import OperationTimeout, RateLimited, ValidationFailed

T = TypeVar("T")
MAX_BYTES = 1024
_THREADS = 2
_MAX_WAITING = 64  # about a second of work
_DEADLINE_SECONDS = 5.0


class Passwords:
    """One per process. The costs are OWASP's first choice for argon2id: 19 MiB, two passes."""

    def __init__(
        self,
        *,
        memory_kib: int = 19 * 1024,
        passes: int = 2,
        max_waiting: int = _MAX_WAITING,
        deadline_seconds: float = _DEADLINE_SECONDS,
    ) -> None:
        self._argon2 = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
        self._dummy_hash = self._argon2.hash(secrets.token_bytes(16))
        self._max_waiting = max_waiting
        self._deadline_seconds = deadline_seconds
        self._waiting = 0

    async def refuse_weak(
        self, password: str, path: list[str], personal_texts: Iterable[str] = ()
    ) -> None:
        """Refuse a weak password, as `password_policy.refuse_weak` says.

        Raises:
            ValidationFailed, RateLimited, OperationTimeout.
        """
        await self._run(password_policy.refuse_weak, password, path, personal_texts)

    async def hash(self, password: str, path: Sequence[str] = ("password",)) -> str:
        """Hash a password: argon2's encoded text. `path` is the input field it came in.

        Raises:
            ValidationFailed, RateLimited, OperationTimeout: see `_run`.
        """
        return await self._run(self._argon2.hash, canonicalize(password, path))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Check a password against a stored hash; None (no such account) takes as long."""
        secret = canonicalize(password)
        matches = await self._run(self._matches, stored or self._dummy_hash, secret)
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Say whether this hash was made at other costs than today's."""
        return self._argon2.check_needs_rehash(stored)

    def close(self) -> None:
        """End the hashing threads after the hash they are at."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _matches(self, stored: str, secret: bytes) -> bool:
        try:
            return self._argon2.verify(stored, secret)
        except (VerificationError, InvalidHashError, UnicodeError):
            return False

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        """In a thread. Who gives up leaves the queue; a hash already begun is finished.

        Raises:
            RateLimited: too many are waiting already.
            OperationTimeout: no answer within the deadline.
        """
        if self._waiting >= self._max_waiting:
            raise RateLimited("Too many sign-ins at this moment.", retry_after_seconds=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, work, *arguments
                )
        except TimeoutError as error:
            raise OperationTimeout("Checking the password took too long.") from error
        finally:
            self._waiting -= 1


def canonicalize(password: str, path: Sequence[str] = ("password",)) -> bytes:
    """Encode a password as the bytes that are hashed: UTF-8 of its NFC form (RFC 8265).

    Raises:
        ValidationFailed: longer than 1 KB, or not text.
    """
    try:
        size = len(password.encode())
    except UnicodeEncodeError as error:
        raise ValidationFailed("The password is not valid text.", path=path) from error
    if size > MAX_BYTES:
        raise ValidationFailed("The password is longer than 1 KB.", path=path)
    return unicodedata.normalize("NFC", password).encode()
