"""What finding something to play has connected: providers, breakers, our own films."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from services.breaker.breaker import BreakerSnapshot, CircuitBreakers
from services.cache.single_flight import SingleFlight
from services.media.library import MediaLibrary
from services.media.signed_urls import MediaUrlSigner
from services.providers import Chain
from services.providers.overrides import ProviderSettings
from services.redis.hub import Hub


async def _never_revoked(_login_id: str) -> bool:
    return False


def _build_fetches() -> SingleFlight[Any]:
    return SingleFlight(cancel_abandoned=True)


@dataclass(frozen=True, slots=True)
class Media:
    """Our own films: the library, its signed URLs, and whether a sign-in was revoked.

    `is_revoked` is called for every file, so it mostly answers from memory.
    """

    library: MediaLibrary
    addresses: MediaUrlSigner
    is_revoked: Callable[[str], Awaitable[bool]] = _never_revoked


@dataclass(frozen=True, slots=True)
class SourcesRuntime:
    """The providers with their breakers, and our own films.

    `fetches` has the calls of providers that are under way, by the key of their answer.
    """

    breakers: CircuitBreakers
    breakers_changed: Hub[BreakerSnapshot]
    providers: Chain
    provider_settings: ProviderSettings
    media: Media
    fetches: SingleFlight[Any] = field(default_factory=_build_fetches)
