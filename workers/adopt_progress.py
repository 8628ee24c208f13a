"""Progress written to MongoDB while Redis was unavailable is copied to Redis.

Promise: a repair is closed only after Redis has what MongoDB has; repeating it is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import models
from resolvers.context import Runtime
from services.errors import UpstreamUnavailable

_BATCH = 200
_ROUNDS = 50  # then the next run continues


async def adopt_progress(runtime: Runtime) -> int:
    """Copy the progress of open repairs to Redis; returns how many titles were copied.

    While either store is unavailable nothing is done: the next run is a second later.
    """
    total, after = 0, ""
    with suppress(UpstreamUnavailable):
        for _ in range(_ROUNDS):
            repairs = await models.list_open_repairs(_BATCH, after)
            adopted = await _adopt(runtime, repairs)
            await models.close_repairs(adopted)
            total += len(adopted)
            if len(repairs) < _BATCH or not adopted:
                break
            after = repairs[-1].id
        await look_for_repairs(runtime)
    return total


async def look_for_repairs(runtime: Runtime) -> None:
    """Check whether repairs are open; while any is, reads compare Redis and MongoDB.

    While MongoDB is unavailable the previous result stays.
    """
    repairs = runtime.playback.repairs
    snapshot = repairs.snapshot
    with suppress(UpstreamUnavailable):
        repairs.update(snapshot, is_set=bool(await models.list_open_repairs(1)))


async def _adopt(
    runtime: Runtime, repairs: Sequence[models.ProgressRepairRecord]
) -> list[models.ProgressRepairRecord]:
    """Repairs whose progress Redis took.

    The progress is read after its repair: a later write opens the repair anew.
    """
    stored = await models.find_by_id(
        models.ViewingProgress, models.LiveProgress, [repair.id for repair in repairs]
    )
    calls = [_send_to_redis(runtime, stored.get(repair.id)) for repair in repairs]
    results = await asyncio.gather(*calls)
    return [repair for repair, is_adopted in zip(repairs, results, strict=True) if is_adopted]


async def _send_to_redis(runtime: Runtime, progress: models.LiveProgress | None) -> bool:
    """Send one progress; concurrent calls share a pipeline, and a full shard delays no other."""
    if progress is None:  # deleted since
        return True
    base, now_ms = models.progress_base(progress), int(runtime.clock() * 1000)
    try:
        await runtime.playback.progress.reconcile(
            progress.user_id, progress.playable_id, base, now_ms
        )
    except UpstreamUnavailable:
        return False
    return True
