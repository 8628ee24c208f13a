"""The tier in process memory: entries by key, bounded by number and by estimated bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from services.cache.derived import DerivedObjects
from services.cache.entry import Entry

_OVERHEAD_BYTES = 500  # of an entry: the tuple, the key and slots in two dicts
_DECODED = 4  # bytes of Python objects per byte of msgpack
_UNKNOWN_BYTES = 1_000  # of an entry whose encoded size is not known
_SWEEP_SECONDS = 60.0


class MemoryTier:
    """Entries of one process.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, max_entries: int, max_bytes: int, clock: Callable[[], float]) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._swept_at = clock()
        self.entries: dict[str, Entry] = {}
        self.derived = DerivedObjects(max_bytes // 4)  # beyond `max_bytes`
        self.bytes = 0

    def find_fresh(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return those of the keys' entries that are fresh."""
        now, find = self._clock(), self.entries.get
        return {
            key: entry
            for key in keys
            if (entry := find(key)) is not None and entry.fresh_until > now
        }

    def find_all_fresh(self, keys: Iterable[str]) -> list[Any] | None:
        """Return the keys' values in order; None if one of them is not here, or not fresh."""
        now, find = self._clock(), self.entries.get
        values = []
        for key in keys:
            entry = find(key)
            if entry is None or entry.fresh_until <= now:
                return None
            values.append(entry.value)
        return values

    def find_usable(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return those of the keys' entries that may be served, fresh or stale."""
        now, find = self._clock(), self.entries.get
        return {
            key: entry
            for key in keys
            if (entry := find(key)) is not None and entry.stale_until > now
        }

    def put(self, key: str, entry: Entry) -> None:
        """Store an entry as the newest; beyond the bounds the oldest quarter is dropped."""
        self.pop(key)
        self.entries[key] = entry
        self.derived.open(entry.value)
        self.bytes += _size(key, entry)
        if len(self.entries) > self._max_entries or self.bytes > self._max_bytes:
            self._make_room()

    def pop(self, key: str) -> None:
        """Drop an entry."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.bytes -= _size(key, entry)
            self.derived.close(entry.value)

    def clear(self) -> None:
        """Drop all entries."""
        self.entries.clear()
        self.derived.clear()
        self.bytes = 0

    def sweep(self) -> None:
        """Drop the entries that may not be served any more, at most once a minute."""
        now = self._clock()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self._swept_at = now
            for key in [key for key, entry in self.entries.items() if entry.stale_until <= now]:
                self.pop(key)

    def _make_room(self) -> None:
        """Drop the oldest until a quarter is free: dicts are ordered by insertion."""
        most, most_bytes = self._max_entries * 3 // 4, self._max_bytes * 3 // 4
        for key in list(self.entries):
            if len(self.entries) <= most and self.bytes <= most_bytes:
                return
            self.pop(key)


def _size(key: str, entry: Entry) -> int:
    encoded = entry.encoded_bytes or _UNKNOWN_BYTES
    return _OVERHEAD_BYTES + len(key) + _DECODED * encoded
