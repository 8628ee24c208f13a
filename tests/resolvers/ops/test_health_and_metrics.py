from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

import models
from models import AccountTier, Role
from resolvers.context import Context, Runtime, Viewer
from resolvers.ops import health_and_metrics
from resolvers.ops.health_and_metrics import (
    HEALTH_KEY,
    HealthCheck,
    HealthStatus,
)
from resolvers.ops.live_metrics import LiveMetricsEvent, live_metrics, recent_metrics
from services.cache.ttl_cache import TtlCache
from services.errors import (
    Forbidden,
    InvalidCursor,
    Unauthenticated,
    UpstreamUnavailable,
    ValidationFailed,
)
from services.redis import hub as broadcast
from services.redis import pool
from services.redis.hub import Hub
from services.settings.settings import Settings
from services.telemetry.live_metrics import LiveMetrics, SampleReducer
from services.watched_value import WatchedValue
from tests.support.clock import Clock
from tests.support.fake_provider import free_port
from tests.support.runtimes import playback_on, with_changes
from workers.publish_metrics import publish_metrics

OK = HealthCheck("a", HealthStatus.HEALTHY)
AWAY = HealthCheck("b", HealthStatus.UNHEALTHY)


@pytest.fixture
async def operator(runtime: Runtime, settings: Settings, clock: Clock) -> AsyncIterator[Context]:
    """An operator on a hub and counters of this test's own."""
    hub = Hub(runtime.redis, "metrics:test", SampleReducer)
    own = with_changes(
        runtime, ops={"metrics_hub": hub, "live_metrics": LiveMetrics("one", clock)}, clock=clock
    )
    yield Context(own, Viewer("user_1", Role.OPERATOR, AccountTier.FREE, "login_1"))
    await hub.aclose()


async def second(context: Context, clock: Clock, requests: int) -> None:
    """A second with this many requests, published."""
    for _ in range(requests):
        context.runtime.ops.live_metrics.record_request(0.01, False)
    clock.now += 1
    await publish_metrics(context.runtime.playback.stream, context.runtime.ops)


async def following(events: AsyncIterator[LiveMetricsEvent]) -> LiveMetricsEvent:
    async with asyncio.timeout(5):
        return await anext(events)


def rates(event: LiveMetricsEvent) -> list[float]:
    return [point.requests_per_second for point in event.points]


async def test_operators_see_every_second_as_it_comes(operator: Context, clock: Clock) -> None:
    events = live_metrics(operator)
    for requests in (5, 0, 7):
        await second(operator, clock, requests)
        event = await following(events)
        assert (rates(event), event.gap) == ([requests], False)
    assert broadcast.parse_cursor(event.cursor) > (0, 0)


async def test_a_longer_interval_gets_its_points_together(operator: Context, clock: Clock) -> None:
    await second(operator, clock, 1)
    events = live_metrics(operator, interval_seconds=3)
    assert rates(await following(events)) == [1]
    for requests in (2, 3, 4):
        await second(operator, clock, requests)
    event = await following(events)
    assert (rates(event), event.gap) == ([2, 3, 4], False)


async def test_who_comes_back_with_a_cursor_loses_nothing(operator: Context, clock: Clock) -> None:
    # given somebody who saw the first second
    await second(operator, clock, 1)
    first = await following(live_metrics(operator))
    for requests in (2, 3):
        await second(operator, clock, requests)
    # when it resumes
    events = live_metrics(operator, resume_after=first.cursor)
    missed = await following(events)
    # then it gets the rest at once, and then goes on without repeating
    assert (rates(missed), missed.gap) == ([2, 3], False)
    await second(operator, clock, 4)
    assert rates(await following(events)) == [4]


async def test_a_client_that_resumes_too_late_is_sent_a_gap(
    operator: Context, clock: Clock
) -> None:
    await second(operator, clock, 1)
    first = await following(live_metrics(operator))
    await operator.runtime.redis.delete("metrics:test")
    events = live_metrics(operator, resume_after=first.cursor)
    await second(operator, clock, 2)
    event = await following(events)
    assert (rates(event), event.gap) == ([2], True)


