"""Runtime lives as long as the process, Context as long as one operation (or a stream's event).

Everything a resolver may touch is reached from here, so a test or the command line can call it too.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import models
from loaders import CachedLoader, Fields, Tally
from services import cache_keys, http_client, job_queue, live_metrics, redis_pool
from services.broadcast import Hub
from services.cache import Cache
from services.cache_tracking import CacheTracking
from services.cdn import Passthrough, open_cdn
from services.errors import Forbidden, Unauthenticated
from services.job_queue import JobQueue
from services.live_metrics import LiveMetrics, Point
from services.passwords import Passwords
from services.progress_buffer import ProgressBuffer
from services.progress_keys import ProgressKeys
from services.progress_stream import ProgressStream
from services.providers import Chain, open_chain
from services.scripts import ScriptCalls
from services.settings import Settings, refuse_unsafe
from services.single_flight import SingleFlight
from services.tmdb import Tmdb, open_tmdb
from services.tokens import AccessTokens, Key
from services.viewing_sessions import SESSION_SECONDS, ViewingSessions

L = TypeVar("L", bound=CachedLoader[Any])


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks, as the verified access token says."""

    user_id: str
    role: models.Role
    tier: models.AccountTier
    login_id: str


@dataclass(frozen=True, slots=True)
class Playback:
    """Who is watching what: open sessions, their progress in Redis, and its way to MongoDB."""

    sessions: ViewingSessions
    progress: ProgressBuffer
    stream: ProgressStream


@dataclass(frozen=True, slots=True)
class Jobs:
    """What runs later: the queue of jobs, and the news of how they go."""

    queue: JobQueue
    changed: Hub[str]


@dataclass(frozen=True, slots=True)
class Runtime:
    """One per process. `clock` is the wall clock in seconds; tests pass their own."""

    settings: Settings
    redis: redis_pool.Client
    cache: Cache
    access_tokens: AccessTokens
    passwords: Passwords
    cdn: Passthrough
    playback: Playback
    providers: Chain
    live_metrics: LiveMetrics
    metrics_hub: Hub[Point]
    jobs: Jobs
    tmdb: Tmdb
    source_fetches: SingleFlight[Any] = field(
        default_factory=lambda: SingleFlight(stops_unwanted=True)
    )
    started_at: float = field(default_factory=time.time)
    clock: Callable[[], float] = time.time


@dataclass(slots=True)
class Context:
    """One per operation: who asks, until when, and the loaders made so far."""

    runtime: Runtime
    viewer: Viewer | None = None
    request_id: str = "-"
    client_address: str | None = None
    user_agent: str | None = None
    is_degraded: bool = False  # something stale was served, for want of better
    tally: Tally | None = None  # which tier answered what; counted for who asks in development
    batches: dict[Any, Any] = field(default_factory=dict)  # of fields, by graphql-core
    _loaders: dict[type[Any], Any] = field(default_factory=dict)

    @property
    def cache(self) -> Cache:
        return self.runtime.cache

    @property
    def viewer_id(self) -> str | None:
        return self.viewer.user_id if self.viewer is not None else None

    @property
    def progress_buffer(self) -> ProgressBuffer:
        return self.runtime.playback.progress

    def loader(self, kind: type[L]) -> L:
        """The operation's one loader of this class."""
        found = self._loaders.get(kind)
        if found is None:
            found = self._loaders[kind] = kind(self)
        return found

    async def load(self, kind: type[CachedLoader[Any]], key: str) -> Any:
        """One thing by key, or None; gathered with what others ask for in the same moment."""
        return await self.loader(kind).load(key)

    async def load_many(
        self, kind: type[CachedLoader[Any]], keys: Iterable[str], fields: Fields = None
    ) -> dict[str, Any]:
        """Things by key (None where there is none), each missing tier asked once."""
        return await self.loader(kind).many(keys, fields)

    def keys_read(self) -> set[str]:
        """Cache keys of everything this operation saw."""
        return {key for loader in self._loaders.values() for key in loader.keys_read()}

    def require(self, role: models.Role) -> Viewer:
        """The viewer, if its rights reach `role`.

        Raises:
            Unauthenticated: nobody is signed in.
            Forbidden: the viewer's role is too low.
        """
        if self.viewer is None:
            raise Unauthenticated("Sign in to use this.")
        if self.viewer.role.rank < role.rank:
            raise Forbidden(f"This needs the role {role.value}.")
        return self.viewer

    def for_event(self) -> Context:
        """The same asker with fresh loaders: every event sees the data of its moment."""
        return Context(
            self.runtime, self.viewer, self.request_id, self.client_address, self.user_agent
        )


