"""Progress that was written to MongoDB while Redis was away is made known to Redis.

Promise: a repair is closed only after Redis took what MongoDB has; doing it twice is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import models
from resolvers.context import Runtime
from services.errors import UpstreamUnavailable

_BATCH = 200
_ROUNDS = 50  # then the timetable has its say


async def adopt_progress(runtime: Runtime) -> int:
    """Hands over what is open; returns how many titles were taken.

    While either store is away nothing is done: the next turn is a second later.
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
    """While any is open, reads compare Redis and MongoDB (services/playback/repairs.py).

    While MongoDB is away what was known stays.
    """
    known = runtime.playback.repairs
    mark = known.mark
    with suppress(UpstreamUnavailable):
        known.found(mark, is_any=bool(await models.list_open_repairs(1)))


async def _adopt(
    runtime: Runtime, repairs: Sequence[models.ProgressRepairRecord]
) -> list[models.ProgressRepairRecord]:
    """Those that Redis took. The progress is read after its repair: what is written to it later
    opens the repair anew."""
    stored = await models.find_by_id(
        models.ViewingProgress, models.LiveProgress, [repair.id for repair in repairs]
    )
    calls = [_send_to_redis(runtime, stored.get(repair.id)) for repair in repairs]
    taken = await asyncio.gather(*calls)
    return [repair for repair, is_taken in zip(repairs, taken, strict=True) if is_taken]


async def _send_to_redis(runtime: Runtime, progress: models.LiveProgress | None) -> bool:
    """Calls of the same moment leave in one pipeline. A full shard holds up no other."""
    if progress is None:  # deleted since
        return True
    base, now_ms = models.progress_base(progress), int(runtime.clock() * 1000)
    try:
        await runtime.playback.progress.adopt(progress.user_id, progress.playable_id, base, now_ms)
    except UpstreamUnavailable:
        return False
    return True
