"""Circuit breakers over a real Redis; two objects on two clients are two processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services.breaker.breaker import (
    BreakerChangeReducer,
    BreakerRules,
    BreakerState,
    CallOutcome,
    CircuitBreaker,
    CircuitBreakers,
    Permit,
)
from services.errors import UpstreamUnavailable, ValidationFailed
from services.redis import cache_keys, pool
from services.redis.pool import Client
from services.settings.settings import Settings
from services.telemetry import metrics
from tests.conftest import CountCommands
from tests.support.clock import Clock
from tests.support.processes import ROOT, until
from tests.support.relay import Relay

NAME = "provider-acme"
SLOW_SECONDS = 0.8
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class Process:
    """One process's breaker of NAME."""

    def __init__(self, redis: Client | None, clock: Any, rules: BreakerRules | None = None) -> None:
        self.all = CircuitBreakers(redis, rules, clock=clock)
        self.one: CircuitBreaker = self.all.of(NAME, slow_seconds=SLOW_SECONDS)

    async def call(self, verdict: CallOutcome = CallOutcome.OK, seconds: float = 0.1) -> bool:
        """One call with this end, if it may be made; told to Redis before it returns."""
        permit = await self.one.admit()
        if permit is None:
            return False
        self.one.record(permit, verdict, seconds)
        await self.one.refresh()
        return True

    async def calls(
        self, count: int, verdict: CallOutcome = CallOutcome.OK, seconds: float = 0.1
    ) -> int:
        """How many of them were made."""
        return sum([await self.call(verdict, seconds) for _ in range(count)])

    async def state(self) -> BreakerState:
        snapshot = await self.all.snapshot(NAME)
        assert snapshot is not None
        return snapshot.state


@pytest.fixture
async def here(redis: Client, clock: Clock) -> AsyncIterator[Process]:
    process = Process(redis, clock)
    yield process
    await process.all.aclose()


@pytest.fixture
async def there(settings: Settings, clock: Clock) -> AsyncIterator[Process]:
    """Another process with a client of its own."""
    client = pool.connect(settings)
    process = Process(client, clock)
    yield process
    await process.all.aclose()
    await client.aclose()


async def changes(redis: Client) -> list[tuple[str, bool]]:
    entries = await redis.xrange(cache_keys.BREAKERS_CHANGED)
    bodies = [json.loads(fields[b"body"]) for _, fields in entries]
    return [(body["state"], body["forced"]) for body in bodies]


@pytest.mark.parametrize(
    ("good", "bad", "state"),
    [
        (0, 19, CLOSED),  # too few to tell
        (0, 20, OPEN),
        (10, 10, OPEN),
        (11, 10, CLOSED),
        (80, 20, CLOSED),
    ],
)
async def test_it_opens_on_half_of_at_least_twenty_calls(
    here: Process, good: int, bad: int, state: BreakerState
) -> None:
    # when so many calls went well and then so many badly
    await here.calls(good)
    await here.calls(bad, CallOutcome.FAILED)
    # then
    snapshot = await here.all.snapshot(NAME)
    assert snapshot is not None
    assert (snapshot.state, snapshot.calls, snapshot.failures) == (state, good + bad, bad)
    assert snapshot.failure_rate == bad / (good + bad)
    assert await here.call() is (state is CLOSED)


async def test_four_failures_in_every_five_calls_open_it(here: Process) -> None:
    # given calls of which one in five goes well, so that no five in a row fail
    for number in range(20):
        await here.call(CallOutcome.OK if number % 5 == 4 else CallOutcome.FAILED)
    # then it is open all the same
    assert await here.state() is OPEN


async def test_slow_calls_open_it_though_they_succeed(here: Process) -> None:
    await here.calls(10)
    await here.calls(10, seconds=SLOW_SECONDS)
    snapshot = await here.all.snapshot(NAME)
    assert snapshot is not None
    assert (snapshot.state, snapshot.failures, snapshot.slow_calls) == (OPEN, 0, 10)


async def test_calls_older_than_the_window_are_forgotten(here: Process, clock: Clock) -> None:
    await here.calls(19, CallOutcome.FAILED)
    clock.now += 66  # the window, and the part of it that was begun
    await here.call(CallOutcome.FAILED)
    snapshot = await here.all.snapshot(NAME)
    assert snapshot is not None
    assert (snapshot.state, snapshot.calls, snapshot.failures) == (CLOSED, 1, 1)


async def test_failures_of_several_processes_add_up(here: Process, there: Process) -> None:
    # given two processes that saw too few calls each
    assert await here.calls(10, CallOutcome.FAILED) == 10
    assert await there.calls(10, CallOutcome.FAILED) == 10
    # then both are closed to the next call
    assert await there.state() is OPEN
    assert await here.state() is OPEN


