from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

import models
from resolvers.context import Context, Runtime
from services.accounts.revocations import Revocation, RevocationKind, Revocations
from services.cache.cache import Cache
from services.errors import UpstreamUnavailable
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from services.supervision import TaskStatus, list_tasks
from tests.support.caching import track_cache
from tests.support.clock import Clock
from tests.support.relay import Relay

STREAM = "test:revocations"
LIFETIME = 900.0
NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Holder:
    user_id: str = "user_1"
    login_id: str = "login_1"
    issued_at: float = NOW


class AwayStore:
    """A MongoDB that never answers, and counts how often it was asked."""

    def __init__(self) -> None:
        self.reads = 0

    async def save(self, revocations: Sequence[Revocation], lifetime_seconds: float) -> None:
        raise UpstreamUnavailable("away")

    async def list_since(self, moment: float, most: int) -> list[Revocation]:
        self.reads += 1
        raise UpstreamUnavailable("away")


async def until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


Open = Callable[..., Awaitable[Revocations]]


@pytest.fixture
async def opened(runtime: Runtime, settings: Settings) -> AsyncIterator[Open]:
    """Makes processes: each with connections and a memory of its own."""
    async with AsyncExitStack() as stack:

        async def opened(**options: Any) -> Revocations:
            return await stack.enter_async_context(process(settings, **options))

        yield opened


@asynccontextmanager
async def process(
    settings: Settings, *, redis_url: str | None = None, store: Any = None, **options: Any
) -> AsyncIterator[Revocations]:
    own = settings.model_copy(
        update={"redis_url": redis_url or settings.redis_url, "redis_timeout_ms": 500}
    )
    redis = pool.connect(own)
    revocations = Revocations(
        redis,
        STREAM,
        store or models.RevocationStore(),
        **{"lifetime_seconds": LIFETIME, **options},
    )
    await revocations.start()
    try:
        yield revocations
    finally:
        await revocations.aclose()
        await redis.aclose()


async def test_a_revoked_login_ends_its_tokens_in_every_process(opened: Open) -> None:
    # given three processes
    here, there, elsewhere = await opened(), await opened(), await opened()
    holder, other = Holder(), Holder(login_id="login_2")
    assert not any(each.is_revoked(holder) for each in (here, there, elsewhere))
    # when one revokes a login
    await here.revoke_login("login_1")
    # then it is over there at once, and everywhere soon; the user's other login goes on
    assert here.is_revoked(holder)
    await until(lambda: there.is_revoked(holder) and elsewhere.is_revoked(holder))
    assert not any(each.is_revoked(other) for each in (here, there, elsewhere))
    assert here.is_login_revoked("login_1") and not here.is_login_revoked("login_2")


async def test_a_revoked_user_may_come_back_at_once(opened: Open) -> None:
    # given a process whose clock stands still, and another one's that is three seconds behind
    here, there = await opened(clock=Clock()), await opened(clock=Clock(NOW - 3))
    # when a user's tokens end
    await here.revoke_user("user_1")
    await until(lambda: there.is_revoked(Holder()))
    # then what was issued until then is refused, by whichever clock
    for revocations in (here, there):
        assert revocations.is_revoked(Holder(issued_at=NOW - 800))
        assert revocations.is_revoked(Holder(issued_at=NOW))
        # and what is issued from now on is not
        issued_at = revocations.issue_time("user_1", NOW - 3)
        assert NOW < issued_at < NOW + 0.001
        assert not revocations.is_revoked(Holder(issued_at=issued_at))
        assert not revocations.is_revoked(Holder(user_id="user_2", issued_at=NOW - 800))
        # and nobody else's tokens are dated otherwise
        assert revocations.issue_time("user_2", NOW - 3) == NOW - 3
        assert revocations.issue_time("user_1", NOW + 1) == NOW + 1


async def test_a_revoked_key_ends_who_came_with_it(opened: Open) -> None:
    here, there = await opened(), await opened()
    await here.revoke_key("apikey_1")
    await until(lambda: there.is_revoked(Holder(login_id="apikey_1")))
    assert not there.is_revoked(Holder())


