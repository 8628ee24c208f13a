"""Flushes progress (the newest per title), history (per viewing) and views to MongoDB.

Promise: an entry leaves its stream only after MongoDB acknowledged it. Writing one twice is
harmless, so any number of workers may run, die or freeze. An unreadable entry becomes a dead letter
after five attempts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from operator import itemgetter

import models
from resolvers.context import Runtime
from services.playback.state import BufferedProgress
from services.playback.stream import Delivery
from services.playback.viewings import decode_viewing
from services.process_name import process_name
from services.telemetry import metrics
from services.telemetry.logs import get_logger

_ROUNDS = 100  # of reading until the streams are empty; then the next run continues
_WRITES = 500  # titles in one bulk write
_LEAST_WATCHED_SECONDS = 5  # what was left sooner was a mistake, not a viewing

log = get_logger("workers")
Key = tuple[str, str]
Entry = tuple[int, models.ViewingRecord, Delivery]  # when its session was seen


async def flush_progress(runtime: Runtime, consumer: str | None = None) -> int:
    """Flush until the streams are empty; returns how many entries were flushed.

    Args:
        consumer: reads by this name; None: the process's.

    Raises:
        UpstreamUnavailable: a store is unavailable; the next run begins with what was read.
    """
    flushed = 0
    consumer = consumer or process_name()
    stream = runtime.playback.stream
    for _ in range(_ROUNDS):
        deliveries = await stream.read(consumer)
        if not deliveries:
            break
        try:
            flushed += await write_batch(runtime, deliveries)
        except BaseException:  # cancelled, too
            stream.reread(consumer)
            raise
    await _measure(runtime)
    return flushed


async def finish_flushing(runtime: Runtime, consumer: str | None = None) -> None:
    """Flush once more and remove this worker from the consumer group."""
    consumer = consumer or process_name()
    await flush_progress(runtime, consumer)
    await runtime.playback.stream.remove_consumer(consumer)


async def write_batch(runtime: Runtime, deliveries: list[Delivery]) -> int:
    """Write and confirm deliveries; returns how many entries are done."""
    newest = _newest(deliveries)
    refused: set[Key] = set()
    rows = iter(newest.values())
    while some := list(islice(rows, _WRITES)):
        outcome = await models.write_progress([models.live_progress(row) for row in some])
        refused |= outcome.refused
    bad = [each for each in deliveries if each.progress is None or _key(each.progress) in refused]
    unfinished = {_place(each) for each in bad + await _write_viewings(runtime, deliveries)}
    bad = [each for each in deliveries if _place(each) in unfinished]
    done = [each for each in deliveries if _place(each) not in unfinished]
    await runtime.playback.stream.confirm(done)
    if bad and (dead_letters := await runtime.playback.stream.set_aside(bad)):
        log.error("progress_set_aside", entries=dead_letters)
    return len(done)


async def _write_viewings(runtime: Runtime, deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Write the newest of each viewing; returns deliveries that cannot be read or stored."""
    by_viewing: dict[str, list[Entry]] = defaultdict(list)
    bad = []
    for each in deliveries:
        try:
            viewing = _viewing(each)
        except ValueError:  # msgspec's errors are such
            bad.append(each)
            continue
        if viewing is not None and _is_history(viewing):
            by_viewing[viewing.id].append((viewing.stamp_ms, viewing, each))
    rows = (max(some, key=itemgetter(0))[1] for some in by_viewing.values())
    lifetime = timedelta(days=runtime.settings.history_days)
    while batch := list(islice(rows, _WRITES)):
        refused = await models.write_viewings(batch, lifetime)
        bad += [each for id_ in refused for _, _, each in by_viewing[id_]]
        await models.count_views(
            [one for one in batch if one.id not in refused and _is_view(one, by_viewing[one.id])]
        )
    return bad


def _is_view(viewing: models.ViewingRecord, entries: list[Entry]) -> bool:
    durations = (each.progress and each.progress.state.duration_seconds for _, _, each in entries)
    return models.is_view(viewing, next(filter(None, durations), None))


def _viewing(delivery: Delivery) -> models.ViewingRecord | None:
    progress, entry = delivery.progress, decode_viewing(delivery.fields)
    if progress is None or entry is None:
        return None
    return models.viewing_record(progress.user_id, progress.playable_id, entry)


def _is_history(viewing: models.ViewingRecord) -> bool:
    return viewing.watched_seconds >= _LEAST_WATCHED_SECONDS or viewing.completed


def _newest(deliveries: Iterable[Delivery]) -> dict[Key, BufferedProgress]:
    newest: dict[Key, BufferedProgress] = {}
    for _, _, _, progress in deliveries:
        if progress is None:
            continue
        previous = newest.get(_key(progress))
        if previous is None or previous.state.stamp_ms < progress.state.stamp_ms:
            newest[_key(progress)] = progress
    return newest


def _place(delivery: Delivery) -> tuple[int, bytes]:
    return delivery.shard, delivery.entry_id


def _key(progress: BufferedProgress) -> Key:
    return progress.user_id, progress.playable_id


async def _measure(runtime: Runtime) -> None:
    backlog = await runtime.playback.stream.backlog()
    metrics.progress_backlog_entries.set(backlog.entries)
    metrics.progress_lag_seconds.set(backlog.oldest_seconds)
