"""Connecting what a process needs: open_runtime, and parts of it for tests and commands.

Nothing is opened when a module is imported: clients belong to the event loop they are made in.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from typing import Any, TypeVar

import models
from resolvers.context import Jobs, Media, Playback, Runtime
from services import http_client
from services.accounts.mail import open_mailer
from services.accounts.passwords import Passwords
from services.accounts.revocations import Revocations
from services.accounts.token_keys import open_keys
from services.accounts.tokens import AccessTokens
from services.breaker import breaker
from services.breaker.breaker import BreakerRules, BreakerSnapshot, CircuitBreakers
from services.cache.cache import Cache
from services.cache.tracking import CacheTracking
from services.cdn import open_cdn
from services.cdn.outbox import PurgeOutbox
from services.errors import UpstreamUnavailable
from services.limits.abuse_watch import AbuseWatch
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows
from services.limits.throttles import Throttles
from services.media.library import DEMO, MediaLibrary
from services.media.signed_urls import MediaUrlSigner
from services.playback.buffer import ProgressBuffer
from services.playback.dead_letters import DeadLetters
from services.playback.keys import ProgressKeys
from services.playback.notifications import ProgressNotifications
from services.playback.personal_keys import PersonalKeys
from services.playback.repairs import RepairFlag
from services.playback.sessions import SESSION_SECONDS, ViewingSessions
from services.playback.state import Rules
from services.playback.stream import ProgressStream
from services.production_check import reject_unsafe_settings
from services.providers import Chain, open_chain
from services.providers.overrides import ProviderSettings
from services.redis import cache_keys, job_queue, pool
from services.redis.hub import Hub, Reducer
from services.redis.job_queue import JobQueue
from services.redis.scripts import ScriptCalls
from services.settings.settings import Settings
from services.telemetry import live_metrics
from services.telemetry.live_metrics import LiveMetrics, Point
from services.tmdb.client import open_tmdb

T = TypeVar("T")
# A media address lives up to five minutes beyond its lifetime; clocks differ.
_REVOKED_LATEST_SECONDS = 600


def _build_breakers(settings: Settings, redis: pool.Client) -> CircuitBreakers:
    rules = BreakerRules.of(settings)
    return CircuitBreakers(ScriptCalls(redis), rules, prefix=settings.redis_key_prefix)


def _build_state_hub(
    settings: Settings, redis: pool.Client, stream: str, fold: Callable[[], Reducer[T]]
) -> Hub[T]:
    blocking = pool.connect_blocking(settings, state=True)
    return Hub(redis, blocking, settings.redis_key_prefix + stream, fold)


def _open_breaker_hub(settings: Settings, redis: pool.Client) -> Hub[BreakerSnapshot]:
    return _build_state_hub(
        settings, redis, cache_keys.BREAKERS_CHANGED, breaker.BreakerChangeReducer
    )


def _build_jobs(settings: Settings, redis: pool.Client) -> Jobs:
    changed = _build_state_hub(settings, redis, cache_keys.JOBS_CHANGED, job_queue.JobChangeReducer)
    return Jobs(JobQueue(redis, settings.redis_key_prefix), changed)


def _build_metrics_hub(settings: Settings, redis: pool.Client) -> Hub[Point]:
    stream = settings.redis_key_prefix + cache_keys.METRICS_STREAM
    return Hub(redis, pool.connect_blocking(settings), stream, live_metrics.SampleReducer)


def _build_progress_notifications(settings: Settings) -> ProgressNotifications:
    blocking = pool.connect_blocking(settings, state=True)
    return ProgressNotifications(blocking, _progress_keys(settings))


@asynccontextmanager
async def _open_abuse_watch(settings: Settings, redis: pool.Client) -> AsyncIterator[AbuseWatch]:
    async with aclosing(AbuseWatch(settings, redis)) as watch:
        await watch.start()
        yield watch


def _build_rate_limiter(settings: Settings, redis: pool.Client) -> RateLimiter:
    return RateLimiter(settings, SlidingWindows(ScriptCalls(redis)))


@asynccontextmanager
async def _open_providers(
    settings: Settings, changed: ProviderSettings, breakers: CircuitBreakers
) -> AsyncIterator[Chain]:
    async with http_client.connect(settings.provider_timeout_seconds) as client:
        yield open_chain(settings, client, changed, breakers)


@asynccontextmanager
async def open_cache(settings: Settings, redis: pool.Client) -> AsyncIterator[Cache]:
    """Open the cache tiers; Redis's invalidation messages keep process memory current."""
    prefix = settings.redis_key_prefix
    cache = Cache(redis, tiers=settings.cache_tiers, prefix=prefix)
    if not cache.uses_memory or not cache.uses_redis:
        yield cache
        return
    blocking = pool.connect_blocking(settings)
    tracking = CacheTracking(blocking, cache, cache_keys.tracked_prefixes(prefix))
    await tracking.start()
    try:
        yield cache
    finally:
        await tracking.aclose()
        await blocking.aclose()


