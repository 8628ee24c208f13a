"""Whether MongoDB may hold progress that is newer than what Redis has of the same title.

It does between a report that was written through and its adoption by Redis: a second or two after
Redis is back. Only then reads compare both. In this process it is known at once, in others when
their look at MongoDB, once a second, says so.
"""

from __future__ import annotations


class RepairFlag:
    """One per process."""

    def __init__(self) -> None:
        self.is_set = False
        self._generation = 0

    def set(self) -> None:
        """This process is about to write through; call it before, so that no read is in between."""
        self._generation += 1
        self.is_set = True

    @property
    def snapshot(self) -> int:
        """To be taken before a look at MongoDB, and given to `found` with what it showed."""
        return self._generation

    def update(self, snapshot: int, *, is_set: bool) -> None:
        """What a look showed; it says nothing about repairs opened since it began."""
        self.is_set = is_set or snapshot != self._generation
