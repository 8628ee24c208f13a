"""Caches of our own in front, such as nginx: what they keep is asked for anew when it changes.

Nginx has no purge by tag. Instead each process remembers which addresses an edge asked it for, and
what the answers were made of; a change makes it ask the edge for those addresses again, past what
is kept, and the edge keeps the new answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import httpx

from services import http_client
from services.cache.byte_lru import ByteLru
from services.cache.cache import Cache
from services.supervision import SupervisedTask
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("edge")
_REFRESH = b"x-edge-refresh"  # of a request that is to be answered anew, with the key
_THROUGH_EDGE = b"x-edge"  # of every request that an edge sends
_VARIES = (b"accept", b"accept-encoding", b"origin")  # what an edge tells answers apart by
_MOST_BYTES, _MOST_VARIANTS = 16 * 1024 * 1024, 5_000
_MOST_VARIANT_BYTES = 2_000
_CACHE_KEY_BYTES = 100
_SETTLE_SECONDS = 0.25  # until other processes have dropped what changed
_MOST_CHANGED_KEYS = 10_000  # that wait; beyond that what is kept expires by itself
_AT_ONCE = 8
_SECONDS = 2.0


class EdgeRequest(NamedTuple):
    """A request as an edge distinguishes it."""

    target: str
    headers: tuple[bytes, ...]  # values of `_VARIES`

    @property
    def size(self) -> int:
        """Bytes of its text."""
        return len(self.target) + sum(map(len, self.headers))


class EdgeRefresher:
    """Refreshes what edges keep, one object per process.

    Args:
        addresses: of the edges, such as http://nginx:8080.
        key: which the edges want with a refresh.
    """

    def __init__(self, addresses: Iterable[str], key: str, cache: Cache) -> None:
        self._addresses = [address.rstrip("/") for address in addresses]
        self._key = f"k:{key}".encode()
        self._client = http_client.connect(_SECONDS)
        self._variants: ByteLru[EdgeRequest, frozenset[str]] = ByteLru(_MOST_BYTES, _MOST_VARIANTS)
        self._changed: set[str] = set()
        self._has_changes = asyncio.Event()
        self._task = SupervisedTask("edge refreshes", self._run)
        cache.on_invalidate(self._note_change)

    def start(self) -> None:
        """Refresh from now on."""
        self._task.start()

    async def aclose(self) -> None:
        """Refresh no more."""
        await self._task.aclose()
        await self._client.aclose()

    def note(self, target: str, headers: Mapping[bytes, bytes], cache_keys: frozenset[str]) -> None:
        """Remember a request that came through an edge, and what its answer was made of."""
        if _THROUGH_EDGE not in headers:
            return
        variant = EdgeRequest(target, tuple(headers.get(name, b"") for name in _VARIES))
        if variant.size <= _MOST_VARIANT_BYTES:
            size = variant.size + _CACHE_KEY_BYTES * (2 + len(cache_keys))
            self._variants.put(variant, cache_keys, size)

    def _note_change(self, cache_keys: Iterable[str] | None) -> None:
        if cache_keys is None or len(self._changed) > _MOST_CHANGED_KEYS:
            return  # everything, or very much: it expires by itself
        self._changed.update(cache_keys)
        self._has_changes.set()

    async def _run(self) -> None:
        while True:
            await self._has_changes.wait()
            await asyncio.sleep(_SETTLE_SECONDS)
            self._has_changes.clear()
            changed, self._changed = self._changed, set()
            await self._refresh([one for one, keys in self._variants.items() if keys & changed])
            self._task.record_success()

    async def _refresh(self, variants: list[EdgeRequest]) -> None:
        turns = asyncio.Semaphore(_AT_ONCE)
        fetches = [
            self._fetch_anew(address, one, turns) for one in variants for address in self._addresses
        ]
        outcomes = await asyncio.gather(*fetches)
        metrics.edge_refreshes_total.labels("done").inc(sum(outcomes))
        failures = len(outcomes) - sum(outcomes)
        if failures:
            metrics.edge_refreshes_total.labels("failed").inc(failures)
            log.warning("edge_refresh_failed", requests=failures)

    async def _fetch_anew(
        self, address: str, variant: EdgeRequest, turns: asyncio.Semaphore
    ) -> bool:
        headers = [*zip(_VARIES, variant.headers, strict=True), (_REFRESH, self._key)]
        async with turns:
            try:
                async with asyncio.timeout(_SECONDS):
                    answer = await self._client.get(address + variant.target, headers=headers)
            except (TimeoutError, httpx.HTTPError):
                return False
        return answer.status_code == 200  # anything else leaves the old copy in its place
