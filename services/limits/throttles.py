"""Throttles of sign-ins, mails, registrations and mailed tokens.

Every attempt is counted before it is made, so that many at once cannot evade the limit; successful
sign-ins are refunded. Counted in the state's Redis (sliding_window.py) under a hash of the account
name, which need not exist: a refusal does not reveal whether it does.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from services.errors import RateLimited
from services.limits.address_prefixes import group_household
from services.limits.sliding_window import SlidingWindows, WindowLimits
from services.redis import cache_keys
from services.settings.settings import Settings
from services.telemetry import metrics


class Throttle(Enum):
    """Throttled actions."""

    LOGIN = "login"  # also when a signed-in user re-enters the password
    SECOND_FACTOR = "second_factor"  # codes, by who knows the password
    MAIL = "mail"  # verification and reset mails
    REGISTER = "register"
    RESET = "reset"  # attempts to use a mailed token


class ThrottleRule(NamedTuple):
    """Attempts allowed in a window; None: not counted that way.

    `pair` limits one account from one address, or from one device that signed in to it before;
    `account` one account from anywhere, but from such devices. The second is looser, so that a
    stranger's failures do not lock the owner out.
    """

    window_seconds: int
    pair: int | None = None
    account: int | None = None
    address: int | None = None


class _Counter(NamedTuple):
    key: str
    limits: WindowLimits


class Throttles:
    """The throttles of one process."""

    def __init__(self, settings: Settings, windows: SlidingWindows) -> None:
        self._is_on = settings.throttles
        self._prefix = settings.redis_key_prefix
        self._windows = windows
        self._rules = _build_rules(settings)

    async def check(
        self,
        name: Throttle,
        *,
        account: str | None = None,
        address: str | None = None,
        device_id: str | None = None,
    ) -> None:
        """Count one attempt.

        Args:
            account: an email address or id as the client sent it, existing or not.
            device_id: a device that has signed in to the account, as its token proves.

        Raises:
            RateLimited: too many attempts; this one is not counted.
        """
        if not self._is_on:
            return
        counters = list(self._counters(name, account, address, device_id))
        results = await asyncio.gather(
            *(self._windows.acquire(key, limits) for key, limits in counters)
        )
        waits_ms = [one.retry_ms for one in results if one.refused_by]
        if not waits_ms:
            return
        for counter, one in zip(counters, results, strict=True):
            if not one.refused_by:
                await self._windows.release(counter.key, counter.limits, one, 1)
        metrics.throttled_total.labels(name.value).inc()
        raise RateLimited(
            "Too many tries: wait before the next one.",
            retry_after_seconds=math.ceil(max(waits_ms) / 1000),
        )

    async def refund(
        self,
        name: Throttle,
        *,
        account: str | None = None,
        address: str | None = None,
        device_id: str | None = None,
    ) -> None:
        """Refund one attempt that succeeded: of sign-ins only failures count."""
        if not self._is_on:
            return
        for key, limits in self._counters(name, account, address, device_id):
            await self._windows.release(key, limits, None, 1)

    def _counters(
        self, name: Throttle, account: str | None, address: str | None, device_id: str | None
    ) -> Iterator[_Counter]:
        rule = self._rules[name]
        account_hash = _hash_account(account) if account is not None else None
        block = group_household(address) if address is not None else None
        for most, parts in (
            (rule.pair, (account_hash, device_id or block or "unknown")),
            (rule.account if device_id is None else None, (account_hash,)),
            (rule.address, (block,)),
        ):
            if most is not None and None not in parts:
                subject = "@".join(str(part) for part in parts)
                key = self._prefix + cache_keys.THROTTLE.format(name.value, subject)
                yield _Counter(key, WindowLimits(rule.window_seconds * 1000, most))


def _hash_account(account: str) -> str:
    """Hash an account name, without regard to case, so that Redis has no email addresses."""
    text = account.strip().casefold().encode()
    return hashlib.blake2b(text, digest_size=12, person=b"throttle").hexdigest()


def _build_rules(settings: Settings) -> dict[Throttle, ThrottleRule]:
    window, hour = settings.login_window_seconds, settings.mail_window_seconds
    per_address = settings.login_tries_per_address
    return {
        Throttle.LOGIN: ThrottleRule(
            window,
            pair=settings.login_tries_per_account,
            account=settings.login_tries_per_account_everywhere,
            address=per_address,
        ),
        Throttle.SECOND_FACTOR: ThrottleRule(
            window, account=settings.login_tries_per_account, address=per_address
        ),
        Throttle.MAIL: ThrottleRule(
            hour,
            pair=settings.mails_per_account,
            account=settings.mails_per_account_everywhere,
            address=settings.mails_per_address,
        ),
        Throttle.REGISTER: ThrottleRule(hour, address=settings.registrations_per_address),
        Throttle.RESET: ThrottleRule(window, address=per_address),
    }
