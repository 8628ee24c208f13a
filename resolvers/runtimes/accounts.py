"""What sign-in, profiles, mail and API keys have connected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.accounts.breached_passwords import BreachedPasswords
from services.accounts.device_tokens import DeviceTokens
from services.accounts.mail import Mailer
from services.accounts.passwords import Passwords
from services.accounts.revocations import Revocations
from services.accounts.second_factors import SecondFactors
from services.accounts.tokens import AccessTokens
from services.cache.ttl_cache import TtlCache
from services.limits.throttles import Throttles


def _build_api_key_cache() -> TtlCache[Any]:
    return TtlCache(fresh_seconds=1, stale_seconds=60)


@dataclass(frozen=True, slots=True)
class AccountsRuntime:
    """Who signs in: tokens and their revocations, passwords, attempts, and the mail sent."""

    access_tokens: AccessTokens
    revocations: Revocations
    passwords: Passwords
    throttles: Throttles
    mailer: Mailer
    device_tokens: DeviceTokens
    second_factors: SecondFactors
    breached_passwords: BreachedPasswords
    api_key_cache: TtlCache[Any] = field(default_factory=_build_api_key_cache)
