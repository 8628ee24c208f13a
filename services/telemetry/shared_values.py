"""Values of metrics in memory that another process reads, though this one was killed.

A process of its own keeps them to itself. One of several maps a file that its supervisor made
(`share_values`), and writes each value there when it changes: some 40 ns a time. Nothing is ever
moved or taken away in the file, so its reader needs no lock.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import threading
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from prometheus_client.values import MutexValue

CAPACITY_BYTES = 8 * 1024 * 1024  # some 40,000 values; only pages with values take memory
_HEAD = struct.Struct("=Q")  # bytes in use, this number included
_SIZE = struct.Struct("=I")
_ALIGNMENT = 8
_LONGEST_ENTRY_BYTES = 16 * 1024
_NO_MODE = ""


class SampleKey(NamedTuple):
    """What a value is of. A gauge's `mode` says how those of several processes become one."""

    metric: str
    sample: str
    labels: tuple[tuple[str, str], ...]
    mode: str


class SharedValue(MutexValue):
    """One number of a metric; what prometheus_client makes for each label set and bucket."""

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        multiprocess_mode: str = _NO_MODE,
        **options: object,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            typ, metric_name, name, labelnames, labelvalues, help_text, **options
        )
        labels = tuple(zip(labelnames, labelvalues, strict=True))
        self.key = SampleKey(metric_name, name, labels, multiprocess_mode)
        self._cell: memoryview[float] | None = None
        with _lock:
            _values.append(self)
            if _writer is not None:
                self.move_to(_writer)

    def move_to(self, table: TableWriter) -> None:
        """Write to the table from now on; where it is full, to this process alone."""
        with self._lock:
            self._cell = table.add(self.key)
            if self._cell is not None:
                self._cell[0] = self._value

    def read(self) -> float:
        """Return the value."""
        return float(self._value)

    def inc(self, amount: float) -> None:
        """Add an amount."""
        with self._lock:
            self._value += amount
            if self._cell is not None:
                self._cell[0] = self._value

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set the value."""
        with self._lock:
            self._value = value
            if self._cell is not None:
                self._cell[0] = value


_lock = threading.Lock()
_values: list[SharedValue] = []  # label sets are never removed
_writer: TableWriter | None = None


class TableWriter:
    """The file as its one writer sees it."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, CAPACITY_BYTES)
        self._view = memoryview(self._map)
        self._used = _align(_HEAD.size)

    def add(self, key: SampleKey) -> memoryview[float] | None:
        """Append a value of 0; return the place of its number, None where the file is full."""
        text = msgspec.msgpack.encode(key)
        start = _align(self._used + _SIZE.size + len(text))
        end = start + struct.calcsize("d")
        if end > CAPACITY_BYTES:
            return None
        _SIZE.pack_into(self._map, self._used, len(text))
        self._view[self._used + _SIZE.size :][: len(text)] = text
        self._used = end
        _HEAD.pack_into(self._map, 0, end)  # last: from here on it is read
        return self._view[start:end].cast("d")


class TableReader:
    """The file as another process sees it, also after the writer's end."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, CAPACITY_BYTES, prot=mmap.PROT_READ)
        self._view = memoryview(self._map)
        self._read_to = _align(_HEAD.size)
        self._cells: list[tuple[SampleKey, memoryview[float]]] = []

    @property
    def is_full(self) -> bool:
        """Whether a further value may have had no room, as far as it was read."""
        return self._read_to > CAPACITY_BYTES - _LONGEST_ENTRY_BYTES

    def read(self) -> dict[SampleKey, float]:
        """Return all values as they are now."""
        (used,) = _HEAD.unpack_from(self._map, 0)
        while self._read_to < used:
            self._read_entry()
        return {key: cell[0] for key, cell in self._cells}

    def _read_entry(self) -> None:
        (size,) = _SIZE.unpack_from(self._map, self._read_to)
        text = self._view[self._read_to + _SIZE.size :][:size]
        start = _align(self._read_to + _SIZE.size + size)
        self._read_to = start + struct.calcsize("d")
        key = msgspec.msgpack.decode(text, type=SampleKey)
        self._cells.append((key, self._view[start : self._read_to].cast("d")))


def _align(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def create_table() -> int:
    """Create an empty file that has no name; return its descriptor."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("metrics")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, CAPACITY_BYTES)
    return descriptor


def share_values(descriptor: int) -> None:
    """Write all values of this process to the file from now on."""
    global _writer
    with _lock:
        _writer = TableWriter(descriptor)
        for value in _values:
            value.move_to(_writer)


def read_own_values() -> dict[SampleKey, float]:
    """Return the values of this process."""
    with _lock:
        return {value.key: value.read() for value in _values}
