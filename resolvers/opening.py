"""Connecting what a process needs: shared stores first, then each subject on them.

Nothing is opened when a module is imported: clients belong to the event loop they are made in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import models
from resolvers.accounts.opening import open_accounts
from resolvers.catalog.opening import open_catalog
from resolvers.context import Runtime
from resolvers.ops.opening import open_ops
from resolvers.playback.erasure import build_eraser
from resolvers.playback.opening import open_playback
from resolvers.sources.opening import open_sources
from services.cache.cache import Cache
from services.cache.tracking import CacheTracking
from services.production_check import reject_unsafe_settings
from services.redis import cache_keys, pool
from services.settings.settings import Settings
from services.startup_check import reject_faults


@asynccontextmanager
async def open_runtime(
    settings: Settings, listeners: Sequence[Any] = (), *, may_start_degraded: bool = False
) -> AsyncIterator[Runtime]:
    """Connect everything a process needs, and close it in reverse order.

    Args:
        listeners: PyMongo command listeners.
        may_start_degraded: open it while MongoDB is away; it is used once it answers.

    Raises:
        StartupError: a setting is unsafe, missing or cannot be read, or MongoDB does not answer.
    """
    reject_faults(settings)
    reject_unsafe_settings(settings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        redis = state = await enter(aclosing(pool.connect(settings)))
        if settings.state_redis_url:
            state = await enter(aclosing(pool.connect(settings, state=True)))
        await enter(models.connect_database(settings, listeners, may_be_away=may_start_degraded))
        accounts = await enter(open_accounts(settings, state))
        runtime = Runtime(
            settings=settings,
            redis=redis,
            state_redis=state,
            cache=await enter(open_cache(settings, redis)),
            accounts=accounts,
            catalog=await enter(open_catalog(settings, state)),
            sources=await enter(open_sources(settings, state, accounts.revocations)),
            playback=await enter(open_playback(settings, state)),
            ops=await enter(open_ops(settings, redis, state)),
        )
        accounts.erasers.append(build_eraser(runtime.playback.personal_keys))
        accounts.signal_listeners.append(runtime.ops.abuse_watch.record_signal)
        yield runtime


@asynccontextmanager
async def open_cache(settings: Settings, redis: pool.Client) -> AsyncIterator[Cache]:
    """Open the cache tiers; Redis's invalidation messages keep process memory current."""
    prefix = settings.redis_key_prefix
    cache = Cache(redis, tiers=settings.cache_tiers, prefix=prefix)
    if not cache.uses_memory or not cache.uses_redis:
        yield cache
        return
    tracking = CacheTracking(redis, cache, cache_keys.tracked_prefix(prefix))
    await tracking.start()
    try:
        yield cache
    finally:
        await tracking.aclose()
