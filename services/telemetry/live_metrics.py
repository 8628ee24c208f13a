"""Live metrics: what each process counted since its last sample, merged over all processes.

A request costs two additions. Samples of several processes merge without loss, because they carry
counts per bucket, not percentiles.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter as BucketCounts
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum

import msgspec
from prometheus_client import Counter, Gauge

from services.telemetry import metrics

# Each bound is 5 % above the one before, 0.1 ms to 60 s: a percentile is at most 5 % too high.
_STEP = 1.05
BOUNDS_SECONDS = [0.0001 * _STEP**step for step in range(math.ceil(math.log(600_000, _STEP)) + 1)]
_DATABASE_BOUNDS_MS = {
    bisect_left(BOUNDS_SECONDS, seconds): seconds * 1000 for seconds in metrics.REQUEST_BUCKETS
}
LONGEST_STEP_MS = 2_500  # between samples of a process that samples every second; more is a gap
SILENT_AFTER_SECONDS = 3  # a process without samples for this long is considered stopped


class CacheLevel(Enum):
    """Tiers of the cache in live metrics."""

    MEMORY = "MEMORY"
    REDIS = "REDIS"
    RESPONSE = "RESPONSE"


@dataclass(frozen=True, slots=True)
class CacheLevelStats:
    """Reads of one cache tier."""

    level: CacheLevel
    hits: int = 0
    misses: int = 0
    stale: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits divided by reads, 0 to 1."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Counts of one process over `seconds`; `durations` and `database`: bucket -> calls.

    `at` is by the clock of the process until it is read from the stream, then by Redis's.
    """

    process: str
    at: float
    seconds: float
    durations: dict[int, int]
    failed: int
    cache: list[CacheLevelStats]
    database: dict[int, int]
    active_connections: int
    active_streams: int
    progress_backlog: int
    progress_lag_seconds: float

    @property
    def requests(self) -> int:
        """Number of requests."""
        return sum(self.durations.values())


@dataclass(frozen=True, slots=True)
class Point:
    """Metrics of the whole service at one moment."""

    at: datetime
    requests_per_second: float
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cache: list[CacheLevelStats]
    database_p95_ms: float | None
    active_connections: int
    active_streams: int
    progress_backlog: int
    progress_lag_seconds: float


class LiveMetrics:
    """Counters of one process.

    Args:
        process: name of this process, unique in the fleet.
        clock: seconds since 1970.
    """

    def __init__(self, process: str, clock: Callable[[], float] = time.time) -> None:
        self._process = process
        self._clock = clock
        self._sampled_at = clock()
        self._durations = [0] * (len(BOUNDS_SECONDS) + 1)
        self._failed = 0
        self._before = _Totals.read()

    def record_request(self, duration_seconds: float, failed: bool) -> None:
        """Count one request; takes well under a microsecond."""
        self._durations[bisect_left(BOUNDS_SECONDS, duration_seconds)] += 1
        if failed:
            self._failed += 1

    def take_sample(self, progress_backlog: int = 0, progress_lag_seconds: float = 0.0) -> Sample:
        """Return the counts since the last sample and start again; it spans at least 1 ms."""
        now, totals = self._clock(), _Totals.read()
        before, durations, failed = self._before, self._durations, self._failed
        seconds = max(now - self._sampled_at, 0.001)
        self._sampled_at, self._before = now, totals
        self._durations, self._failed = [0] * len(durations), 0
        return Sample(
            self._process,
            now,
            seconds,
            {bucket: count for bucket, count in enumerate(durations) if count},
            failed,
            [totals.subtract(level, before) for level in CacheLevel],
            dict(totals.database - before.database),
            int(_read_gauge(metrics.active_connections)),
            int(_read_gauge(metrics.active_streams)),
            progress_backlog,
            progress_lag_seconds,
        )


@dataclass(frozen=True, slots=True)
class _Totals:
    """The process's cumulative counters at one moment."""

    hits: Mapping[str, int]
    misses: Mapping[str, int]
    stale: Mapping[str, int]
    database: BucketCounts[int]

    @classmethod
    def read(cls) -> _Totals:
        """Read the counters from the metrics."""
        return cls(
            _count_by_level(metrics.cache_hits_total),
            _count_by_level(metrics.cache_misses_total),
            _count_by_level(metrics.cache_stale_total),
            _count_database_calls(),
        )

    def subtract(self, level: CacheLevel, before: _Totals) -> CacheLevelStats:
        """Return a tier's counts since `before`."""
        name = level.value.lower()  # as the metrics' label has it
        return CacheLevelStats(
            level,
            self.hits.get(name, 0) - before.hits.get(name, 0),
            self.misses.get(name, 0) - before.misses.get(name, 0),
            self.stale.get(name, 0) - before.stale.get(name, 0),
        )


