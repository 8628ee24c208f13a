"""Dead letters: stream entries set aside after five deliveries.

Operators inspect and replay them. An entry moves with all its fields, in one step: it is in its
shard's stream, or here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from services.playback.keys import ProgressKeys
from services.redis.link import RedisLink
from services.redis.scripts import Script

ENTRY = b"entry"  # the field that keeps the id an entry had in its stream
_BATCH = 100
_REPLAY = Script("playback", "replay_dead_letter")


class DeadLetter(NamedTuple):
    """Dead letter; both ids begin with a time in ms, `letter_id` orders those of a shard."""

    shard: int
    letter_id: str
    entry_id: str
    fields: dict[bytes, bytes]

    @property
    def user_id(self) -> str:
        """User of the entry; "?" where it names none."""
        return self._text(b"user")

    @property
    def playable_id(self) -> str:
        """Title of the entry; "?" where it names none."""
        return self._text(b"playable")

    @property
    def set_aside_at_ms(self) -> int:
        """Time at which the entry left its stream, in ms since 1970."""
        return int(self.letter_id.partition("-")[0])

    def _text(self, name: bytes) -> str:
        return self.fields.get(name, b"?").decode("utf-8", "replace")


class DeadLetters:
    """Dead letters of all shards, one object per process."""

    def __init__(self, redis: RedisLink, keys: ProgressKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def count(self) -> int:
        """Count the dead letters of all shards.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for shard in self._keys.shards:
            pipeline.xlen(self._keys.dead_letters(shard))
        with self._redis.translate_errors():
            return sum(await pipeline.execute())

    async def list_page(self, shard: int, after: str | None = None) -> list[DeadLetter]:
        """List up to 100 of one shard, oldest first, after the letter `after`.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        start = f"({after}" if after is not None else "-"
        with self._redis.translate_errors():
            rows: Any = await self._redis.xrange(
                self._keys.dead_letters(shard), min=start, count=_BATCH
            )
        return [_decode_letter(shard, *row) for row in rows]

    async def replay(self, letter: DeadLetter) -> bool:
        """Move a letter back to the end of its shard's stream; False if it is not here.

        Written late it harms nothing: the newest state wins. What still cannot be read comes back.

        Raises:
            UpstreamUnavailable: Redis is away, or full; ask whether it is still here.
        """
        keys = self._keys.dead_letters(letter.shard), self._keys.stream(letter.shard)
        return bool(await self._redis.scripts.call(_REPLAY, 2, *keys, letter.letter_id, ENTRY))


def _decode_letter(shard: int, letter_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    own_fields = {name: value for name, value in fields.items() if name != ENTRY}
    return DeadLetter(shard, letter_id.decode(), fields.get(ENTRY, b"?").decode(), own_fields)
