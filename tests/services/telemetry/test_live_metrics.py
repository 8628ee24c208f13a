from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.cache.read_counts import count_reads
from services.telemetry import live_metrics, metrics
from services.telemetry.live_metrics import (
    CacheLevel,
    CacheLevelStats,
    LiveMetrics,
    Point,
    Sample,
    SampleReducer,
    merge,
)
from tests.support.clock import Clock

MEMORY, REDIS, RESPONSE = CacheLevel
START = 1_800_000_000.0


def of(level: CacheLevel, point: Point | Sample) -> CacheLevelStats:
    (stats,) = [one for one in point.cache if one.level is level]
    return stats


def sample(process: str, at: float, **more: object) -> Sample:
    empty = Sample(process, at, 1.0, {}, 0, [], {}, 0, 0, 0, 0.0)
    return replace(empty, **more)  # type: ignore[arg-type]


def test_one_second_is_aggregated_exactly(clock: Clock) -> None:
    # given 100 requests in two seconds: 90 of 1 ms, 8 of 10 ms, 2 of 100 ms, 4 of them failed
    live = LiveMetrics("one", clock)
    for number in range(100):
        duration = 0.001 if number < 90 else 0.01 if number < 98 else 0.1
        live.record_request(duration, failed=number % 25 == 0)
    clock.now += 2
    # when it is taken
    point = merge([live.take_sample(progress_backlog=7, progress_lag_seconds=1.5)])
    # then rates are exact and percentiles at most 5 % above
    assert point.at == datetime.fromtimestamp(START + 2, UTC)
    assert point.requests_per_second == 50
    assert point.error_rate == 0.04
    assert 1 <= point.p50_ms <= 1.05
    assert 10 <= point.p95_ms <= 10.5
    assert 100 <= point.p99_ms <= 105
    assert (point.progress_backlog, point.progress_lag_seconds) == (7, 1.5)


def test_what_was_sampled_is_not_sampled_again(clock: Clock) -> None:
    live = LiveMetrics("one", clock)
    live.record_request(0.001, failed=True)
    clock.now += 1
    live.take_sample()
    clock.now += 1
    point = merge([live.take_sample()])
    assert (point.requests_per_second, point.error_rate) == (0, 0)
    assert (point.p50_ms, point.p95_ms, point.p99_ms) == (0, 0, 0)
    assert point.database_p95_ms is None


def test_extreme_durations_land_in_the_outer_buckets(clock: Clock) -> None:
    live = LiveMetrics("one", clock)
    for duration in (-1.0, 0.0, 10_000.0):
        live.record_request(duration, failed=False)
    clock.now += 1
    point = merge([live.take_sample()])
    assert point.requests_per_second == 3
    assert point.p50_ms == pytest.approx(0.1)
    assert 60_000 <= point.p99_ms <= 63_000


def test_a_clock_that_stands_or_goes_back_breaks_nothing(clock: Clock) -> None:
    live = LiveMetrics("one", clock)
    live.record_request(0.001, failed=False)
    clock.now -= 5
    assert live.take_sample().seconds == 0.001


def test_counters_and_gauges_are_read_as_what_changed(clock: Clock) -> None:
    # given counters that already stand somewhere
    count_reads("memory", 1000, 1000)
    metrics.database_seconds.observe(5)
    live = LiveMetrics("one", clock)
    connections = metrics.active_connections.collect()[0].samples[0].value
    # when more happens
    count_reads("memory", 3, 1)
    count_reads("redis", 0, 1)
    metrics.cache_stale_total.labels("redis").inc()
    metrics.active_connections.inc(2)
    for _ in range(20):
        metrics.database_seconds.observe(0.004)
    clock.now += 1
    point = merge([live.take_sample()])
    metrics.active_connections.dec(2)
    # then only that is told
    assert of(MEMORY, point) == CacheLevelStats(MEMORY, hits=3, misses=1, stale=0)
    assert of(MEMORY, point).hit_rate == 0.75
    assert of(REDIS, point) == CacheLevelStats(REDIS, hits=0, misses=1, stale=1)
    assert of(RESPONSE, point).hit_rate == 0
    assert point.active_connections == connections + 2
    assert point.database_p95_ms is not None
    assert point.database_p95_ms == 5  # the bucket's upper bound, as the schema says


def test_processes_merge_by_their_counts_not_their_percentiles() -> None:
    fast = sample("a", START, durations={10: 99}, active_streams=1, progress_backlog=5)
    slow = sample("b", START - 1, durations={200: 1}, failed=1, seconds=2.0, active_streams=2)
    point = merge([fast, slow])
    assert point.at == datetime.fromtimestamp(START, UTC)
    assert point.requests_per_second == 99.5
    assert point.error_rate == 0.01
    assert point.p99_ms == live_metrics.BOUNDS_SECONDS[10] * 1000
    assert point.active_streams == 3
    assert point.progress_backlog == 5


def test_a_fold_tells_the_newest_of_every_process_and_rounds_end_on_repetition() -> None:
    fold = SampleReducer()
    reduced = [
        fold(
            live_metrics.encode(sample(process, START, durations={1: many})),
            round((START + at) * 1000),
        )
        for process, at, many in [
            ("a", 0.0, 1),
            ("b", 0.5, 10),
            ("a", 1.0, 2),
            ("b", 1.5, 20),
            ("a", 5.0, 3),
        ]
    ]
    rounds = [(one[0], one[1].requests_per_second) for one in reduced if one is not None]
    # then b, silent for longer than three seconds, no longer counts at the end
    assert rounds == [(0, 1), (0, 11), (1, 12), (1, 22), (2, 3)]


def test_a_process_whose_clock_is_ahead_hides_no_other_and_is_forgotten_when_it_ends() -> None:
    # given three processes with clocks apart by minutes, which all report every second
    fold, ahead, behind = SampleReducer(), 300.0, -300.0

    def report(process: str, skew: float, second: int) -> tuple[int, Point] | None:
        body = live_metrics.encode(sample(process, START + second + skew, durations={1: 10}))
        return fold(body, round((START + second) * 1000))

    for second in range(5):
        for process, skew in (("ahead", ahead), ("right", 0.0), ("behind", behind)):
            newest = report(process, skew, second)
    # then all count
    assert newest is not None and newest[1].requests_per_second == 30
    # and the moment is Redis's
    assert newest[1].at == datetime.fromtimestamp(START + 4, UTC)
    # when the one ahead ends, then it is gone with the others' next reports
    for second in (8, 9):
        for process, skew in (("right", 0.0), ("behind", behind)):
            newest = report(process, skew, second)
    assert newest is not None and newest[1].requests_per_second == 20


def test_what_another_version_wrote_is_passed_over() -> None:
    assert SampleReducer()(b"\x93\x01\x02\x03", 0) is None
    assert SampleReducer()(b"", 0) is None


def test_a_sample_survives_the_stream() -> None:
    original = sample("a", START, durations={3: 4}, cache=[CacheLevelStats(MEMORY, 1, 2, 3)])
    reduced = SampleReducer()(live_metrics.encode(original), round(START * 1000))
    assert reduced == (0, merge([original]))


@pytest.mark.serial
def test_recording_a_request_is_cheap() -> None:
    live = LiveMetrics("one")
    best = min(_seconds_for(live, 10_000) for _ in range(10))
    assert best / 10_000 < 1e-6


def _seconds_for(live: LiveMetrics, times: int) -> float:
    record, started = live.record_request, time.perf_counter()
    for _ in range(times):
        record(0.0123, False)
    return time.perf_counter() - started