def open_playback(settings: Settings, redis: pool.Client) -> Playback:
    """Build playback's stores on the state Redis."""
    scripts = ScriptCalls(redis)
    keys = _progress_keys(settings)
    return Playback(
        ViewingSessions(
            redis, scripts, keys, heartbeat_seconds=settings.playback_heartbeat_seconds
        ),
        ProgressBuffer(
            redis,
            scripts,
            keys,
            session_seconds=SESSION_SECONDS,
            shard_entries=settings.progress_shard_entries,
            rules=_progress_rules(settings),
        ),
        ProgressStream(
            redis, scripts, keys, claim_idle_seconds=settings.progress_claim_idle_seconds
        ),
        DeadLetters(redis, scripts, keys),
        RepairFlag(),
    )


@asynccontextmanager
async def open_media(settings: Settings, revocations: Revocations) -> AsyncIterator[Media]:
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


def _progress_rules(settings: Settings) -> Rules:
    """The rules of progress. A player holds its position for three missed heartbeats."""
    return Rules(
        completed_percent=settings.progress_completed_percent,
        completed_least_seconds=settings.progress_completed_least_seconds,
        short_session_seconds=settings.progress_short_session_seconds,
        hold_seconds=3 * settings.playback_heartbeat_seconds,
    )


async def _check_repairs(flag: RepairFlag) -> None:
    """Look for open repairs before anything is read; from then on a worker does."""
    snapshot = flag.snapshot
    try:
        is_set = bool(await models.list_open_repairs(1))
    except UpstreamUnavailable:
        is_set = True  # unknown: reads compare
    flag.update(snapshot, is_set=is_set)


@asynccontextmanager
async def open_runtime(settings: Settings, listeners: Sequence[Any] = ()) -> AsyncIterator[Runtime]:
    """Connect everything a process needs, and close it in reverse order.

    Args:
        listeners: PyMongo command listeners.

    Raises:
        StartupError: a setting is unsafe or missing, or MongoDB does not answer.
    """
    reject_unsafe_settings(settings)
    async with AsyncExitStack() as stack:
        yield await _connect_all(settings, listeners, stack)


async def _connect_all(
    settings: Settings, listeners: Sequence[Any], stack: AsyncExitStack
) -> Runtime:
    enter = stack.enter_async_context
    redis = state = await enter(aclosing(pool.connect(settings)))
    if settings.state_redis_url:
        state = await enter(aclosing(pool.connect(settings, state=True)))
    await enter(models.connect_database(settings, listeners))
    playback = open_playback(settings, state)
    await _check_repairs(playback.repairs)
    breakers = await enter(aclosing(_build_breakers(settings, state)))
    revocations = await enter(open_revocations(settings, state))
    provider_settings = ProviderSettings()
    return Runtime(
        settings=settings,
        redis=redis,
        state_redis=state,
        cache=await enter(open_cache(settings, redis)),
        access_tokens=_access_tokens(settings),
        revocations=revocations,
        passwords=stack.enter_context(closing(Passwords())),
        cdn=await enter(open_cdn(settings)),
        purge_outbox=PurgeOutbox(state, settings.redis_key_prefix),
        breakers=breakers,
        breakers_changed=await enter(aclosing(_open_breaker_hub(settings, state))),
        providers=await enter(_open_providers(settings, provider_settings, breakers)),
        provider_settings=provider_settings,
        live_metrics=LiveMetrics(f"{socket.gethostname()}-{os.getpid()}"),
        metrics_hub=await enter(aclosing(_build_metrics_hub(settings, redis))),
        progress_notifications=await enter(aclosing(_build_progress_notifications(settings))),
        jobs=await enter(aclosing(_build_jobs(settings, state))),
        tmdb=await enter(open_tmdb(settings)),
        media=await enter(open_media(settings, revocations)),
        playback=playback,
        rate_limiter=await enter(aclosing(_build_rate_limiter(settings, redis))),
        throttles=Throttles(settings, SlidingWindows(ScriptCalls(state))),
        abuse_watch=await enter(_open_abuse_watch(settings, state)),
        mailer=open_mailer(settings),
        personal_keys=PersonalKeys(state, _progress_keys(settings), playback.dead_letters),
    )


def _progress_keys(settings: Settings) -> ProgressKeys:
    return ProgressKeys(settings.progress_shards, settings.redis_key_prefix)


def _access_tokens(settings: Settings) -> AccessTokens:
    return AccessTokens(open_keys(settings), lifetime_seconds=settings.access_token_seconds)


@asynccontextmanager
async def open_revocations(settings: Settings, redis: pool.Client) -> AsyncIterator[Revocations]:
    """Open the list of revoked sign-ins and follow its changes."""
    revocations = Revocations(
        redis,
        pool.connect_blocking(settings, state=True),
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
