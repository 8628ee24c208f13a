"""What was built of values in process memory, kept for as long as the value itself is there.

A value never changes; what replaces it is another object. So what was built of one is found by the
value's identity, and is as new as the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_OVERHEAD_BYTES = 800  # of an object: its place, its dict and those within
_PER_JSON_BYTE = 2
_MOST_BUILDERS = 8  # of one value
_NOTHING: Mapping[int, tuple[Any, int]] = MappingProxyType({})


class DerivedObjects:
    """Objects by the identity of their value and the number of what built them.

    `by_value` is read directly: `by_value[id(value)][number]` is the object, with its bytes. It has
    only values that are in process memory, so no other object can have their identity.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.by_value: dict[int, Mapping[int, tuple[Any, int]]] = {}
        self.bytes = 0

    def open(self, value: Any) -> None:
        """Let objects be kept for a value that has come into memory."""
        if value is not None:
            self.close(value)
            self.by_value[id(value)] = _NOTHING

    def close(self, value: Any) -> None:
        """Drop what was built of a value that leaves memory."""
        derived = self.by_value.pop(id(value), None)
        if derived:
            self.bytes -= sum(size for _, size in derived.values())

    def clear(self) -> None:
        """Drop everything, the values as well."""
        self.by_value.clear()
        self.bytes = 0

    def add(self, value: Any, number: int, derived: Any, json_bytes: int) -> None:
        """Keep an object built of a value that is in memory; beyond the bound all others go."""
        size = _OVERHEAD_BYTES + _PER_JSON_BYTE * json_bytes
        if self.bytes + size > self._max_bytes:
            self.by_value = dict.fromkeys(self.by_value, _NOTHING)
            self.bytes = 0
        others = self.by_value[id(value)]
        if number in others or len(others) >= _MOST_BUILDERS:
            self.bytes -= sum(other for _, other in others.values())
            others = _NOTHING
        self.by_value[id(value)] = {**others, number: (derived, size)}
        self.bytes += size
