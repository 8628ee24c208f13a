"""How a read goes down the tiers: one read for all who ask, in a process and across them; stale
answers while it is read anew, and where it cannot be read."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

import loaders
import models
from loaders.base import Fields
from resolvers.catalog.invalidation import invalidate_movie
from resolvers.context import Context, Runtime
from services.cache.cache import Cache, Codec, Entry, Lease
from services.errors import UpstreamUnavailable
from services.redis.cache_keys import MOVIE, Kind
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.conftest import CountCommands
from tests.support.caching import connect_relayed
from tests.support.clock import Clock
from tests.support.processes import until
from tests.support.titles import film, film_id, store

FILM = film_id(1)
KEY = MOVIE.key(FILM)
CODEC = Codec(models.MovieRecord)


class GatedFilms(loaders.MovieById):
    """A database that answers when it is let, or is away."""

    gate: ClassVar[asyncio.Event]
    requested: ClassVar[list[list[str]]]
    is_away: ClassVar[bool]
    preferences: ClassVar[list[str]]

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MovieRecord]:
        self.requested.append(sorted(keys))
        self.preferences.append(models.collection_for_reads(models.Movie).read_preference.name)
        records = {} if self.is_away else await super().fetch(keys, fields)
        await self.gate.wait()
        if self.is_away:
            raise UpstreamUnavailable("The database did not answer in time.")
        return records


@pytest.fixture
def gated() -> Iterator[type[GatedFilms]]:
    GatedFilms.gate, GatedFilms.requested, GatedFilms.preferences = asyncio.Event(), [], []
    GatedFilms.is_away = False
    yield GatedFilms
    GatedFilms.gate.set()


def process(runtime: Runtime, redis: Client, clock: Clock | None = None) -> Runtime:
    """As another process has it: a cache of its own over the same Redis."""
    cache = Cache(redis, clock=clock) if clock is not None else Cache(redis)
    return replace(runtime, cache=cache)


async def title(runtime: Runtime, kind: type[loaders.MovieById], id_: str = FILM) -> str | None:
    """As one operation reads it."""
    record: models.MovieRecord | None = await Context(runtime).load(kind, id_)
    return record.title if record is not None else None


async def rename(name: str) -> None:
    """In MongoDB alone: no cache is told."""
    await models.Movie.get_pymongo_collection().update_one({"_id": FILM}, {"$set": {"title": name}})


async def test_five_hundred_cold_reads_of_a_film_are_one_command(
    runtime: Runtime, count_commands: CountCommands
) -> None:
    await store([film(1)])
    await count_commands.reset()
    titles = await asyncio.gather(*(title(runtime, loaders.MovieById) for _ in range(500)))
    assert Counter(titles) == {"Film 1": 500}
    assert count_commands.mongo == ["movies.find"]


async def test_across_two_processes_they_are_one_command_as_well(
    runtime: Runtime, redis: Client, gated: type[GatedFilms]
) -> None:
    await store([film(1)])
    processes = [process(runtime, redis), process(runtime, redis)]
    reading = [asyncio.create_task(title(processes[n % 2], gated)) for n in range(500)]
    # when the one read takes longer than everybody needs to ask
    await asyncio.sleep(0.1)
    gated.gate.set()
    assert Counter(await asyncio.gather(*reading)) == {"Film 1": 500}
    assert gated.requested == [[FILM]]


async def test_a_caller_that_leaves_ends_nobody_elses_read(
    runtime: Runtime, gated: type[GatedFilms]
) -> None:
    await store([film(1)])
    first, second = (asyncio.create_task(title(runtime, gated)) for _ in range(2))
    await until(lambda: gated.requested)
    first.cancel()
    await asyncio.sleep(0)
    gated.gate.set()
    assert await second == "Film 1"
    assert gated.requested == [[FILM]]


async def test_a_read_that_every_caller_left_is_still_cached(
    runtime: Runtime, gated: type[GatedFilms]
) -> None:
    await store([film(1)])
    reading = asyncio.create_task(title(runtime, gated))
    await until(lambda: gated.requested)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    gated.gate.set()
    await until(lambda: not runtime.cache.flights, 2)
    assert await title(runtime, gated) == "Film 1"
    assert gated.requested == [[FILM]]


async def test_a_stale_film_answers_at_once_while_it_is_read_anew(
    runtime: Runtime,
    redis: Client,
    clock: Clock,
    gated: type[GatedFilms],
    count_commands: CountCommands,
) -> None:
    # given a film that is cached, past its time, and changed
    here = process(runtime, redis, clock)
    await store([film(1)])
    assert await title(here, loaders.MovieById) == "Film 1"
    await rename("A Film")
    clock.now += MOVIE.fresh_seconds
    # when many read it, and the database takes its time
    contexts = [Context(here) for _ in range(100)]
    await count_commands.reset()
    async with asyncio.timeout(5):
        records = await asyncio.gather(*(context.load(gated, FILM) for context in contexts))
    # then all of them have the old one, and know that it is old
    assert {movie.title for movie in records} == {"Film 1"}
    assert all(context.is_degraded for context in contexts)
    await until(lambda: gated.requested)
    # and those who come while it is read ask nobody, not even Redis
    await count_commands.reset()
    assert await asyncio.gather(*(title(here, gated) for _ in range(100))) == ["Film 1"] * 100
    assert await count_commands.redis_commands() == {}
    # and when the one read is done, it is new
    gated.gate.set()
    await until(lambda: not here.cache.flights, 2)
    last = Context(here)
    movie = await last.load(gated, FILM)
    assert (movie.title, last.is_degraded, gated.requested) == ("A Film", False, [[FILM]])


async def test_with_the_database_away_what_is_stale_answers_and_the_rest_fails(
    runtime: Runtime, redis: Client, clock: Clock, gated: type[GatedFilms]
) -> None:
    here = process(runtime, redis, clock)
    await store([film(1), film(2)])
    assert await title(here, loaders.MovieById) == "Film 1"
    clock.now += MOVIE.fresh_seconds
    gated.is_away = True
    gated.gate.set()
    context = Context(here)
    assert (await context.load(gated, FILM)).title == "Film 1"
    assert context.is_degraded
    # all who wait for what is nowhere are told so, each of them
    tries = [title(here, gated, film_id(2)) for _ in range(20)]
    failures = await asyncio.gather(*tries, return_exceptions=True)
    assert {type(failure) for failure in failures} == {UpstreamUnavailable}
    # and nobody takes it for a film that does not exist
    assert not await redis.exists(MOVIE.key(film_id(2)))
    # when it is back, all is well at once
    gated.is_away = False
    started = time.monotonic()
    assert await title(here, gated, film_id(2)) == "Film 2"
    assert await title(here, gated) == "Film 1"
    await until(lambda: not here.cache.flights, 3)
    assert time.monotonic() - started < 0.9  # nobody waited for a lease
    fresh = Context(here)
    await fresh.load(gated, FILM)
    assert not fresh.is_degraded


async def test_with_redis_away_too_memory_answers_as_a_last_resort(
    runtime: Runtime, redis: Client, settings: Settings, gated: type[GatedFilms]
) -> None:
    await store([film(1), film(2)])
    gated.is_away = True
    gated.gate.set()
    async with connect_relayed(settings) as (relay, through):
        here = process(runtime, through)
        assert await title(here, loaders.MovieById) == "Film 1"
        # given a process that neither Redis nor the database answers
        relay.cut()
        here.cache.trusts_memory = False
        context = Context(here)
        assert (await context.load(gated, FILM)).title == "Film 1"
        assert context.is_degraded
        # then it is not asked in vain, and what it does not hold fails
        with pytest.raises(UpstreamUnavailable):
            await title(here, gated, film_id(2))
    assert gated.requested == [[FILM], [film_id(2)]]


async def test_what_does_not_exist_is_read_twice_a_minute_at_most(
    runtime: Runtime, redis: Client, clock: Clock, gated: type[GatedFilms]
) -> None:
    here = process(runtime, redis, clock)
    gated.gate.set()
    for _ in range(3):
        assert await title(here, gated) is None
    assert gated.requested == [[FILM]]
    assert 26 <= await redis.ttl(KEY) <= 30
    # when it comes to be, it is seen as soon as that is forgotten
    await store([film(1)])
    clock.now += 30
    await redis.pexpireat(KEY, 1)
    assert await title(here, gated) == "Film 1"


async def test_what_another_process_reads_is_waited_for(
    runtime: Runtime, redis: Client, gated: type[GatedFilms], count_commands: CountCommands
) -> None:
    await store([film(1)])
    one, other = process(runtime, redis), process(runtime, redis)
    reading = asyncio.create_task(title(one, gated))
    await until(lambda: gated.requested)
    waiting = asyncio.create_task(title(other, loaders.MovieById))
    await asyncio.sleep(0.05)
    await count_commands.reset()
    gated.gate.set()
    assert await reading == await waiting == "Film 1"
    assert count_commands.mongo == []


class LateLeases(Cache):
    """Asks for its leases after another process has stored what is missing."""

    def __init__(self, redis: Client, other: Runtime) -> None:
        super().__init__(redis)
        self._other = other

    async def acquire(self, keys: list[str]) -> tuple[str, dict[str, Lease]]:
        assert await title(self._other, GatedFilms) is not None
        return await super().acquire(keys)


async def test_what_another_process_stored_before_our_lease_is_taken(
    runtime: Runtime, redis: Client, gated: type[GatedFilms]
) -> None:
    await store([film(1)])
    gated.gate.set()
    # when another process stores a film between our look at Redis and our lease
    late = replace(runtime, cache=LateLeases(redis, process(runtime, redis)))
    assert await title(late, gated) == "Film 1"
    # then it was read once, and the lease is given back
    assert gated.requested == [[FILM]]
    assert not await redis.exists(f"lease:{KEY}")


class LateLooks(Cache):
    """Hears from Redis that a film is missing after this process has read and stored it."""

    process: Runtime

    def __init__(self, redis: Client) -> None:
        super().__init__(redis)
        self.looks = self.leases = 0

    async def fetch(self, kind: Kind, codec: Codec[Any], keys: list[str]) -> dict[str, Entry]:
        found = await super().fetch(kind, codec, keys)
        self.looks += 1
        if self.looks == 1:
            assert await title(self.process, loaders.MovieById) == "Film 1"
        return found

    async def acquire(self, keys: list[str]) -> tuple[str, dict[str, Lease]]:
        self.leases += 1
        return await super().acquire(keys)


async def test_what_this_process_stored_during_our_look_is_taken_from_memory(
    runtime: Runtime, redis: Client, count_commands: CountCommands
) -> None:
    await store([film(1)])
    cache = LateLooks(redis)
    cache.process = replace(runtime, cache=cache)
    # when a second read lands while the first still looks in Redis
    await count_commands.reset()
    assert await title(cache.process, loaders.MovieById) == "Film 1"
    # then the first takes no lease of its own, and looks in Redis no more
    assert count_commands.mongo == ["movies.find"]
    assert (cache.looks, cache.leases) == (2, 1)


async def test_a_reader_that_died_holds_others_up_for_a_second(
    runtime: Runtime, redis: Client, count_commands: CountCommands
) -> None:
    # given a process that took the lease and is no more
    await store([film(1)])
    await Cache(redis).acquire([KEY])
    await count_commands.reset()
    started = time.monotonic()
    here = process(runtime, redis)
    assert await title(here, loaders.MovieById) == "Film 1"
    assert 0.9 < time.monotonic() - started < 2.5
    assert count_commands.mongo == ["movies.find"]


async def test_our_own_keys_are_read_while_we_wait_for_others(
    runtime: Runtime, redis: Client, gated: type[GatedFilms]
) -> None:
    # given a batch of which another process is reading one film
    await store([film(1), film(2), film(3)])
    other = Cache(redis)
    token, _ = await other.acquire([KEY])
    here = process(runtime, redis)
    gated.gate.set()
    ids = [film_id(number) for number in (1, 2, 3)]
    reading = asyncio.create_task(Context(here).load_many(gated, ids))
    # then ours are read at once
    await until(lambda: gated.requested, 0.9)
    assert gated.requested == [[film_id(2), film_id(3)]]
    # and the other's comes from it
    movie = models.MovieRecord(id=FILM, title="Theirs")
    await other.fill(MOVIE, CODEC, {KEY: other.build_entry(MOVIE, movie)}, token, other.changes)
    records = await reading
    assert [records[id_].title for id_ in ids] == ["Theirs", "Film 2", "Film 3"]
    assert len(gated.requested) == 1


async def test_what_changed_while_it_was_read_is_not_cached(
    runtime: Runtime, redis: Client, gated: type[GatedFilms]
) -> None:
    # given a reader that has the old film in hand
    await store([film(1)])
    reader, writer = process(runtime, redis), process(runtime, redis)
    reading = asyncio.create_task(title(reader, gated))
    await until(lambda: gated.requested)
    await asyncio.sleep(0.05)
    # when it is changed elsewhere meanwhile
    await rename("A Film")
    await writer.cache.invalidate([KEY])
    gated.gate.set()
    await reading
    # then the next operation sees the new one, in both processes
    assert await title(reader, gated) == "A Film"
    assert await title(writer, gated) == "A Film"


async def test_what_changed_moments_ago_is_read_from_the_primary(
    runtime: Runtime, redis: Client, gated: type[GatedFilms]
) -> None:
    await store([film(1), film(2)])
    gated.gate.set()
    here = process(runtime, redis)
    await title(here, gated, film_id(2))
    await Cache(redis).invalidate([KEY])
    await title(here, gated)
    assert gated.preferences == ["SecondaryPreferred", "Primary"]


class GatedPages(loaders.MoviePageByQuery):
    """Pages that are read when it is let."""

    gate: ClassVar[asyncio.Event]
    preferences: ClassVar[list[str]]

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MoviePage]:
        self.preferences.append(models.collection_for_reads(models.Movie).read_preference.name)
        pages = await super().fetch(keys, fields)
        await self.gate.wait()
        return pages


async def test_a_list_that_changed_while_it_was_read_is_not_cached(
    runtime: Runtime, redis: Client
) -> None:
    GatedPages.gate, GatedPages.preferences = asyncio.Event(), []
    query = models.MovieQuery(None, models.MovieFilter(), models.MovieOrder("popularity", -1), 20)
    reader, writer = process(runtime, redis), process(runtime, redis)

    async def page() -> list[str]:
        pages = Context(reader).loader(GatedPages)
        record = await pages.load(pages.key_for(query))
        assert record is not None
        return record.ids

    # given a reader that has the list without the film in hand
    reading = asyncio.create_task(page())
    await until(lambda: GatedPages.preferences)
    await asyncio.sleep(0.05)
    # when the film comes in elsewhere
    await store([film(1)])
    record = (await models.find_by_id(models.Movie, models.MovieRecord, [FILM]))[FILM]
    await invalidate_movie(Context(writer), None, record)
    GatedPages.gate.set()
    assert await reading == []
    # then nobody is shown the list without it again, and it is read where changes are first
    assert await page() == [FILM]
    assert GatedPages.preferences == ["SecondaryPreferred", "Primary"]


async def test_a_stale_film_answers_though_neither_store_does(
    runtime: Runtime, redis: Client, settings: Settings, gated: type[GatedFilms]
) -> None:
    await store([film(1), film(2)])
    patient = settings.model_copy(update={"redis_timeout_ms": 5000})
    async with connect_relayed(patient) as (relay, through):
        here = process(runtime, through)
        assert await title(here, loaders.MovieById) == "Film 1"
        assert await title(here, loaders.MovieById, film_id(2)) == "Film 2"
        # given that Redis falls silent, and the database as well
        relay.is_silent = True
        here.cache.trusts_memory = False
        contexts = [Context(here), Context(here)]
        # then the copies in memory answer, long before anything has timed out
        async with asyncio.timeout(2):
            assert (await contexts[0].load(gated, FILM)).title == "Film 1"
            # and nobody waits again for a database that is late
            started = time.monotonic()
            assert (await contexts[1].load(gated, film_id(2))).title == "Film 2"
            assert time.monotonic() - started < 0.15
        assert all(context.is_degraded for context in contexts)
        # and when it answers, reads wait for it again
        relay.mend()
        await through.aclose()
        gated.gate.set()
        await until(lambda: not here.cache.flights)
        last = Context(here)
        assert (await last.load(gated, FILM)).title == "Film 1"
        assert not last.is_degraded


async def test_where_nothing_is_in_memory_the_database_has_its_time(
    runtime: Runtime, redis: Client, gated: type[GatedFilms]
) -> None:
    await store([film(1)])
    reading = asyncio.create_task(title(process(runtime, redis), gated))
    await asyncio.sleep(0.4)
    gated.gate.set()
    assert await reading == "Film 1"
