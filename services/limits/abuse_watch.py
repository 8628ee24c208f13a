"""Detection of abuse by address prefix; levels: slow, known documents only, blocked.

Recording and look-ups touch this process's memory alone. Recorded signals go to Redis in one
pipeline every 200 ms, and statuses come back twice a second; while Redis is away, each process
counts locally. Memory is bounded, and nothing here ever fails a request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import lru_cache

from services.errors import UpstreamUnavailable
from services.limits.abuse_notes import Place, PrefixNotes
from services.limits.abuse_rules import (
    DOCUMENTS_SECONDS,
    MAX_DOCUMENTS,
    POINTS,
    AbuseLevel,
    AbuseRules,
    AbuseSignals,
    LocalScore,
    PrefixStatus,
    Signal,
)
from services.limits.abuse_store import AbuseStore, LevelChange
from services.limits.client_address import (
    Address,
    ClientAddresses,
    get_network,
    is_within,
    parse_address,
    parse_networks,
)
from services.redis.link import RedisLink
from services.settings.settings import Settings
from services.supervision import SupervisedTask
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.outages import OutageLog

log = get_logger("abuse_watch")
_FLUSH_SECONDS = 0.2
_REFRESH_SECONDS = 0.5
_FLUSHED_PREFIXES = 1000
_MAX_PREFIXES = 10_000
_MAX_LOCAL_DOCUMENTS = 64  # of a prefix remembered here; Redis keeps the count
_MAX_LOCAL_SCORES = 5_000
_MAX_ADDRESSES = 16_384
SITE_BITS = 48
_MAX_NOTED_OF_SITE = 64  # prefixes of one /48 in this process; signals of more count for the /48
_SITE_SHARE = 0.25  # of their points: a /48 of a network of phones has many owners
_UNCOUNTED_SHARE = 0.1  # of the free requests a second: so few are not sent to Redis
_MIN_DELAY_SECONDS, _MAX_DELAY_SECONDS = 0.2, 1.0


class AbuseWatch:
    """The abuse watch of one process. `clock` returns seconds since 1970."""

    def __init__(
        self, settings: Settings, redis: RedisLink, clock: Callable[[], float] = time.time
    ) -> None:
        self.is_on = settings.abuse_mode != "off"
        self.enforces = settings.abuse_mode == "enforce"
        self.rules = AbuseRules.of(settings)
        self.addresses = ClientAddresses(settings.trusted_proxies)
        self._exempt = (
            parse_networks(settings.abuse_exempt, "ABUSE_EXEMPT") + self.addresses.trusted
        )
        if not settings.is_production:  # this machine alone; tests are clients on 127/8
            self._exempt += tuple(ipaddress.ip_network(own) for own in ("127.0.0.1", "::1"))
        self._clock = clock
        self.store = AbuseStore(redis, self.rules, settings.redis_key_prefix)
        self._uncounted = max(1.0, _UNCOUNTED_SHARE * self.rules.requests_per_second)
        self._place_of = lru_cache(maxsize=_MAX_ADDRESSES)(self._find_place)
        self._noted_of_site: Counter[str] = Counter()
        self._notes: OrderedDict[str, PrefixNotes] = OrderedDict()
        self._pending: dict[str, PrefixNotes] = {}
        self._statuses: dict[str, PrefixStatus] = {}
        self._local_scores: OrderedDict[str, LocalScore] = OrderedDict()
        self._is_away = False
        self._outage = OutageLog(log, "abuse_redis")
        self._refreshed_at = 0.0
        self._wake = asyncio.Event()
        self._task = SupervisedTask("abuse watch", self._run)

    def __len__(self) -> int:
        """Return how many prefixes are in this process's memory."""
        return len(self._notes)

    # ---- on every request

    def get_status(self, address: str | None, account: str | None = None) -> PrefixStatus | None:
        """Return the status of a client; None when its level is NORMAL.

        Args:
            account: id of the signed-in user, who is judged alone; but a block of the prefix by
                an operator holds for everybody.
        """
        if not self._statuses and not self._local_scores:
            return None
        place = self._place_of(address)
        if place is None:
            return None
        of_prefix = self._get_status_of(place.prefix)
        if account is not None:
            is_for_all = of_prefix is not None and of_prefix.is_set_by_operator
            return of_prefix if is_for_all else self._get_status_of(account)
        of_site = self._get_status_of(place.site) if place.site is not None else None
        if of_prefix is None or (of_site is not None and of_site.level > of_prefix.level):
            return of_site
        return of_prefix

    def _get_status_of(self, subject: str) -> PrefixStatus | None:
        shared = self._statuses.get(subject)
        local = self._local_scores.get(subject) if self._local_scores else None
        if shared is None or (local is not None and local.level > shared.level):
            return local
        return shared

    def get_level(self, status: PrefixStatus) -> AbuseLevel:
        """Return the level of a status at this moment."""
        return status.get_level_at(self._clock(), self.rules)

    def get_delay_seconds(self, status: PrefixStatus) -> float:
        """Return how long to delay a request: the higher the score, the longer."""
        score = self.rules.decay(status.score, self._clock() - status.at)
        span = max(1.0, self.rules.block_score - self.rules.slow_score)
        part = min(1.0, max(0.0, (score - self.rules.slow_score) / span))
        return _MIN_DELAY_SECONDS + part * (_MAX_DELAY_SECONDS - _MIN_DELAY_SECONDS)

    def get_block_seconds(self, status: PrefixStatus) -> float:
        """Return how long the block still lasts."""
        return max(0.0, status.until - self._clock())

    def record_request(self, address: str | None, account: str | None = None) -> None:
        """Count one request; the first few of every second are not sent to Redis."""
        place = self._place_of(address) if self.is_on else None
        if place is None:
            return
        subject = account or self._choose_subject(place)
        if subject == place.site:  # of many who share no more than a /48
            return
        notes = self._get_notes(subject, place)
        if notes.uncounted < 1:
            now = self._clock()
            filled = notes.uncounted + max(0.0, now - notes.filled_at) * self._uncounted
            notes.uncounted, notes.filled_at = min(self._uncounted, filled), now
        if notes.uncounted >= 1:
            notes.uncounted -= 1
            return
        notes.requests += 1
        self._enqueue(subject, notes)

    def record_signal(
        self, address: str | None, signal: Signal, amount: int = 1, account: str | None = None
    ) -> None:
        """Add the points of a signal, `amount` times, to the account or the address's prefix."""
        place = self._place_of(address) if self.is_on else None
        if place is None:
            return
        subject = account or self._choose_subject(place)
        notes = self._get_notes(subject, place)
        share = _SITE_SHARE if subject == place.site else 1.0
        notes.points += POINTS[signal] * amount * share
        metrics.abuse_signals_total.labels(signal.value).inc(amount)
        self._enqueue(subject, notes)

    def record_document(
        self, address: str | None, document_hash: str, account: str | None = None
    ) -> None:
        """Record that an account or a prefix sent a document.

        Args:
            document_hash: digest of the document's text, the same in all processes.
        """
        place = self._place_of(address) if self.is_on else None
        if place is None:
            return
        subject = account or self._choose_subject(place)
        if subject == place.site:
            return
        notes = self._get_notes(subject, place)
        if document_hash in notes.documents and notes.documents_until > self._clock():
            return
        if notes.documents_until <= self._clock() or len(notes.documents) >= _MAX_LOCAL_DOCUMENTS:
            notes.documents.clear()
            notes.documents_until = self._clock() + DOCUMENTS_SECONDS
        notes.documents.add(document_hash)
        if len(notes.new_documents) < MAX_DOCUMENTS:
            notes.new_documents.append(document_hash)
        self._enqueue(subject, notes)

    def _choose_subject(self, place: Place) -> str:
        """Return the prefix or, where this process notes many of its /48 already, the /48.

        Who owns a /48 has 65,536 prefixes: enough to fill every list that others are on, too.
        """
        if place.site is None or place.prefix in self._notes:
            return place.prefix
        is_full = self._noted_of_site[place.site] >= _MAX_NOTED_OF_SITE
        return place.site if is_full else place.prefix

    def _get_notes(self, subject: str, place: Place) -> PrefixNotes:
        notes = self._notes.get(subject)
        if notes is not None:
            self._notes.move_to_end(subject)
            return notes
        site = place.site if subject == place.prefix else None
        notes = self._notes[subject] = PrefixNotes(self._uncounted, self._clock(), site)
        if site is not None:
            self._noted_of_site[site] += 1
        if len(self._notes) > _MAX_PREFIXES:
            _, dropped = self._notes.popitem(last=False)
            if dropped.site is not None:
                self._noted_of_site[dropped.site] -= 1
                if not self._noted_of_site[dropped.site]:
                    del self._noted_of_site[dropped.site]
        return notes

    def _enqueue(self, prefix: str, notes: PrefixNotes) -> None:
        if prefix not in self._pending and len(self._pending) < _MAX_PREFIXES:
            self._pending[prefix] = notes
            self._wake.set()

    def _find_place(self, address: str | None) -> Place | None:
        """Return where the address belongs; None for exempt addresses and for unreadable ones."""
        parsed: Address | None = parse_address(address) if self.is_on else None
        if parsed is None or is_within(parsed, self._exempt):
            return None
        network = get_network(parsed)
        site = str(network.supernet(new_prefix=SITE_BITS)) if network.version == 6 else None
        return Place(str(network), site)

    def is_exempt(self, prefix: str) -> bool:
        """Whether no address of the prefix is ever watched."""
        network = ipaddress.ip_network(prefix)
        return any(
            network.version == exempt.version and network.subnet_of(exempt)  # type: ignore[arg-type]
            for exempt in self._exempt
        )

    # ---- exchange with the other processes

    async def start(self) -> None:
        """Synchronize once and then regularly, in a task."""
        if self.is_on:
            await self.sync()
            self._task.start()

    async def aclose(self) -> None:
        """Stop the task and wait for its end."""
        await self._task.aclose()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            if not self._pending:
                await self._wait_for_notes()
            await self.sync()
            self._task.record_success()

    async def _wait_for_notes(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(_REFRESH_SECONDS - _FLUSH_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def sync(self) -> None:
        """Send the pending signals, and fetch all statuses when the last ones are old."""
        batch = list(self._pending)[:_FLUSHED_PREFIXES]
        signals_by_prefix = {prefix: self._pending.pop(prefix).drain() for prefix in batch}
        try:
            await self._flush(signals_by_prefix)
            if time.monotonic() - self._refreshed_at >= _REFRESH_SECONDS:
                await self.refresh()
        except UpstreamUnavailable as error:
            self._switch_to_local(error)
        else:
            self._switch_to_redis()
            return
        self._count_locally(signals_by_prefix)

    async def _flush(self, signals_by_prefix: dict[str, AbuseSignals]) -> None:
        """Send all signals in one pipeline and apply the statuses it returns."""
        now = self._clock()
        answers = await asyncio.gather(
            *(
                self.store.count(prefix, signals, now)
                for prefix, signals in signals_by_prefix.items()
            ),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            before, status = answer
            self._apply_status(status)
            self._announce_change(LevelChange(status.prefix, before, status.level))

    async def refresh(self) -> None:
        """Fetch all statuses and log the changes reported to this process.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        statuses, changes = await self.store.list_statuses(self._clock())
        self._refreshed_at = time.monotonic()
        self._statuses = {status.prefix: status for status in statuses}
        levels = Counter(status.level for status in statuses)
        for level in (AbuseLevel.SLOW, AbuseLevel.DOCUMENTS, AbuseLevel.BLOCKED):
            metrics.abuse_prefixes.labels(level.label).set(levels[level])
        for change in changes:
            self._announce_change(change)

    def _apply_status(self, status: PrefixStatus) -> None:
        if status.level is AbuseLevel.NORMAL:
            self._statuses.pop(status.prefix, None)
        else:
            self._statuses[status.prefix] = status

    def _announce_change(self, change: LevelChange) -> None:
        if change.before is change.after:
            return
        metrics.abuse_transitions_total.labels(change.after.label).inc()
        log_change = log.warning if change.after > change.before else log.info
        log_change(
            "abuse_level_changed",
            prefix=change.prefix,
            before=change.before.label,
            after=change.after.label,
            enforced=self.enforces,
        )

    # ---- while Redis is away

    def _count_locally(self, signals_by_prefix: dict[str, AbuseSignals]) -> None:
        now = self._clock()
        for prefix, signals in signals_by_prefix.items():
            score = self._local_scores.setdefault(prefix, LocalScore(prefix))
            self._local_scores.move_to_end(prefix)
            before = score.level
            score.count(signals, now, self.rules)
            self._announce_change(LevelChange(prefix, before, score.level))
            if len(self._local_scores) > _MAX_LOCAL_SCORES:
                self._local_scores.popitem(last=False)

    def _switch_to_local(self, error: Exception) -> None:
        self._is_away = True
        self._outage.record_failure(error=repr(error.__cause__ or error))

    def _switch_to_redis(self) -> None:
        if self._is_away:
            self._is_away = False
            self._local_scores.clear()
            self._outage.record_recovery()