@asynccontextmanager
async def _providers(settings: Settings) -> AsyncIterator[Chain]:
    async with http_client.connect(settings.provider_timeout_seconds) as client:
        yield open_chain(settings, client)


@asynccontextmanager
async def _metrics_hub(settings: Settings, redis: redis_pool.Client) -> AsyncIterator[Hub[Point]]:
    stream = settings.redis_key_prefix + cache_keys.METRICS_STREAM
    hub = Hub(redis, redis_pool.connect_blocking(settings), stream, live_metrics.Fold)
    try:
        yield hub
    finally:
        await hub.aclose()


@asynccontextmanager
async def open_jobs(settings: Settings, redis: redis_pool.Client) -> AsyncIterator[Jobs]:
    prefix = settings.redis_key_prefix
    blocking = redis_pool.connect_blocking(settings)
    hub = Hub(redis, blocking, prefix + cache_keys.JOBS_CHANGED, job_queue.Changed)
    try:
        yield Jobs(JobQueue(redis, prefix), hub)
    finally:
        await hub.aclose()


@asynccontextmanager
async def open_cache(settings: Settings, redis: redis_pool.Client) -> AsyncIterator[Cache]:
    """The cache tiers, with process memory kept right by what Redis tells of changes."""
    prefix = settings.redis_key_prefix
    cache = Cache(redis, tiers=settings.cache_tiers, prefix=prefix)
    if not cache.uses_memory or not cache.uses_redis:
        yield cache
        return
    blocking = redis_pool.connect_blocking(settings)
    tracking = CacheTracking(blocking, cache, cache_keys.tracked_prefixes(prefix))
    await tracking.start()
    try:
        yield cache
    finally:
        await tracking.aclose()
        await blocking.aclose()


def open_playback(settings: Settings, redis: redis_pool.Client) -> Playback:
    scripts = ScriptCalls(redis)
    keys = ProgressKeys(settings.progress_shards, settings.redis_key_prefix)
    return Playback(
        ViewingSessions(redis, scripts, keys),
        ProgressBuffer(
            redis,
            scripts,
            keys,
            session_seconds=SESSION_SECONDS,
            shard_entries=settings.progress_shard_entries,
        ),
        ProgressStream(
            redis, scripts, keys, claim_idle_seconds=settings.progress_claim_idle_seconds
        ),
    )


@asynccontextmanager
async def open_runtime(settings: Settings, listeners: Sequence[Any] = ()) -> AsyncIterator[Runtime]:
    """Connects everything a process needs and closes it in reverse order.

    `listeners` are PyMongo command listeners.

    Raises:
        StartupError: a setting is unsafe or missing, or MongoDB does not answer.
    """
    refuse_unsafe(settings)
    redis = redis_pool.connect(settings)
    access_tokens = AccessTokens(
        [Key.from_secret(settings.secret_bytes)], lifetime_seconds=settings.access_token_seconds
    )
    passwords = Passwords()
    async with (
        models.connected(settings, listeners),
        _providers(settings) as providers,
        _metrics_hub(settings, redis) as hub,
        open_jobs(settings, redis) as jobs,
        open_tmdb(settings) as tmdb,
        open_cache(settings, redis) as cache,
    ):
        try:
            yield Runtime(
                settings=settings,
                redis=redis,
                cache=cache,
                access_tokens=access_tokens,
                passwords=passwords,
                cdn=open_cdn(settings),
                providers=providers,
                live_metrics=LiveMetrics(f"{socket.gethostname()}-{os.getpid()}"),
                metrics_hub=hub,
                jobs=jobs,
                tmdb=tmdb,
                playback=open_playback(settings, redis),
            )
        finally:
            passwords.close()
            await redis.aclose()
