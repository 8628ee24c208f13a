"""Invalidations that wait for Redis to come back: keys, and tags of lists.

Bounded: beyond 10,000 keys, all cached keys are invalidated.
"""

from __future__ import annotations

from collections.abc import Iterable

_MAX_KEYS = 10_000


class PendingInvalidations:
    """Keys and tags to invalidate; true when there are any."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.tags: set[str] = set()
        self.covers_all = False

    def __bool__(self) -> bool:
        return bool(self.keys or self.tags or self.covers_all)

    def add(self, keys: Iterable[str]) -> None:
        """Add keys; beyond the bound, `covers_all` replaces them."""
        self.keys.update(keys)
        if len(self.keys) > _MAX_KEYS:
            self.keys.clear()
            self.covers_all = True