async def test_many_logins_end_in_one_write(opened: Open, redis: Client) -> None:
    here = await opened()
    await here.revoke_logins(f"login_{number}" for number in range(50))
    await here.revoke_logins([])
    assert await redis.xlen(STREAM) == 50
    stored = await models.RevokedAccess.get_pymongo_collection().count_documents({})
    assert stored == 50


async def test_a_process_that_starts_knows_what_is_in_force(opened: Open, redis: Client) -> None:
    # given revocations, and a Redis that lost them
    before = await opened()
    await before.revoke_login("login_1", at=NOW)
    await before.revoke_user("user_7", at=NOW)
    await before.revoke_user("user_7", at=NOW - 50)  # an earlier one changes nothing
    await redis.delete(STREAM)
    # when a process starts
    after = await opened()
    # then it knows them before it answers anybody
    assert after.is_revoked(Holder())
    assert after.is_revoked(Holder("user_7", "login_9", NOW - 1))
    assert after.is_revoked(Holder("user_7", "login_9", NOW))
    assert not after.is_revoked(Holder("user_7", "login_9", NOW + 1))


async def test_listeners_hear_of_each_revocation_once(opened: Open) -> None:
    # given listeners in two processes, one of them faulty
    here, there = await opened(), await opened()
    received_here: list[Revocation] = []
    received_there: list[Revocation] = []
    here.subscribe(received_here.append)
    there.subscribe(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    unsubscribe = there.subscribe(received_there.append)
    # when things end, one of them twice
    await here.revoke_login("login_1", at=NOW)
    await here.revoke_login("login_1", at=NOW)
    await here.revoke_user("user_1", at=NOW + 1)
    await until(lambda: len(received_there) == 2)
    # then each heard of each, in order
    received = [
        Revocation(RevocationKind.LOGIN, "login_1", NOW),
        Revocation(RevocationKind.USER, "user_1", NOW + 1),
    ]
    assert (received_here, received_there) == (received, received)
    # and who has left hears nothing more
    unsubscribe()
    unsubscribe()
    await here.revoke_login("login_2")
    await until(lambda: there.is_login_revoked("login_2"))
    assert received_there == received


async def test_without_redis_a_process_asks_the_database(opened: Open, relay: Relay) -> None:
    # given a process that reaches Redis only through the relay
    here, behind = await opened(), await opened(redis_url=relay.uri)
    # when Redis is gone for it, and somebody signs out elsewhere
    relay.cut()
    await here.revoke_login("login_1")
    # then it learns of it from MongoDB
    await until(lambda: behind.is_login_revoked("login_1"))
    # and after Redis is back, from Redis: MongoDB is not asked any more
    relay.mend()
    await asyncio.sleep(0)
    await here.revoke_login("login_2")
    await until(lambda: behind.is_login_revoked("login_2"))


async def lose_entries(redis: Client, how: str) -> None:
    """The stream as it is when more was added than it holds, or when Redis came back older."""
    match how:
        case "trimmed":
            await redis.xtrim(STREAM, maxlen=0, approximate=False)
            await redis.xadd(STREAM, {"kind": "login", "subject": "login_other", "at": "1.0"})
        case "deleted":
            await redis.delete(STREAM)
        case "older":
            await redis.delete(STREAM)
            old = {"kind": "login", "subject": "login_old", "at": "1.0"}
            await redis.xadd(STREAM, old, id="1-1")


@pytest.mark.parametrize("how", ["trimmed", "deleted", "older"])
async def test_a_gap_in_the_stream_is_filled_from_the_database(
    opened: Open, redis: Client, how: str
) -> None:
    # given a process that has read the stream so far
    here, there = await opened(), await opened()
    await here.revoke_login("login_1")
    await until(lambda: there.is_login_revoked("login_1"))
    # when entries are stored and gone before it reads them
    await models.RevocationStore().save(
        [Revocation(RevocationKind.LOGIN, f"login_lost_{n}", time.time()) for n in range(50)], 900
    )
    await lose_entries(redis, how)
    # then it knows of them all the same
    await until(lambda: all(there.is_login_revoked(f"login_lost_{n}") for n in range(50)))
    # and goes on reading the stream
    await here.revoke_user("user_1", at=NOW)
    await until(lambda: there.is_revoked(Holder(login_id="login_9")))


async def test_a_redis_that_falls_silent_is_no_redis(opened: Open, relay: Relay) -> None:
    here, behind = await opened(), await opened(redis_url=relay.uri)
    relay.is_silent = True
    await here.revoke_login("login_1")
    await until(lambda: behind.is_login_revoked("login_1"))


@pytest.mark.parametrize("redis_is", ["there", "cut off", "silent"])
async def test_a_revocation_is_known_within_a_second(
    opened: Open, relay: Relay, redis_is: str
) -> None:
    # given two processes, and a Redis as it may be
    here, there = await opened(), await opened(redis_url=relay.uri)
    if redis_is == "cut off":
        relay.cut()
    relay.is_silent = redis_is == "silent"
    # when logins end one after the other, the first one while nobody knows yet how Redis is
    took_seconds = []
    for number in range(5):
        started = time.monotonic()
        await here.revoke_login(f"login_{number}")
        await until(partial(there.is_login_revoked, f"login_{number}"))
        took_seconds.append(time.monotonic() - started)
    # then most were known in time, however busy this machine is
    assert sorted(took_seconds)[2] < 1


async def test_revocations_that_redis_missed_are_sent_to_it_later(
    opened: Open, relay: Relay
) -> None:
    # given a process without Redis whose sign-outs only MongoDB has heard of
    here, there = await opened(redis_url=relay.uri), await opened()
    relay.cut()
    await here.revoke_login("login_1")
    assert here.is_login_revoked("login_1")
    # when Redis is back
    relay.mend()
    # then those with Redis hear of it too
    await until(lambda: there.is_login_revoked("login_1"))


async def test_a_redis_that_reads_and_does_not_write_is_told_once_it_does(
    opened: Open, redis: Client, settings: Settings
) -> None:
    # given a process whose Redis refuses to write, as without rights or without room
    reader = ("ACL", "SETUSER", "reader", "on", "nopass", "~*", "&*", "+@all")
    await redis.execute_command(*reader, "-xadd")
    address = (settings.redis_url or "").replace("redis://", "redis://reader:any@")
    here, there = await opened(redis_url=address), await opened()
    # when it revokes a login
    await here.revoke_login("login_1")
    await asyncio.sleep(0.7)
    assert not there.is_revoked(Holder())
    # then others hear of it once Redis writes, although no connection was lost
    await redis.execute_command(*reader)
    await until(lambda: there.is_revoked(Holder()))
    await redis.execute_command("ACL", "DELUSER", "reader")


async def test_without_the_database_a_revocation_is_no_success(opened: Open) -> None:
    # given a MongoDB that is away
    here, there = await opened(store=AwayStore()), await opened()
    # when a login is revoked, then the caller is told to try again
    with pytest.raises(UpstreamUnavailable):
        await here.revoke_login("login_1")
    # and yet it has ended wherever Redis reaches
    assert here.is_login_revoked("login_1")
    await until(lambda: there.is_login_revoked("login_1"))


async def test_a_caller_that_goes_away_leaves_no_half_revocation(opened: Open) -> None:
    here, there = await opened(), await opened()
    asking = asyncio.create_task(here.revoke_login("login_1"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: there.is_login_revoked("login_1"))


async def test_a_revocation_is_forgotten_when_nothing_is_left_to_end(opened: Open) -> None:
    # given a login revoked, and a user revoked twice
    clock = Clock()
    here = await opened(clock=clock)
    await here.revoke_login("login_1")
    await here.revoke_user("user_1")
    clock.now += 600
    await here.revoke_user("user_1")
    # when the first revocations' time is over
    clock.now += 301
    here.apply([])
    # then only the second one of the user is in force
    assert not here.is_login_revoked("login_1")
    assert here.is_revoked(Holder(issued_at=NOW + 600))
    clock.now += 600
    here.apply([])
    assert not here.is_revoked(Holder(issued_at=NOW + 600))


async def test_what_is_remembered_is_bounded(opened: Open) -> None:
    # given more than is kept, heard of at once (from the stream, an echo of the old would be newer)
    here = await opened(max_active=10)
    here.apply([Revocation(RevocationKind.LOGIN, f"login_{number}", NOW) for number in range(25)])
    # then the newest are kept
    known = [number for number in range(25) if here.is_login_revoked(f"login_{number}")]
    assert known == list(range(15, 25))


async def test_what_another_version_wrote_is_read_over(opened: Open, redis: Client) -> None:
    here = await opened()
    for entry in ({"what": "ever"}, {"kind": "house", "subject": "a", "at": "1"}):
        await redis.xadd(STREAM, entry)  # type: ignore[arg-type]
    await redis.xadd(STREAM, {"kind": "login", "subject": "login_1", "at": repr(NOW)})
    await until(lambda: here.is_login_revoked("login_1"))


async def test_while_redis_answers_the_database_is_read_only_at_the_start(opened: Open) -> None:
    store = AwayStore()
    here = await opened(store=store)
    other = await opened()
    await other.revoke_login("login_1")
    await until(lambda: here.is_login_revoked("login_1"))
    assert store.reads == 1


async def test_stored_revocations_end_by_themselves(opened: Open) -> None:
    here = await opened()
    await here.revoke_login("login_1", at=NOW + 0.123456)
    (row,) = await models.RevokedAccess.get_pymongo_collection().find({}).to_list(None)
    assert (row["_id"], row["at"]) == ("login:login_1", NOW + 0.123456)
    assert (row["expires_at"] - row["created_at"]).total_seconds() == LIFETIME


async def test_the_runtime_closes_films_with_the_sign_in(context: Context) -> None:
    runtime = context.runtime
    assert not await runtime.sources.media.is_revoked("login_film")
    await runtime.accounts.revocations.revoke_login("login_film")
    assert await runtime.sources.media.is_revoked("login_film")


class SlowStore(models.RevocationStore):
    """A MongoDB that takes half a second."""

    async def list_since(self, moment: float, most: int) -> list[Revocation]:
        await asyncio.sleep(0.5)
        return await super().list_since(moment, most)


async def test_two_resets_while_mongodb_is_slow_cost_a_second_at_most(
    opened: Open, relay: Relay
) -> None:
    # given a process that follows through a relay
    here = await opened()
    there = await opened(redis_url=relay.uri, store=SlowStore())
    # when its connections are reset twice, the second time while it reads MongoDB or just after
    for number in range(3):
        relay.reset()
        await asyncio.sleep(0.9)
        relay.reset()
        # then what is revoked elsewhere is known within a second or so
        login_id = f"login_{number}"
        await here.revoke_login(login_id)
        await until(partial(there.is_login_revoked, login_id), 4)
    # and it goes on following
    await here.revoke_login("login_last")
    await until(lambda: there.is_login_revoked("login_last"), 4)
    assert list_tasks()["revocations"] is TaskStatus.RUNNING


async def test_resets_while_idle_end_no_follower(
    settings: Settings, opened: Open, relay: Relay
) -> None:
    # given two followers of Redis, idle
    here = await opened()
    there = await opened(redis_url=relay.uri)
    through = pool.connect(settings.model_copy(update={"redis_url": relay.uri}))
    async with track_cache(Cache(through), settings, relay) as tracking:
        for number in range(3):
            await asyncio.sleep(0.4)
            # when all their connections are reset
            relay.reset()
            # then each goes on
            login_id = f"idle_{number}"
            await here.revoke_login(login_id)
            await until(partial(there.is_login_revoked, login_id), 4)
            await until(lambda: tracking.is_listening, 4)
        running = TaskStatus.RUNNING
        await until(lambda: list_tasks()["cache tracking"] is running, 4)
        await until(lambda: list_tasks()["revocations"] is running, 4)
    await through.aclose()