async def test_another_process_knows_within_a_second(
    redis: Client, settings: Settings, runtime: object
) -> None:
    # given two processes with the real clock, the second of which just looked
    client = pool.connect(settings)
    here, there = Process(redis, time.time), Process(client, time.time)
    permit = await there.one.admit()
    assert permit is not None
    # when the first sees twenty failures and does not ask Redis for anything
    for _ in range(20):
        here.one.record(Permit(), CallOutcome.FAILED, 0.1)
    opened_at = time.monotonic()

    async def is_shut() -> bool:
        return await there.one.admit() is None

    await until(is_shut)
    # then the second refuses; 200 ms to tell, 200 ms to look, and a busy machine
    assert time.monotonic() - opened_at < 5
    assert await changes(redis) == [("OPEN", False)]
    await here.all.aclose()
    await there.all.aclose()
    await client.aclose()


async def test_open_it_lets_nothing_through_until_its_time_has_come(
    here: Process, there: Process, clock: Clock
) -> None:
    await here.calls(20, CallOutcome.FAILED)
    clock.now += 59
    assert await there.calls(5) == 0
    snapshot = await there.all.snapshot(NAME)
    assert snapshot is not None
    opened = clock.now - 59
    assert snapshot.opened_at == datetime.fromtimestamp(opened, UTC)
    assert snapshot.retry_at == datetime.fromtimestamp(opened + 60, UTC)
    clock.now += 1
    assert await there.call()


async def test_half_open_lets_three_probes_through_fleet_wide(
    here: Process, there: Process, clock: Clock
) -> None:
    # given a breaker whose time has come
    await here.calls(20, CallOutcome.FAILED)
    clock.now += 60
    # when two processes want to make twenty calls at once
    permits = await asyncio.gather(*(one.admit() for one in [here.one, there.one] * 10))
    # then three may
    probes = [permit for permit in permits if permit is not None]
    assert len(probes) == 3
    assert len({probe.probe for probe in probes}) == 3
    assert await there.state() is HALF_OPEN


async def test_three_good_probes_close_it_and_nothing_old_counts(
    here: Process, there: Process, clock: Clock, redis: Client
) -> None:
    await here.calls(20, CallOutcome.FAILED)
    clock.now += 60
    assert await here.calls(2) == 2
    assert await there.state() is HALF_OPEN
    assert await there.call()
    clock.now += 0.2
    # then it is closed for both, with an empty window
    for process in (here, there):
        snapshot = await process.all.snapshot(NAME)
        assert snapshot is not None
        assert (snapshot.state, snapshot.calls, snapshot.retry_at) == (CLOSED, 0, None)
    assert await here.calls(19, CallOutcome.FAILED) == 19
    assert await here.state() is CLOSED
    assert await changes(redis) == [("OPEN", False), ("HALF_OPEN", False), ("CLOSED", False)]


async def test_good_probes_leave_room_only_for_those_that_are_still_needed(
    here: Process, there: Process, clock: Clock
) -> None:
    await here.calls(20, CallOutcome.FAILED)
    clock.now += 60
    assert await here.calls(2) == 2
    permits = await asyncio.gather(*(there.one.admit() for _ in range(5)))
    assert len([permit for permit in permits if permit is not None]) == 1


@pytest.mark.parametrize(
    ("verdict", "seconds"), [(CallOutcome.FAILED, 0.1), (CallOutcome.OK, SLOW_SECONDS)]
)
async def test_one_bad_probe_opens_it_again(
    here: Process, clock: Clock, verdict: CallOutcome, seconds: float
) -> None:
    await here.calls(20, CallOutcome.FAILED)
    clock.now += 60
    await here.calls(2)
    # when the third probe fails or is slow
    await here.call(verdict, seconds)
    # then it is open for another minute
    assert await here.calls(3) == 0
    clock.now += 59
    assert await here.calls(3) == 0
    clock.now += 1
    assert await here.call()


async def test_a_probe_we_walked_away_from_makes_room_for_another(
    here: Process, clock: Clock
) -> None:
    await here.calls(20, CallOutcome.FAILED)
    clock.now += 60
    permits = [await here.one.admit() for _ in range(4)]
    assert permits[3] is None
    # when one of the three is given back without a result
    assert permits[0] is not None
    here.one.record(permits[0], CallOutcome.ABANDONED)
    await here.one.refresh()
    # then one more may be made, and it is still half-open
    assert await here.one.admit() is not None
    assert await here.one.admit() is None
    assert await here.state() is HALF_OPEN


