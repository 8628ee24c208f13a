"""Who misbehaves, by prefix of addresses, and what is done about it: slowed down, then only known
documents, then blocked for a while.

Noting and asking touch this process's memory alone. What was noted goes to Redis in one pipeline
every 200 ms, and how prefixes stand comes back twice a second; while Redis is away each process
counts for itself. Memory is bounded; nothing here ever fails a request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import lru_cache

from services.errors import UpstreamUnavailable
from services.limits.abuse_rules import (
    MOST_SHAPES,
    POINTS,
    SHAPES_SECONDS,
    AbuseRules,
    Level,
    Score,
    Signal,
    Standing,
    Tally,
)
from services.limits.abuse_store import AbuseStore, Change
from services.limits.client_address import (
    Address,
    ClientAddresses,
    is_within,
    network_of,
    networks,
    parsed,
)
from services.redis.pool import Client, Guard
from services.settings.settings import Settings
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("abuse_watch")
_FLUSH_SECONDS = 0.2
_REFRESH_SECONDS = 0.5
_FLUSHED_PREFIXES = 1000
_MOST_PREFIXES = 10_000
_MOST_SHAPES = 64  # of a prefix remembered here; Redis keeps the count
_MOST_ALONE = 5_000
_MOST_ADDRESSES = 16_384
_UNTOLD_SHARE = 0.1  # of the free requests a second: so few are not even told to Redis
_LEAST_DELAY_SECONDS, _MOST_DELAY_SECONDS = 0.2, 1.0


class _Noted:
    """What this process knows of a prefix, and has not told yet."""

    __slots__ = ("filled_at", "points", "requests", "shapes", "shapes_until", "unshown", "untold")

    def __init__(self, untold: float, now: float) -> None:
        self.untold = untold
        self.filled_at = now
        self.requests = 0
        self.points = 0.0
        self.shapes: set[str] = set()
        self.unshown: list[str] = []
        self.shapes_until = now + SHAPES_SECONDS

    def taken(self) -> Tally:
        tally = Tally(self.requests, self.points, tuple(self.unshown))
        self.requests, self.points = 0, 0.0
        self.unshown.clear()
        return tally


class AbuseWatch:
    """One per process. `clock` tells seconds since 1970."""

    def __init__(
        self, settings: Settings, redis: Client, clock: Callable[[], float] = time.time
    ) -> None:
        self.is_on = settings.abuse_mode != "off"
        self.enforces = settings.abuse_mode == "enforce"
        self.rules = AbuseRules.of(settings)
        self.addresses = ClientAddresses(settings.trusted_proxies)
        self._exempt = networks(settings.abuse_exempt, "ABUSE_EXEMPT") + self.addresses.trusted
        if not settings.is_production:  # ourselves; tests play strangers from the rest of 127/8
            self._exempt += tuple(ipaddress.ip_network(own) for own in ("127.0.0.1", "::1"))
        self._clock = clock
        self.store = AbuseStore(redis, self.rules, settings.redis_key_prefix)
        self._untold = max(1.0, _UNTOLD_SHARE * self.rules.requests_per_second)
        self._prefix_of = lru_cache(maxsize=_MOST_ADDRESSES)(self._watched_prefix)
        self._noted: OrderedDict[str, _Noted] = OrderedDict()
        self._pending: dict[str, _Noted] = {}
        self._standings: dict[str, Standing] = {}
        self._alone: OrderedDict[str, Score] = OrderedDict()
        self._guard = Guard()
        self._is_away = False
        self._refreshed_at = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many prefixes this process remembers."""
        return len(self._noted)

    # ---- asked and told by every request

    def standing(self, address: str | None) -> Standing | None:
        """How the address's prefix stands; None for most: nothing is held against it."""
        if not self._standings and not self._alone:
            return None
        prefix = self._prefix_of(address)
        if prefix is None:
            return None
        found = self._standings.get(prefix)
        alone = self._alone.get(prefix) if self._alone else None
        if found is None or (alone is not None and alone.level > found.level):
            return alone
        return found

    def level(self, standing: Standing) -> Level:
        return standing.level_at(self._clock(), self.rules)

    def delay_seconds(self, standing: Standing) -> float:
        """The longer the worse it stands."""
        score = self.rules.decayed(standing.score, self._clock() - standing.at)
        span = max(1.0, self.rules.block_score - self.rules.slow_score)
        part = min(1.0, max(0.0, (score - self.rules.slow_score) / span))
        return _LEAST_DELAY_SECONDS + part * (_MOST_DELAY_SECONDS - _LEAST_DELAY_SECONDS)

    def seconds_left(self, standing: Standing) -> float:
        """Of its block."""
        return max(0.0, standing.until - self._clock())

    def note_request(self, address: str | None) -> None:
        """One more; the first few of every second are not counted further."""
        prefix = self._prefix_of(address) if self.is_on else None
        if prefix is None:
            return
        noted = self._of(prefix)
        if noted.untold < 1:
            now = self._clock()
            filled = noted.untold + max(0.0, now - noted.filled_at) * self._untold
            noted.untold, noted.filled_at = min(self._untold, filled), now
        if noted.untold >= 1:
            noted.untold -= 1
            return
        noted.requests += 1
        self._await(prefix, noted)

    def note(self, address: str | None, signal: Signal, amount: int = 1) -> None:
        prefix = self._prefix_of(address) if self.is_on else None
        if prefix is None:
            return
        noted = self._of(prefix)
        noted.points += POINTS[signal] * amount
        metrics.abuse_signals_total.labels(signal.value).inc(amount)
        self._await(prefix, noted)

    def saw_document(self, address: str | None, shape: str) -> None:
        """`shape` is a digest of the document's text, the same in all processes."""
        prefix = self._prefix_of(address) if self.is_on else None
        if prefix is None:
            return
        noted = self._of(prefix)
        if shape in noted.shapes and noted.shapes_until > self._clock():
            return
        if noted.shapes_until <= self._clock() or len(noted.shapes) >= _MOST_SHAPES:
            noted.shapes.clear()
            noted.shapes_until = self._clock() + SHAPES_SECONDS
        noted.shapes.add(shape)
        if len(noted.unshown) < MOST_SHAPES:
            noted.unshown.append(shape)
        self._await(prefix, noted)

    def _of(self, prefix: str) -> _Noted:
        noted = self._noted.get(prefix)
        if noted is None:
            noted = self._noted[prefix] = _Noted(self._untold, self._clock())
            if len(self._noted) > _MOST_PREFIXES:
                self._noted.popitem(last=False)
        else:
            self._noted.move_to_end(prefix)
        return noted

    def _await(self, prefix: str, noted: _Noted) -> None:
        if prefix not in self._pending and len(self._pending) < _MOST_PREFIXES:
            self._pending[prefix] = noted
            self._wake.set()

    def _watched_prefix(self, address: str | None) -> str | None:
        """None for what is exempt, or no address."""
        found: Address | None = parsed(address) if self.is_on else None
        if found is None or is_within(found, self._exempt):
            return None
        return str(network_of(found))

    def is_exempt(self, prefix: str) -> bool:
        """Whether no address of the prefix is ever watched."""
        network = ipaddress.ip_network(prefix)
        return any(
            network.version == exempt.version and network.subnet_of(exempt)  # type: ignore[arg-type]
            for exempt in self._exempt
        )

    # ---- with the other processes

    async def start(self) -> None:
        if self.is_on:
            await self.turn()
            self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            if not self._pending:
                await self._woken()
            try:
                await self.turn()
            except Exception as error:  # the watch goes on, whatever it was
                log.error("abuse_watch_failed", exc_info=error)

    async def _woken(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(_REFRESH_SECONDS - _FLUSH_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def turn(self) -> None:
        """Tells what was noted, and hears how all prefixes stand."""
        batch = list(self._pending)[:_FLUSHED_PREFIXES]
        tallies = {prefix: self._pending.pop(prefix).taken() for prefix in batch}
        if self._guard.allows():
            try:
                await self._tell(tallies)
                if time.monotonic() - self._refreshed_at >= _REFRESH_SECONDS:
                    await self.hear()
            except UpstreamUnavailable as error:
                self._is_lost(error)
            else:
                self._is_back()
                return
        self._count_alone(tallies)

    async def _tell(self, tallies: dict[str, Tally]) -> None:
        """All in one pipeline. Raises UpstreamUnavailable only if all failed."""
        now = self._clock()
        told = await asyncio.gather(
            *(self.store.count(prefix, tally, now) for prefix, tally in tallies.items()),
            return_exceptions=True,
        )
        for answer in told:
            if isinstance(answer, BaseException):
                raise answer
            before, standing = answer
            self._stands(standing)
            self._changed(Change(standing.prefix, before, standing.level))

    async def hear(self) -> None:
        standings, changes = await self.store.standings(self._clock())
        self._refreshed_at = time.monotonic()
        self._standings = {standing.prefix: standing for standing in standings}
        levels = Counter(standing.level for standing in standings)
        for level in (Level.SLOW, Level.DOCUMENTS, Level.BLOCKED):
            metrics.abuse_prefixes.labels(level.label).set(levels[level])
        for change in changes:
            self._changed(change)

    def _stands(self, standing: Standing) -> None:
        if standing.level is Level.NORMAL:
            self._standings.pop(standing.prefix, None)
        else:
            self._standings[standing.prefix] = standing

    def _changed(self, change: Change) -> None:
        if change.before is change.after:
            return
        metrics.abuse_transitions_total.labels(change.after.label).inc()
        tell = log.warning if change.after > change.before else log.info
        tell(
            "abuse_level",
            prefix=change.prefix,
            before=change.before.label,
            after=change.after.label,
            enforced=self.enforces,
        )

    # ---- without them

    def _count_alone(self, tallies: dict[str, Tally]) -> None:
        now = self._clock()
        for prefix, tally in tallies.items():
            score = self._alone.setdefault(prefix, Score(prefix))
            self._alone.move_to_end(prefix)
            before = score.level
            score.count(tally, now, self.rules)
            self._changed(Change(prefix, before, score.level))
            if len(self._alone) > _MOST_ALONE:
                self._alone.popitem(last=False)

    def _is_lost(self, error: Exception) -> None:
        self._guard.failed()
        if not self._is_away:
            self._is_away = True
            log.warning("abuse_watch_counts_alone", error=repr(error.__cause__ or error))

    def _is_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._alone.clear()
            log.info("abuse_watch_counts_in_redis")
