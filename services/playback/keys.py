"""The keys of playback. A user's keys and its stream shard carry one {p<shard>} tag.

So one script may touch them all, also on a Redis Cluster, where the tag decides which server
holds a key.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import NamedTuple

from services.redis import cache_keys

_MAX_CACHED = 8_192


class ReportKeys(NamedTuple):
    """Names for a session's reports: the script's keys, and the channel of its shard."""

    keys: tuple[str, str, str]
    changed: str


class ProgressKeys:
    """Names of keys; those of other `shards` would not be found (layout.py sees to it).

    `of_report(user_id, session_id)` are those of a session's reports, remembered for the next one.
    """

    def __init__(self, shards: int, prefix: str = "") -> None:
        self.shards = range(shards)
        self._prefix = prefix
        self.of_report = lru_cache(maxsize=_MAX_CACHED)(self._build_of_report)

    def shard(self, user_id: str) -> int:
        """Shard of a user, from a hash of the id."""
        return zlib.crc32(user_id.encode()) % len(self.shards)

    def session(self, user_id: str, session_id: str) -> str:
        """Key of a playback session."""
        return self._prefix + cache_keys.VIEWING_SESSION.format(session_id, self.shard(user_id))

    def progress(self, user_id: str, playable_id: str) -> str:
        """Key of a user's progress in one title."""
        shard = self.shard(user_id)
        return self._prefix + cache_keys.USER_PROGRESS.format(user_id, playable_id, shard)

    def unflushed(self, user_id: str) -> str:
        """Key of a user's titles that are not flushed yet."""
        return self._prefix + cache_keys.USER_UNFLUSHED.format(user_id, self.shard(user_id))

    def viewing(self, user_id: str) -> str:
        """Key of a user's running sessions."""
        return self._prefix + cache_keys.USER_VIEWING.format(user_id, self.shard(user_id))

    def stream(self, shard: int) -> str:
        """Key of a shard's stream of changes."""
        return self._prefix + cache_keys.PROGRESS_STREAM.format(shard)

    def changed(self, shard: int) -> str:
        """Channel on which a shard's changes are published."""
        return self._prefix + cache_keys.PROGRESS_CHANGED.format(shard)

    def offline_events(self, user_id: str) -> str:
        """Key of a user's remembered offline event ids."""
        return self._prefix + cache_keys.USER_OFFLINE_EVENTS.format(user_id, self.shard(user_id))

    def _build_of_report(self, user_id: str, session_id: str) -> ReportKeys:
        shard = self.shard(user_id)
        return ReportKeys(
            (self.session(user_id, session_id), self.unflushed(user_id), self.stream(shard)),
            self.changed(shard),
        )

    def dead_letters(self, shard: int) -> str:
        """Key of a shard's dead letters."""
        return self._prefix + cache_keys.PROGRESS_DEAD_LETTERS.format(shard)