async def test_a_dead_prober_does_not_block_for_ever(
    here: Process, there: Process, clock: Clock
) -> None:
    # given a process that took all three permits and died
    await here.calls(20, CallOutcome.FAILED)
    clock.now += 60
    assert None not in [await here.one.admit() for _ in range(3)]
    assert await there.call() is False
    # when its permits have expired
    clock.now += 10
    # then another process may probe
    assert await there.calls(3) == 3
    assert await there.state() is CLOSED


@pytest.mark.parametrize("state", [OPEN, CLOSED])
async def test_an_operator_holds_it_whatever_the_calls_say(
    here: Process, there: Process, clock: Clock, redis: Client, state: BreakerState
) -> None:
    # when it is forced in one process
    forced = await here.all.force(NAME, state, reason="contract ended", by="user_1")
    assert forced is not None
    assert (forced.state, forced.forced) == (state, True)
    # then the other keeps to it, and says why
    clock.now += 300
    made = await there.calls(30, CallOutcome.FAILED)
    assert made == (30 if state is CLOSED else 0)
    snapshot = await there.all.snapshot(NAME)
    assert snapshot is not None
    assert (snapshot.state, snapshot.forced, snapshot.reason, snapshot.by, snapshot.retry_at) == (
        state, True, "contract ended", "user_1", None,
    )  # fmt: skip
    assert await redis.ttl(cache_keys.BREAKER.format(NAME)) == -1
    # and lifted, it is closed with nothing counted
    lifted = await there.all.force(NAME, None, reason="back", by="user_2")
    assert lifted is not None
    assert (lifted.state, lifted.forced, lifted.reason, lifted.calls) == (CLOSED, False, None, 0)
    assert await here.calls(19, CallOutcome.FAILED) == 19
    assert await changes(redis) == [(state.value, True), ("CLOSED", False)]


async def test_lifting_what_is_not_forced_changes_nothing(here: Process, redis: Client) -> None:
    await here.calls(20, CallOutcome.FAILED)
    lifted = await here.all.force(NAME, None, reason="-", by="user_1")
    assert lifted is not None
    assert (lifted.state, lifted.calls) == (OPEN, 20)
    assert await changes(redis) == [("OPEN", False)]


async def test_it_cannot_be_held_half_open_and_unknown_ones_are_not_there(
    here: Process, redis: Client
) -> None:
    with pytest.raises(ValidationFailed, match="held OPEN or CLOSED"):
        await here.all.force(NAME, HALF_OPEN, reason="-", by="user_1")
    assert await here.all.force("other", OPEN, reason="-", by="user_1") is None
    assert await here.all.snapshot("other") is None
    assert await redis.keys("*breaker*") == []


async def test_changes_are_read_as_snapshots(here: Process, redis: Client, clock: Clock) -> None:
    await here.calls(20, CallOutcome.FAILED)
    fold = BreakerChangeReducer()
    [(_, fields)] = await redis.xrange(cache_keys.BREAKERS_CHANGED)
    change = fold(fields[b"body"], 0)
    assert change is not None
    assert change == (1, await here.all.snapshot(NAME))
    assert change[1].id == "breaker_provider-acme"
    assert fold(b"{", 0) is None


async def test_a_change_is_counted_by_one_process(
    here: Process, there: Process, clock: Clock
) -> None:
    counter = metrics.breaker_transitions_total.labels(NAME, "OPEN")
    before = counter._value.get()
    await here.calls(20, CallOutcome.FAILED)
    clock.now += 1
    await there.state()
    assert counter._value.get() == before + 1
    assert metrics.breaker_state.labels(NAME)._value.get() == 2


async def test_all_are_read_in_one_round_trip_and_good_calls_cost_none(
    here: Process, redis: Client, count_commands: CountCommands
) -> None:
    # given thirty breakers
    for number in range(30):
        here.all.of(f"b{number:02}")
    await here.all.snapshots()
    before = (await redis.info("stats"))["total_reads_processed"]
    # when all are asked for
    snapshots = await here.all.snapshots()
    reads = (await redis.info("stats"))["total_reads_processed"] - before
    # then Redis read its socket a few times, not thirty
    assert [one.name for one in snapshots] == [*(f"b{number:02}" for number in range(30)), NAME]
    assert reads <= 4
    # and fifty good calls within 200 ms tell it nothing
    await count_commands.reset()
    for _ in range(50):
        permit = await here.one.admit()
        assert permit is not None
        here.one.record(permit, CallOutcome.OK, 0.1)
    assert await count_commands.redis_commands() == {}


async def test_a_service_that_wants_rest_gets_it_from_every_process(
    here: Process, there: Process, clock: Clock
) -> None:
    assert await there.call()
    here.one.back_off(30)
    assert await here.one.admit() is None
    await here.one.refresh()
    clock.now += 1
    assert await there.one.admit() is None
    assert there.one.is_backing_off
    snapshot = await there.all.snapshot(NAME)
    assert snapshot is not None
    assert (snapshot.state, snapshot.retry_at) == (
        CLOSED,
        datetime.fromtimestamp(clock.now + 29, UTC),
    )
    clock.now += 29
    assert await there.call()


