"""What Redis could not be told while it was away: keys and tags of lists to forget there later.

Bounded: beyond 10,000 keys it is everything that is cached.
"""

from __future__ import annotations

from collections.abc import Iterable

_MOST_KEYS = 10_000


class Untold:
    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.tags: set[str] = set()
        self.is_everything = False

    def __bool__(self) -> bool:
        return bool(self.keys or self.tags or self.is_everything)

    def add(self, keys: Iterable[str]) -> None:
        self.keys.update(keys)
        if len(self.keys) > _MOST_KEYS:
            self.keys.clear()
            self.is_everything = True
