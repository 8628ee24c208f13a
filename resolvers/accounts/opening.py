"""Opening and closing what accounts have connected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import models
from resolvers.runtimes import AccountsRuntime
from services import http_client
from services.accounts.breached_passwords import BreachedPasswords
from services.accounts.device_tokens import DeviceTokens
from services.accounts.mail import open_mailer
from services.accounts.passwords import Passwords
from services.accounts.revocations import Revocations
from services.accounts.second_factors import SecondFactors
from services.accounts.token_keys import open_keys
from services.accounts.tokens import AccessTokens
from services.limits.sliding_window import SlidingWindows
from services.limits.throttles import Throttles
from services.redis import cache_keys, pool
from services.settings.settings import Settings

# A media address lives up to five minutes beyond its lifetime; clocks differ.
_REVOKED_LATEST_SECONDS = 600


@asynccontextmanager
async def open_accounts(settings: Settings, state: pool.Client) -> AsyncIterator[AccountsRuntime]:
    """Open tokens, revocations, passwords, throttles and the mailer; `state` never evicts."""
    async with (
        open_revocations(settings, state) as revocations,
        http_client.connect(settings.breached_passwords_timeout_seconds) as client,
    ):
        with closing(Passwords()) as passwords:
            yield AccountsRuntime(
                access_tokens=_build_access_tokens(settings),
                revocations=revocations,
                passwords=passwords,
                throttles=Throttles(settings, SlidingWindows(state)),
                mailer=open_mailer(settings),
                device_tokens=DeviceTokens(settings.secret_bytes),
                second_factors=SecondFactors(settings.secret_bytes),
                breached_passwords=BreachedPasswords(
                    client,
                    settings.breached_passwords_url,
                    settings.breached_passwords_timeout_seconds,
                ),
            )


@asynccontextmanager
async def open_revocations(settings: Settings, state: pool.Client) -> AsyncIterator[Revocations]:
    """Open the list of revoked sign-ins and follow its changes."""
    revocations = Revocations(
        state,
        settings.redis_key_prefix + cache_keys.REVOCATIONS,
        models.RevocationStore(),
        lifetime_seconds=_REVOKED_LATEST_SECONDS
        + max(settings.access_token_seconds, settings.media_address_seconds),
    )
    try:
        await revocations.start()
        yield revocations
    finally:
        await revocations.aclose()


def _build_access_tokens(settings: Settings) -> AccessTokens:
    return AccessTokens(open_keys(settings), lifetime_seconds=settings.access_token_seconds)
