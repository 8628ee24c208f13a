"""Processes the purge outbox: our caches first, then the CDN, many purges in few requests.

Promise: a due purge is attempted until it is done, or marked as failed for an operator after 15
failures. Any number of workers may run: a purge is leased to one at a time, and repeating it is
harmless.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import models
from models import PurgeRecord
from resolvers.catalog import purging
from resolvers.context import Runtime
from services.errors import PurgeFailed, UpstreamUnavailable
from services.telemetry import metrics
from services.telemetry.logs import get_logger

MAX_ATTEMPTS = 15
_AT_ONCE = 100
_LEASE_SECONDS = 120.0  # longer than a run may last
_LONGEST_BACKOFF_SECONDS = 1800.0
_REDIS_AWAY_SECONDS = 5.0
_GIVE_UP = timedelta(days=7)  # no CDN caches anything that long

log = get_logger("workers")


async def purge_cdn(runtime: Runtime) -> int:
    """Process all due purges; returns how many ended.

    Raises:
        UpstreamUnavailable: MongoDB is unavailable; leased purges are attempted again later.
    """
    await _mark_ready(runtime)
    ended = 0
    while batch := await _claim(runtime):
        ended += await _process(runtime, *batch)
    await _measure(runtime)
    return ended


async def _mark_ready(runtime: Runtime) -> None:
    with suppress(UpstreamUnavailable):  # Redis is unavailable: each purge runs when it is due
        while ready := await runtime.catalog.purge_outbox.pop_ready():
            await models.purges.mark_ready_many(ready, purging.now(runtime))


async def _claim(runtime: Runtime) -> tuple[str, list[PurgeRecord]] | None:
    now = purging.now(runtime)
    until = now + timedelta(seconds=_LEASE_SECONDS)
    lease, purges = await models.purges.claim(now, until, _AT_ONCE)
    return (lease, purges) if purges else None


async def _process(runtime: Runtime, lease: str, purges: list[PurgeRecord]) -> int:
    purged = await _purge_caches(runtime, lease, purges)
    failures = await _purge_at_cdn(runtime, purged)
    done = [purge.id for purge in purged if purge.id not in failures]
    ended = await models.purges.finish(done, lease, purging.now(runtime))
    metrics.purges_finished_total.labels("done").inc(ended)
    for purge in purged:
        if purge.id in failures:
            ended += await _handle_failure(runtime, lease, purge, failures[purge.id])
    return ended


async def _purge_caches(
    runtime: Runtime, lease: str, purges: Sequence[PurgeRecord]
) -> list[PurgeRecord]:
    """Purges that our caches have dropped; the others wait until Redis is back."""
    purged: list[PurgeRecord] = []
    away = None
    for purge in purges:
        if not purge.is_told and away is None:
            try:
                await purging.forget(runtime, purge)
            except UpstreamUnavailable as error:
                away = error
        if purge.is_told or away is None:
            purged.append(purge)
    if away is not None:
        now, purged_ids = purging.now(runtime), {purge.id for purge in purged}
        await models.purges.postpone(
            [purge.id for purge in purges if purge.id not in purged_ids],
            lease,
            now,
            due_at=now + timedelta(seconds=_REDIS_AWAY_SECONDS),
            error=away.message,
            caches_purged=False,
            is_counted=False,
        )
    return purged


async def _purge_at_cdn(
    runtime: Runtime, purges: Sequence[PurgeRecord]
) -> Mapping[str, PurgeFailed]:
    """Send the purges to the CDN; returns the failures by purge."""
    failure = await _request_purge(runtime, purges)
    if failure is None:
        return {}
    if not failure.is_final or len(purges) == 1:
        return {purge.id: failure for purge in purges}
    # One of them is at fault: each for itself.
    failures = {purge.id: await _request_purge(runtime, [purge]) for purge in purges}
    return {id_: failure for id_, failure in failures.items() if failure is not None}


async def _request_purge(runtime: Runtime, purges: Sequence[PurgeRecord]) -> PurgeFailed | None:
    stale = purging.stale_of(purges)
    if not runtime.catalog.cdn.can_purge or not stale:
        return None
    names = "".join(sorted(purge.id for purge in purges))
    reference = hashlib.blake2b(names.encode(), digest_size=16).hexdigest()
    try:
        await runtime.catalog.cdn.purge(stale, reference)
    except PurgeFailed as failure:
        return failure
    return None


async def _handle_failure(
    runtime: Runtime, lease: str, purge: PurgeRecord, failure: PurgeFailed
) -> int:
    """Schedule another attempt, or give up; returns 1 if the purge ended."""
    now, error = purging.now(runtime), str(failure)
    is_too_old = now - purge.created_at > _GIVE_UP
    if failure.is_final or purge.attempts >= MAX_ATTEMPTS or is_too_old:
        ended = await models.purges.finish([purge.id], lease, now, error)
        metrics.purges_finished_total.labels("failed").inc(ended)
        log.error("purge_failed", purge=purge.id, error=error, attempts=purge.attempts)
        return ended
    await models.purges.postpone(
        [purge.id],
        lease,
        now,
        due_at=_next_attempt_at(now, purge.attempts, failure),
        error=error,
        caches_purged=True,
        is_counted=failure.retry_after_seconds is None,
    )
    return 0


def _next_attempt_at(now: datetime, attempts: int, failure: PurgeFailed) -> datetime:
    """Back off with full jitter, so that purges that failed together are spread."""
    if failure.retry_after_seconds is not None:
        seconds = failure.retry_after_seconds * random.uniform(1, 1.1)  # noqa: S311
    else:
        most = min(_LONGEST_BACKOFF_SECONDS, 2.0**attempts)
        seconds = max(1.0, random.uniform(0, most))  # noqa: S311
    return now + timedelta(seconds=seconds)


async def _measure(runtime: Runtime) -> None:
    waiting = await models.purges.count_waiting()
    age = purging.now(runtime) - waiting.oldest_at if waiting.oldest_at else timedelta()
    metrics.purges_waiting.set(waiting.purges)
    metrics.purges_oldest_seconds.set(max(0.0, age.total_seconds()))
