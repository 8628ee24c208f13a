"""Erasure of one person's keys in the state's Redis.

Titles with reports that are not flushed yet stay until they are: the flush worker could not apply
half of them. So erasing is repeated until no key remains.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from services.playback.dead_letters import DeadLetters
from services.playback.keys import ProgressKeys
from services.redis.link import RedisLink

_BATCH = 500


class PersonalKeys:
    """Keys of one person in the state's Redis, one object per process."""

    def __init__(self, redis: RedisLink, keys: ProgressKeys, dead_letters: DeadLetters) -> None:
        self._redis = redis
        self._keys = keys
        self._dead_letters = dead_letters

    async def erase(
        self, user_id: str, playable_ids: Iterable[str], session_ids: Iterable[str]
    ) -> bool:
        """Erase a user's keys; returns whether none of its titles waits to be flushed.

        The ids are those that MongoDB has; those that only Redis has are read here.

        Raises:
            UpstreamUnavailable: Redis is away; erasing again does no harm.
        """
        with self._redis.translate_errors():
            unflushed = await self._members(self._keys.unflushed(user_id))
            sessions = {*session_ids, *await self._members(self._keys.viewing(user_id))}
            titles = set(playable_ids) - unflushed
            await self._delete(list(self._key_names(user_id, titles, sessions)))
            if not unflushed:
                await self._redis.delete(self._keys.unflushed(user_id))
            await self._erase_dead_letters(user_id)
        return not unflushed

    async def _members(self, key: str) -> set[str]:
        members: Any = await self._redis.zrange(key, 0, -1)
        return {member.decode() for member in members}

    def _key_names(
        self, user_id: str, titles: Collection[str], sessions: Collection[str]
    ) -> Iterator[str]:
        yield self._keys.viewing(user_id)
        yield self._keys.offline_events(user_id)
        yield from (self._keys.progress(user_id, title) for title in titles)
        yield from (self._keys.session(user_id, session) for session in sessions)

    async def _delete(self, names: list[str]) -> None:
        for start in range(0, len(names), _BATCH):
            await self._redis.unlink(*names[start : start + _BATCH])

    async def _erase_dead_letters(self, user_id: str) -> None:
        shard, after = self._keys.shard(user_id), None
        while letters := await self._dead_letters.list_page(shard, after):
            own = [letter.letter_id for letter in letters if letter.user_id == user_id]
            if own:
                await self._redis.xdel(self._keys.dead_letters(shard), *own)
            after = letters[-1].letter_id