# Without Redis


async def test_without_redis_a_process_decides_by_its_own_calls(clock: Clock) -> None:
    local = Process(None, clock)
    assert await local.calls(20, CallOutcome.FAILED) == 20
    assert await local.state() is OPEN
    assert await local.calls(5) == 0
    clock.now += 60
    assert len([p for p in [await local.one.admit() for _ in range(5)] if p]) == 1
    clock.now += 10  # that permit expired
    assert await local.calls(3) == 3
    assert await local.state() is CLOSED
    with pytest.raises(UpstreamUnavailable):
        await local.all.force(NAME, OPEN, reason="-", by="user_1")


@pytest.mark.parametrize("way", ["cut", "silent"])
async def test_redis_away_fails_no_call_and_is_updated_afterwards(
    relay: Relay, settings: Settings, redis: Client, clock: Clock, there: Process, way: str
) -> None:
    # given a process that was in touch with Redis
    through = settings.model_copy(update={"redis_url": relay.uri, "redis_timeout_ms": 250})
    client = pool.connect(through)
    here = Process(client, clock)
    assert await here.call()
    # when Redis goes away and calls fail
    if way == "cut":
        relay.cut()
    else:
        relay.is_silent = True
    clock.now += 1
    started = time.monotonic()
    assert await here.calls(25, CallOutcome.FAILED) == 20
    # then its own window shuts it, after one wait for Redis, not one per call
    assert time.monotonic() - started < 10
    assert (await here.state()) is OPEN
    assert await there.state() is CLOSED
    # and when Redis is back the others learn of it
    relay.mend()

    async def is_open_for_all() -> bool:
        await here.one.refresh()
        return await there.state() is OPEN

    await until(is_open_for_all)
    snapshot = await there.all.snapshot(NAME)
    assert snapshot is not None
    assert snapshot.failures >= 20
    await here.all.aclose()
    await client.aclose()


async def test_without_redis_a_failed_probe_opens_it_again(clock: Clock) -> None:
    # given a breaker that opened without Redis, and whose time has come
    local = Process(None, clock)
    await local.calls(20, CallOutcome.FAILED)
    clock.now += 60
    # when the one probe fails
    assert await local.calls(3, CallOutcome.FAILED) == 1
    # then nothing passes for as long again
    assert await local.state() is OPEN
    clock.now += 59
    assert not await local.call()
    # and the probe after that closes it, with no old call counted
    clock.now += 1
    assert await local.calls(5) == 5
    snapshot = await local.all.snapshot(NAME)
    assert snapshot is not None
    assert (snapshot.state, snapshot.failures) == (CLOSED, 0)


async def test_without_redis_an_abandoned_or_late_probe_proves_nothing(clock: Clock) -> None:
    # given a probe that takes longer than its permit is valid, and the next one
    local = Process(None, clock)
    await local.calls(20, CallOutcome.FAILED)
    clock.now += 60
    late = await local.one.admit()
    clock.now += 10
    probe = await local.one.admit()
    assert late is not None and probe is not None
    # when the late one succeeds, and the other one's caller gives up
    local.one.record(late, CallOutcome.OK)
    assert await local.state() is BreakerState.HALF_OPEN
    assert await local.one.admit() is None
    local.one.record(probe, CallOutcome.ABANDONED)
    # then another probe is let through
    assert await local.state() is BreakerState.HALF_OPEN
    assert await local.one.admit() is not None


_OTHER_PROCESS = """
import asyncio, sys
from services.redis import pool
from services.breaker.breaker import CircuitBreakers, Permit, CallOutcome
from services.settings.settings import Settings

async def main():
    client = pool.connect(Settings(_env_file=None, redis_url=sys.argv[1]))
    breakers = CircuitBreakers(client)
    breaker = breakers.of("provider-acme", slow_seconds=1)
    for _ in range(20):
        breaker.record(Permit(), CallOutcome.FAILED, 0.1)
    await breaker.refresh()
    print((await breakers.snapshot("provider-acme")).state.value)
    await client.aclose()

asyncio.run(main())
"""


async def test_a_real_second_process_shuts_it_here(redis: Client, settings: Settings) -> None:
    here = Process(redis, time.time)
    assert await here.one.admit() is not None
    finished = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _OTHER_PROCESS, settings.redis_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.stdout.splitlines()[-1:] == ["OPEN"], finished.stderr

    async def is_shut() -> bool:
        return await here.one.admit() is None

    await until(is_shut)
    await here.all.aclose()
