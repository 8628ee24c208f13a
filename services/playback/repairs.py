"""Flag that MongoDB may hold progress newer than Redis has of the same title.

It does between a write-through and its reconciliation: a second or two after Redis is back. Only
then reads compare both. This process knows at once; others when their poll of MongoDB, once a
second, shows it.
"""

from __future__ import annotations


class RepairFlag:
    """Flag that MongoDB may be ahead of Redis, one object per process."""

    def __init__(self) -> None:
        self.is_set = False
        self._generation = 0

    def set(self) -> None:
        """Raise the flag; call it before writing through, so that no read is in between."""
        self._generation += 1
        self.is_set = True

    @property
    def snapshot(self) -> int:
        """Generation to take before a look at MongoDB and to pass to `update`."""
        return self._generation

    def update(self, snapshot: int, *, is_set: bool) -> None:
        """Update the flag after a look at MongoDB, unless it was raised since `snapshot`."""
        self.is_set = is_set or snapshot != self._generation
