"""The report of every import: its progress, its changes, and what it left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import models
from resolvers.catalog import purging
from resolvers.context import Runtime
from services.errors import UpstreamUnavailable

D = TypeVar("D", bound=models.StoredDocument)
ImportProgress = Callable[[str, int, int], None]  # stage, done, of how many

_EXAMPLES = 20


def ignore_progress(_stage: str, _done: int, _total: int) -> None:
    """Ignore progress, for callers that draw nothing."""


@dataclass(slots=True)
class Problems:
    """A count of everything left out, with the first twenty reasons."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, reason: str) -> None:
        """Count a problem and keep its reason if it is among the first twenty."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(reason)


@dataclass(frozen=True, slots=True)
class Report:
    """`changes` by collection; `keys_dropped` is None if Redis was unavailable."""

    changes: Mapping[str, models.Changes]
    keys_dropped: int | None
    broken: Problems = field(default_factory=Problems)
    conflicts: Problems = field(default_factory=Problems)

    @property
    def total(self) -> models.Changes:
        """Changes of all collections."""
        return sum(self.changes.values(), models.Changes())


class Writer:
    """Writer of one collection after another that adds up the changes."""

    def __init__(self, runtime: Runtime, progress: ImportProgress) -> None:
        self._runtime = runtime
        self._progress = progress
        self._changes: dict[str, models.Changes] = {}
        self._purge_id: str | None = None

    async def write(
        self,
        stage: str,
        document: type[D],
        documents: Iterable[D],
        total: int,
        prepare: Callable[[Sequence[D]], Awaitable[None]] | None = None,
    ) -> None:
        """Write documents of one collection; the first call enqueues the purge.

        Args:
            prepare: called with each batch before it is written.
        """
        if self._purge_id is None:
            self._purge_id = await purging.enqueue_import(self._runtime)
        self._progress(stage, 0, total)
        await self.apply(
            stage,
            models.upsert(
                document,
                documents,
                written=lambda done: self._progress(stage, done, total),
                prepare=prepare,
            ),
        )

    async def apply(self, stage: str, change: Awaitable[models.Changes]) -> None:
        """Await a change of what is already enqueued to be purged, and add it up."""
        self._changes[stage] = self._changes.get(stage, models.Changes()) + await change

    async def report(
        self, broken: Problems | None = None, conflicts: Problems | None = None
    ) -> Report:
        """End the import: drop cached catalogue entries, if any may be stale."""
        return Report(
            self._changes, await self._drop_cached(), broken or Problems(), conflicts or Problems()
        )

    async def _drop_cached(self) -> int | None:
        purge_id, self._purge_id = self._purge_id, None
        if all(each.total == each.unchanged for each in self._changes.values()):
            if purge_id is not None:
                await models.purges.drop(purge_id)
            return 0
        dropped = await self._drop_entries()
        if purge_id is not None:
            caches_purged = dropped is not None
            await purging.mark_import_written(self._runtime, purge_id, caches_purged=caches_purged)
        return dropped

    async def _drop_entries(self) -> int | None:
        cache = self._runtime.cache
        try:
            return sum([await cache.invalidate_pattern(pattern) for pattern in purging.CATALOGUE])
        except UpstreamUnavailable:
            return None
