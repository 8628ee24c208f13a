"""A cache in process memory that counts bytes: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ByteLru(Generic[K, V]):
    """Values by key, bounded by bytes and by number.

    Args:
        on_evict: called with each key and value that leaves, but not on `clear`.
    """

    def __init__(
        self,
        max_bytes: int,
        max_entries: int,
        on_evict: Callable[[K, V], None] = lambda key, value: None,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._on_evict = on_evict
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield keys and values, the least recently used first."""
        for key, (value, _) in self._entries.items():
            yield key, value

    def get(self, key: K) -> V | None:
        """Return the value and count this as a use; None if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Store a value of so many bytes, its key included; drop others beyond the bounds."""
        self.pop(key)
        self._entries[key] = value, size
        self.bytes += size
        self._evict()

    def resize(self, key: K, size: int) -> None:
        """Set the size of a value that has grown or shrunk, if it is stored."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries[key] = entry[0], size
            self.bytes += size - entry[1]
            self._evict()

    def pop(self, key: K) -> V | None:
        """Remove a value and return it; None if there is none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self.bytes -= entry[1]
        self._on_evict(key, entry[0])
        return entry[0]

    def clear(self) -> None:
        """Remove all values."""
        self._entries.clear()
        self.bytes = 0

    def _evict(self) -> None:
        while self._entries and (
            self.bytes > self._max_bytes or len(self._entries) > self._max_entries
        ):
            self.pop(next(iter(self._entries)))
