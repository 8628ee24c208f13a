"""What sign-in, profiles, mail and API keys have connected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.accounts.breached_passwords import BreachedPasswords
from services.accounts.device_tokens import DeviceTokens
from services.accounts.mail import Mailer
from services.accounts.passwords import Passwords
from services.accounts.revocations import Revocations
from services.accounts.second_factors import SecondFactors
from services.accounts.tokens import AccessTokens
from services.cache.ttl_cache import TtlCache
from services.limits.abuse_rules import Signal
from services.limits.throttles import Throttles


def _build_api_key_cache() -> TtlCache[Any]:
    return TtlCache(fresh_seconds=1, stale_seconds=60)


class SignalListener(Protocol):
    """Take note of a suspicious event from a client's address, or of an account."""

    def __call__(self, address: str | None, signal: Signal, *, account: str | None) -> object: ...


# Erases what a subject keeps of this user beside MongoDB; False: some is still on its way there.
Eraser = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class AccountsRuntime:
    """Who signs in: tokens and their revocations, passwords, attempts, and the mail sent.

    Later subjects register with `signal_listeners` and `erasers` when they are opened.
    """

    access_tokens: AccessTokens
    revocations: Revocations
    passwords: Passwords
    throttles: Throttles
    mailer: Mailer
    device_tokens: DeviceTokens
    second_factors: SecondFactors
    breached_passwords: BreachedPasswords
    api_key_cache: TtlCache[Any] = field(default_factory=_build_api_key_cache)
    signal_listeners: list[SignalListener] = field(default_factory=list)
    erasers: list[Eraser] = field(default_factory=list)
