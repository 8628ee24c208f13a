"""Consumer side of the progress streams: one consumer group, one stream per shard.

Entries stay in their stream until MongoDB has them: a worker that could not write reads its own
again, those of one that died are claimed by another, and those that cannot be decoded are set aside
after five deliveries. Reads do not block: a worker comes every second, so a batch is worth writing.
Each command names one shard: fit for a Redis Cluster.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from services.playback.dead_letters import ENTRY
from services.playback.keys import ProgressKeys
from services.playback.progress_scripts import progress_script
from services.playback.state import FLUSHED_SECONDS, BufferedProgress, decode_progress
from services.redis.link import RedisLink
from services.redis.scripts import Script
from services.telemetry import metrics

_GROUP = "flush"
_BATCH = 500  # entries of one shard in one read
_MAX_DELIVERIES = 5
_DEAD_LETTERS = 10_000  # per shard, the newest
_CONFIRM = progress_script("confirm_progress")
_DROP = Script("playback", "drop_consumers")
_RELEASE = Script("playback", "release_entries")


class Delivery(NamedTuple):
    """Stream entry; `progress` is None if it cannot be decoded."""

    shard: int
    entry_id: bytes
    fields: dict[bytes, bytes]
    progress: BufferedProgress | None


class Backlog(NamedTuple):
    """Entries that wait to be flushed, and the age of the oldest."""

    entries: int
    oldest_seconds: float


class ProgressStream:
    """Consumer of the progress streams, one object per process; a consumer's name is unique."""

    def __init__(
        self,
        redis: RedisLink,
        keys: ProgressKeys,
        *,
        claim_idle_seconds: float,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._claim_idle_ms = int(claim_idle_seconds * 1000)
        self._reread_from: dict[str, dict[int, bytes]] = {}  # by consumer and shard

    async def read(self, consumer: str) -> list[Delivery]:
        """Read entries abandoned by any worker, then new ones; one pipeline for all shards.

        After `reread` the consumer's own entries come first, each once.

        Raises:
            UpstreamUnavailable: Redis is away; what it sent in vain is read again.
        """
        try:
            with self._redis.translate_errors():
                return await self._read_pending(consumer) or await self._read_new(consumer)
        except BaseException:
            self.reread(consumer)
            raise

    def reread(self, consumer: str) -> None:
        """Let the next `read` begin with what this consumer read and did not confirm."""
        self._reread_from[consumer] = dict.fromkeys(self._keys.shards, b"0")

    async def confirm(self, deliveries: Collection[Delivery]) -> None:
        """Confirm that MongoDB has these: unchanged titles may expire and are told, the entries go.

        Raises:
            UpstreamUnavailable: Redis is away; applying the batch again does no harm.
        """
        for shard, entries in _group_by_shard(deliveries).items():
            keys: list[str] = []
            arguments: list[Any] = [FLUSHED_SECONDS, self._keys.changed(shard)]
            for progress in _select_newest(entries):
                keys.append(self._keys.progress(progress.user_id, progress.playable_id))
                keys.append(self._keys.unflushed(progress.user_id))
                arguments += [progress.state.stamp_ms, progress.playable_id, progress.user_id]
            await self._redis.scripts.call(_CONFIRM, len(keys), *keys, *arguments)
            await self._remove(shard, entries)
            metrics.progress_flushed_total.inc(len(entries))

    async def set_aside(self, deliveries: Collection[Delivery]) -> int:
        """Move entries delivered often enough to the dead letters; returns how many.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        moved = 0
        with self._redis.translate_errors():
            for shard, entries in _group_by_shard(deliveries).items():
                exhausted = [
                    entry
                    for entry in entries
                    if await self._count_deliveries(entry) >= _MAX_DELIVERIES
                ]
                await self._remove(shard, exhausted, keep_copies=True)
                moved += len(exhausted)
        metrics.progress_dead_letters_total.inc(moved)
        return moved

    async def backlog(self) -> Backlog:
        """Measure the entries that wait to be flushed, by Redis's clock, which gave them their ids.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        for shard in self._keys.shards:
            pipeline.xlen(self._keys.stream(shard))
            pipeline.xrange(self._keys.stream(shard), count=1)
        with self._redis.translate_errors():
            (seconds, microseconds), *answers = await pipeline.execute()
        firsts = [int(entry_id.split(b"-")[0]) for ((entry_id, _),) in filter(None, answers[1::2])]
        now = seconds + microseconds / 1_000_000
        oldest = max(0.0, now - min(firsts) / 1000) if firsts else 0.0
        return Backlog(sum(answers[::2]), oldest)

    async def remove_consumer(self, consumer: str) -> None:
        """Remove a worker's name from every shard where it has nothing pending.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        await self._drop_consumers(consumer, 0)

    async def drop_dead_consumers(self, idle_seconds: float = 3600) -> None:
        """Drop workers that died long ago and have nothing pending any more.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        await self._drop_consumers("", int(idle_seconds * 1000))

    async def _drop_consumers(self, consumer: str, idle_ms: int) -> None:
        for shard in self._keys.shards:
            await self._redis.scripts.call(
                _DROP, 1, self._keys.stream(shard), _GROUP, consumer, idle_ms
            )

    async def _create_groups(self) -> None:
        """From the stream's beginning: what came before the first worker is flushed too."""
        for shard in self._keys.shards:
            try:
                await self._redis.xgroup_create(
                    self._keys.stream(shard), _GROUP, id="0", mkstream=True
                )
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _read_pending(self, consumer: str) -> list[Delivery]:
        starts = self._reread_from.get(consumer)
        if starts is None:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for shard, start in starts.items():
            pipeline.xreadgroup(_GROUP, consumer, {self._keys.stream(shard): start}, count=_BATCH)
        answers = await pipeline.execute(raise_on_error=False)
        deliveries: list[Delivery] = []
        for shard, answer in zip(list(starts), answers, strict=True):
            if isinstance(answer, Exception) and "NOGROUP" not in str(answer):
                raise answer
            entries = [] if isinstance(answer, Exception) else _list_entries(answer)
            deliveries += [_decode_delivery(shard, *entry) for entry in entries]
            if entries:
                starts[shard] = entries[-1][0]
        if not deliveries:
            del self._reread_from[consumer]
        return deliveries

    async def _read_new(self, consumer: str) -> list[Delivery]:
        try:
            return await self._read(consumer)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
        # The first worker, or Redis came back empty. Not before: a full Redis makes no groups.
        await self._create_groups()
        self.reread(consumer)  # of the other shards it may have read some
        return await self._read_pending(consumer) or await self._read(consumer)

    async def _read(self, consumer: str) -> list[Delivery]:
        pipeline = self._redis.pipeline(transaction=False)
        for shard in self._keys.shards:
            stream = self._keys.stream(shard)
            pipeline.xautoclaim(stream, _GROUP, consumer, self._claim_idle_ms, count=_BATCH)
            pipeline.xreadgroup(_GROUP, consumer, {stream: ">"}, count=_BATCH)
        answers = await pipeline.execute()
        deliveries: list[Delivery] = []
        for shard, claimed, new in zip(self._keys.shards, answers[::2], answers[1::2], strict=True):
            # Redis 6.2 answers two items and (None, None) for a deleted entry, 7 three items.
            entries = [*claimed[1], *_list_entries(new)]
            deliveries += [
                _decode_delivery(shard, *entry) for entry in entries if entry[0] is not None
            ]
        return deliveries

    async def _count_deliveries(self, delivery: Delivery) -> int:
        pending = await self._redis.xpending_range(
            self._keys.stream(delivery.shard), _GROUP, delivery.entry_id, delivery.entry_id, 1
        )
        return int(pending[0]["times_delivered"]) if pending else 0

    async def _remove(
        self, shard: int, entries: list[Delivery], *, keep_copies: bool = False
    ) -> None:
        if not entries:
            return
        await self._redis.scripts.call(
            _RELEASE, 2, self._keys.stream(shard), self._keys.dead_letters(shard),
            _GROUP, _DEAD_LETTERS if keep_copies else 0, ENTRY,
            *(entry.entry_id for entry in entries),
        )  # fmt: skip


def _list_entries(answer: Any) -> list[Any]:
    return [entry for _, batch in answer for entry in batch]


def _decode_delivery(shard: int, entry_id: bytes, fields: dict[bytes, bytes]) -> Delivery:
    try:
        progress = decode_progress(
            fields[b"user"].decode(), fields[b"playable"].decode(), fields[b"version"], 0,
            fields[b"state"],
        )  # fmt: skip
    except (KeyError, ValueError):  # msgspec's and Unicode's errors are ValueErrors
        progress = None
    return Delivery(shard, entry_id, fields, progress)


def _group_by_shard(deliveries: Collection[Delivery]) -> dict[int, list[Delivery]]:
    by_shard = defaultdict(list)
    for delivery in deliveries:
        by_shard[delivery.shard].append(delivery)
    return by_shard


def _select_newest(entries: Collection[Delivery]) -> Collection[BufferedProgress]:
    """Of each title the state with the highest stamp: entries claimed from others come anyhow."""
    newest: dict[tuple[str, str], BufferedProgress] = {}
    for progress in filter(None, (entry.progress for entry in entries)):
        key = (progress.user_id, progress.playable_id)
        if key not in newest or newest[key].state.stamp_ms < progress.state.stamp_ms:
            newest[key] = progress
    return newest.values()
