"""Opening and closing what operations have connected."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import models
from resolvers.ops.health_and_metrics import has_status_changed
from resolvers.runtimes import Jobs, OpsRuntime
from services.documents.store import DocumentStore
from services.limits.abuse_watch import AbuseWatch
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows
from services.redis import cache_keys, job_queue, pool
from services.redis.hub import Hub
from services.redis.job_queue import JobQueue
from services.settings.settings import Settings
from services.telemetry import live_metrics
from services.telemetry.live_metrics import LiveMetrics, Point
from services.watched_value import WatchedValue


@asynccontextmanager
async def open_ops(
    settings: Settings, redis: pool.Client, state: pool.Client
) -> AsyncIterator[OpsRuntime]:
    """Open metrics, jobs, limits, the abuse watch and the store of documents.

    Args:
        redis: the cache's, which may evict.
        state: one that never evicts.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        yield OpsRuntime(
            live_metrics=LiveMetrics(f"{socket.gethostname()}-{os.getpid()}"),
            metrics_hub=await enter(aclosing(_build_metrics_hub(settings, redis))),
            jobs=await enter(_open_jobs(settings, state)),
            rate_limiter=await enter(aclosing(_build_rate_limiter(settings, redis))),
            abuse_watch=await enter(_open_abuse_watch(settings, state)),
            health_watch=await enter(
                aclosing(WatchedValue("health watch", differs=has_status_changed))
            ),
            documents=_build_documents(settings, redis, state),
        )


def _build_metrics_hub(settings: Settings, redis: pool.Client) -> Hub[Point]:
    stream = settings.redis_key_prefix + cache_keys.METRICS_STREAM
    return Hub(redis, stream, live_metrics.SampleReducer, live_metrics.LONGEST_STEP_MS)


@asynccontextmanager
async def _open_jobs(settings: Settings, state: pool.Client) -> AsyncIterator[Jobs]:
    stream = settings.redis_key_prefix + cache_keys.JOBS_CHANGED
    async with aclosing(Hub(state, stream, job_queue.JobChangeReducer)) as changed:
        yield Jobs(JobQueue(state, settings.redis_key_prefix), changed)


def _build_documents(settings: Settings, redis: pool.Client, state: pool.Client) -> DocumentStore:
    return DocumentStore(redis, state, settings.redis_key_prefix, models.DocumentCopies())


def _build_rate_limiter(settings: Settings, redis: pool.Client) -> RateLimiter:
    return RateLimiter(settings, SlidingWindows(redis))


@asynccontextmanager
async def _open_abuse_watch(settings: Settings, state: pool.Client) -> AsyncIterator[AbuseWatch]:
    async with aclosing(AbuseWatch(settings, state)) as watch:
        await watch.start()
        yield watch