def _count_by_level(counter: Counter) -> dict[str, int]:
    (family,) = counter.collect()
    return {
        sample.labels["cache_type"]: int(sample.value)
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def _count_database_calls() -> BucketCounts[int]:
    """Count calls by bucket of BOUNDS_SECONDS; Prometheus has them cumulated by its own bounds."""
    (family,) = metrics.database_seconds.collect()
    counts: BucketCounts[int] = BucketCounts()
    below = 0
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            count = int(sample.value)
            counts[bisect_left(BOUNDS_SECONDS, float(sample.labels["le"]))] += count - below
            below = count
    return counts


def _read_gauge(gauge: Gauge) -> float:
    (family,) = gauge.collect()
    return family.samples[0].value


def merge(samples: Iterable[Sample]) -> Point:
    """Merge samples (at least one) of different processes.

    Every process reports the whole service's progress backlog and lag: the largest counts.
    """
    every = list(samples)
    durations: BucketCounts[int] = BucketCounts()
    database: BucketCounts[int] = BucketCounts()
    for sample in every:
        durations.update(sample.durations)
        database.update(sample.database)
    requests = durations.total()
    failed = sum(sample.failed for sample in every)
    return Point(
        at=datetime.fromtimestamp(max(sample.at for sample in every), UTC),
        requests_per_second=sum(sample.requests / sample.seconds for sample in every),
        error_rate=failed / requests if requests else 0.0,
        p50_ms=compute_percentile_ms(durations, 0.50),
        p95_ms=compute_percentile_ms(durations, 0.95),
        p99_ms=compute_percentile_ms(durations, 0.99),
        cache=[_merge_level(level, every) for level in CacheLevel],
        database_p95_ms=_compute_database_p95_ms(database) if database else None,
        active_connections=sum(sample.active_connections for sample in every),
        active_streams=sum(sample.active_streams for sample in every),
        progress_backlog=max(sample.progress_backlog for sample in every),
        progress_lag_seconds=max(sample.progress_lag_seconds for sample in every),
    )


def _merge_level(level: CacheLevel, samples: list[Sample]) -> CacheLevelStats:
    stats = [one for sample in samples for one in sample.cache if one.level is level]
    return CacheLevelStats(
        level,
        sum(one.hits for one in stats),
        sum(one.misses for one in stats),
        sum(one.stale for one in stats),
    )


def compute_percentile_ms(counts: Mapping[int, int], share: float) -> float:
    """Return the upper bound of the bucket that a share (0 to 1) of calls ends in; 0 if none."""
    bucket = _find_bucket(counts, share)
    return 0.0 if bucket is None else BOUNDS_SECONDS[min(bucket, len(BOUNDS_SECONDS) - 1)] * 1000


def _compute_database_p95_ms(counts: Mapping[int, int]) -> float:
    """The 95th percentile as one of the bounds that database calls are counted by."""
    bucket = _find_bucket(counts, 0.95)
    bound_ms = None if bucket is None else _DATABASE_BOUNDS_MS.get(bucket)
    return compute_percentile_ms(counts, 0.95) if bound_ms is None else bound_ms


def _find_bucket(counts: Mapping[int, int], share: float) -> int | None:
    target = math.ceil(share * sum(counts.values()))
    below = 0
    for bucket in sorted(counts):
        below += counts[bucket]
        if below >= target:
            return bucket
    return None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Sample)


def encode(sample: Sample) -> bytes:
    """Encode a sample for the stream."""
    return _encoder.encode(sample)


class SampleReducer:
    """Reducer of samples to points, each from the newest sample of every reporting process.

    A generation ends when a process reports again; within one, each point covers more processes.
    Redis's time of each sample counts, not its process's: their clocks may differ by seconds.
    """

    def __init__(self) -> None:
        self._newest: dict[str, Sample] = {}
        self._reported: set[str] = set()
        self._generation = 0

    def __call__(self, body: bytes, at_ms: int) -> tuple[int, Point] | None:
        """Return generation and point; None for a sample of another release."""
        try:
            sample = replace(_decoder.decode(body), at=at_ms / 1000)
        except msgspec.DecodeError:
            return None
        if sample.process in self._reported:
            self._reported.clear()
            self._generation += 1
        self._reported.add(sample.process)
        self._newest[sample.process] = sample
        self._newest = {
            name: one
            for name, one in self._newest.items()
            if sample.at - one.at <= SILENT_AFTER_SECONDS
        }
        return self._generation, merge(self._newest.values())