@pytest.mark.parametrize("cursor", ["999999999999999-0", "4102444800000-7"])
async def test_a_cursor_ahead_of_the_stream_begins_at_the_newest_with_a_gap(
    operator: Context, clock: Clock, cursor: str
) -> None:
    # given a client that follows, and a cursor of a Redis that was rebuilt since
    await second(operator, clock, 1)
    await following(live_metrics(operator))
    events = live_metrics(operator, resume_after=cursor)
    event = await following(events)
    assert (rates(event), event.gap) == ([1], True)
    # then what comes next is told, and nothing is amiss
    await second(operator, clock, 2)
    event = await following(events)
    assert (rates(event), event.gap) == ([2], False)


async def test_a_cursor_ahead_of_an_empty_stream_begins_with_the_first_point(
    operator: Context, clock: Clock
) -> None:
    events = live_metrics(operator, resume_after="999999999999999-0")
    coming = asyncio.create_task(following(events))
    await asyncio.sleep(0.1)
    await second(operator, clock, 3)
    event = await coming
    assert (rates(event), event.gap) == ([3], True)


async def test_recent_metrics_come_with_the_cursor_to_go_on_from(
    operator: Context, clock: Clock
) -> None:
    assert await recent_metrics(operator, 300) is None
    for requests in (1, 2, 3):
        await second(operator, clock, requests)
    recent = await recent_metrics(operator, 300)
    assert recent is not None
    assert (rates(recent), recent.gap) == ([1, 2, 3], False)
    events = live_metrics(operator, resume_after=recent.cursor)
    await second(operator, clock, 4)
    assert rates(await following(events)) == [4]
    await events.aclose()


@pytest.mark.parametrize("seconds", [0, -1, 601])
async def test_how_far_to_look_back_is_bounded(operator: Context, seconds: int) -> None:
    with pytest.raises(ValidationFailed) as raised:
        await recent_metrics(operator, seconds)
    assert raised.value.path == ["seconds"]


async def test_only_operators_see_recent_metrics(operator: Context) -> None:
    with pytest.raises(Unauthenticated):
        await recent_metrics(Context(operator.runtime), 60)


@pytest.mark.parametrize("seconds", [0, -1, 61])
async def test_intervals_are_bounded(operator: Context, seconds: int) -> None:
    with pytest.raises(ValidationFailed) as raised:
        live_metrics(operator, interval_seconds=seconds)
    assert raised.value.path == ["intervalSeconds"]


async def test_a_forged_cursor_is_refused(operator: Context) -> None:
    with pytest.raises(InvalidCursor):
        live_metrics(operator, resume_after="; DROP")


async def test_only_operators_may_watch(context: Context, operator: Context) -> None:
    with pytest.raises(Unauthenticated):
        live_metrics(context)
    viewer = Viewer("user_2", Role.EDITOR, AccountTier.PREMIUM, "login_2")
    with pytest.raises(Forbidden):
        live_metrics(Context(operator.runtime, viewer))
    assert not operator.runtime.ops.metrics_hub._subscriptions


async def test_a_watcher_who_leaves_is_forgotten(operator: Context, clock: Clock) -> None:
    await second(operator, clock, 1)
    events = live_metrics(operator)
    await following(events)
    assert len(operator.runtime.ops.metrics_hub._subscriptions) == 1
    await events.aclose()
    assert not operator.runtime.ops.metrics_hub._subscriptions


async def test_publishing_while_redis_is_away_fails_nobody_and_forgets_nothing(
    operator: Context, runtime: Runtime, clock: Clock
) -> None:
    # given requests counted while Redis is away
    settings = runtime.settings.model_copy(
        update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"}
    )
    away = pool.connect(settings)
    playback = playback_on(operator.runtime, settings, away)
    operator.runtime.ops.live_metrics.record_request(0.01, False)
    clock.now += 1
    await publish_metrics(playback.stream, operator.runtime.ops)
    # then they are told once it is back
    await second(operator, clock, 1)
    event = await following(live_metrics(operator))
    assert rates(event) == [1]  # two requests in two seconds
    await away.aclose()


async def test_all_is_well_when_both_stores_answer(operator: Context, clock: Clock) -> None:
    clock.now = operator.runtime.started_at + 12
    report = await health_and_metrics.health(operator)
    assert report.status is HealthStatus.HEALTHY
    assert [check.name for check in report.checks] == ["database", "cache"]
    assert all(check.latency_ms is not None and check.latency_ms < 500 for check in report.checks)
    assert report.uptime_seconds == pytest.approx(12)
    assert report.version == "0.1.0"


