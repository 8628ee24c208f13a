"""Unflushed progress goes to MongoDB: read from the streams, the newest per title, one bulk write.

Promise: an entry leaves its stream only after MongoDB said yes. Writing one twice is harmless, so
any number of workers may race, die or freeze. What cannot be read is set aside after five tries.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from itertools import islice

import models
from resolvers.context import Runtime
from services import metrics
from services.logs import get_logger
from services.progress_buffer import Buffered
from services.progress_stream import Delivery

_ROUNDS = 100  # of reading until nothing is left; then the timetable has its say
_WRITES = 500  # titles in one bulk write
_CONSUMER = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

log = get_logger("workers")
Key = tuple[str, str]


async def flush_progress(runtime: Runtime, consumer: str = _CONSUMER) -> int:
    """Flushes until the streams are empty; returns how many entries were flushed.

    Raises:
        UpstreamUnavailable: MongoDB or Redis is away; what was read is claimed again later.
    """
    flushed = 0
    stream = runtime.playback.stream
    for _ in range(_ROUNDS):
        deliveries = await stream.read(consumer)
        if not deliveries:
            break
        flushed += await write_batch(runtime, deliveries)
    await _measure(runtime)
    return flushed


async def finish_flushing(runtime: Runtime, consumer: str = _CONSUMER) -> None:
    """Drains once more and takes this worker's name off the group."""
    await flush_progress(runtime, consumer)
    await runtime.playback.stream.leave(consumer)


async def write_batch(runtime: Runtime, deliveries: list[Delivery]) -> int:
    """Writes what was read and lets go of it; returns how many entries are done with."""
    newest = _newest(deliveries)
    refused: set[Key] = set()
    rows = iter(newest.values())
    while some := list(islice(rows, _WRITES)):
        outcome = await models.write_progress([models.live_progress(row) for row in some])
        refused |= outcome.refused
    bad = [each for each in deliveries if each.progress is None or _key(each.progress) in refused]
    unwritten = {each.entry_id for each in bad}
    done = [each for each in deliveries if each.entry_id not in unwritten]
    await runtime.playback.stream.confirm(done)
    if bad and (given_up := await runtime.playback.stream.set_aside(bad)):
        log.error("progress_set_aside", entries=given_up)
    return len(done)


def _newest(deliveries: Iterable[Delivery]) -> dict[Key, Buffered]:
    newest: dict[Key, Buffered] = {}
    for _, _, _, progress in deliveries:
        if progress is None:
            continue
        known = newest.get(_key(progress))
        if known is None or known.version < progress.version:
            newest[_key(progress)] = progress
    return newest


def _key(progress: Buffered) -> Key:
    return progress.user_id, progress.playable_id


async def _measure(runtime: Runtime) -> None:
    backlog = await runtime.playback.stream.backlog()
    metrics.progress_backlog_entries.set(backlog.entries)
    metrics.progress_lag_seconds.set(backlog.oldest_seconds)
