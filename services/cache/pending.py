"""What Redis could not be told while it was away: keys and tags of lists to forget there later.

Bounded: beyond 10,000 keys it is everything that is cached.
"""

from __future__ import annotations

from collections.abc import Iterable

_MAX_KEYS = 10_000


class PendingInvalidations:
    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.tags: set[str] = set()
        self.covers_all = False

    def __bool__(self) -> bool:
        return bool(self.keys or self.tags or self.covers_all)

    def add(self, keys: Iterable[str]) -> None:
        self.keys.update(keys)
        if len(self.keys) > _MAX_KEYS:
            self.keys.clear()
            self.covers_all = True
