"""Opening and closing what sources have connected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing

from resolvers.runtimes import Media, SourcesRuntime
from services import http_client
from services.accounts.revocations import Revocations
from services.breaker import breaker
from services.breaker.breaker import BreakerRules, BreakerSnapshot, CircuitBreakers
from services.media.library import DEMO, MediaLibrary
from services.media.signed_urls import MediaUrlSigner
from services.providers import Chain, open_chain
from services.providers.overrides import ProviderSettings
from services.redis import cache_keys, pool
from services.redis.hub import Hub
from services.settings.settings import Settings


@asynccontextmanager
async def open_sources(
    settings: Settings, state: pool.Client, revocations: Revocations
) -> AsyncIterator[SourcesRuntime]:
    """Open providers, breakers and the media library.

    Args:
        state: a Redis that never evicts.
        revocations: a film's URL ends with the sign-in it was made for.
    """
    changed = ProviderSettings()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        breakers = await enter(aclosing(_build_breakers(settings, state)))
        yield SourcesRuntime(
            breakers=breakers,
            breakers_changed=await enter(aclosing(_build_breaker_hub(settings, state))),
            providers=await enter(_open_providers(settings, changed, breakers)),
            provider_settings=changed,
            media=await enter(_open_media(settings, revocations)),
        )


def _build_breakers(settings: Settings, state: pool.Client) -> CircuitBreakers:
    rules = BreakerRules.of(settings)
    return CircuitBreakers(state, rules, prefix=settings.redis_key_prefix)


def _build_breaker_hub(settings: Settings, state: pool.Client) -> Hub[BreakerSnapshot]:
    stream = settings.redis_key_prefix + cache_keys.BREAKERS_CHANGED
    return Hub(state, stream, breaker.BreakerChangeReducer)


@asynccontextmanager
async def _open_providers(
    settings: Settings, changed: ProviderSettings, breakers: CircuitBreakers
) -> AsyncIterator[Chain]:
    async with http_client.connect(settings.provider_timeout_seconds) as client:
        yield open_chain(settings, client, changed, breakers)


@asynccontextmanager
async def _open_media(settings: Settings, revocations: Revocations) -> AsyncIterator[Media]:
    """Open the media library.

    In development a title without films of its own plays the demo clip, if there is one.
    """
    fallback = None if settings.is_production else DEMO
    addresses = MediaUrlSigner(
        settings.secret_bytes,
        lifetime_seconds=settings.media_address_seconds,
        binds_address=settings.media_bind_address,
    )

    async def is_login_revoked(login_id: str) -> bool:
        return revocations.is_login_revoked(login_id)

    with closing(MediaLibrary(settings.data_dir / "media", fallback=fallback)) as library:
        yield Media(library, addresses, is_login_revoked)