async def test_one_store_away_is_degraded_and_reported_in_time(runtime: Runtime) -> None:
    # given a Redis that takes connections and says nothing
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    redis = pool.connect(
        runtime.settings.model_copy(
            update={"redis_url": f"redis://127.0.0.1:{port}/0", "redis_timeout_ms": 5000}
        )
    )
    started = time.monotonic()
    report = await health_and_metrics.health(Context(replace(runtime, redis=redis)))
    took = time.monotonic() - started
    await redis.aclose()
    server.close()
    await server.wait_closed()
    # then
    assert report.status is HealthStatus.DEGRADED
    by_name = {check.name: check for check in report.checks}
    assert by_name["database"].status is HealthStatus.HEALTHY
    assert by_name["cache"] == HealthCheck(
        "cache", HealthStatus.UNHEALTHY, None, "did not answer in time"
    )
    assert 0.45 < took < 1


async def test_watching_tells_when_a_store_goes_and_comes_back(runtime: Runtime) -> None:
    # given a process whose Redis can be exchanged for one that is not there
    settings = runtime.settings.model_copy(
        update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"}
    )
    away = pool.connect(settings)
    is_away = False

    async def read() -> health_and_metrics.Health:
        runtime.ops.health_cache.forget(HEALTH_KEY)
        redis = away if is_away else runtime.redis
        return await health_and_metrics.health(Context(replace(runtime, redis=redis)))

    async with aclosing(
        WatchedValue("health", differs=health_and_metrics.has_status_changed, seconds=0.05)
    ) as watched:
        feed = watched.watch(read)
        seen = []
        for is_away in (False, True, False):  # noqa: B007 - read above
            async with asyncio.timeout(10):
                seen.append((await anext(feed)).status)
    await away.aclose()
    runtime.ops.health_cache.forget(HEALTH_KEY)
    assert seen == [HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.HEALTHY]


async def test_a_database_that_does_not_answer_in_time_is_our_own_error(runtime: Runtime) -> None:
    with pytest.raises(UpstreamUnavailable):
        await models.ping_database(1e-9)


@pytest.mark.parametrize(
    ("checks", "status", "ready"),
    [
        ([OK, OK], HealthStatus.HEALTHY, 200),
        ([OK, AWAY], HealthStatus.DEGRADED, 200),
        ([AWAY, OK], HealthStatus.DEGRADED, 200),
        ([AWAY, AWAY], HealthStatus.UNHEALTHY, 503),
    ],
)
async def test_ready_while_one_store_can_serve(
    operator: Context, checks: list[HealthCheck], status: HealthStatus, ready: int
) -> None:
    assert health_and_metrics.combine_statuses(checks) is status
    report = replace(await health_and_metrics.health(operator), status=status, checks=checks)
    assert health_and_metrics.readiness(report, draining=False)[0] == ready
    code, body = health_and_metrics.readiness(report, draining=True)
    assert (code, body["status"]) == (503, "draining")


def test_liveness_asks_nobody() -> None:
    assert health_and_metrics.liveness() == (200, {"status": "ok", "version": "0.1.0"})


async def test_many_who_ask_cost_one_probe_a_second(runtime: Runtime, clock: Clock) -> None:
    # given probes that are remembered by a clock that stands
    cache: TtlCache[object] = TtlCache(fresh_seconds=1, stale_seconds=0, clock=clock)
    watched = replace(runtime, ops=replace(runtime.ops, health_cache=cache))
    before = await count_pings(runtime)

    # when a hundred ask within a second
    for _ in range(2):
        reports = await asyncio.gather(
            *(health_and_metrics.health(Context(watched)) for _ in range(50))
        )
        clock.now += 0.4
    assert {report.status for report in reports} == {HealthStatus.HEALTHY}

    # then the stores were asked once, and again when it is over
    assert await count_pings(runtime) == before + 1
    clock.now += 0.4
    await health_and_metrics.health(Context(watched))
    assert await count_pings(runtime) == before + 2


async def count_pings(runtime: Runtime) -> int:
    stats = await runtime.redis.info("commandstats")
    return int(stats.get("cmdstat_ping", {"calls": 0})["calls"])
