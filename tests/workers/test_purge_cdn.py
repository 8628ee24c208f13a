"""The outbox of purges, from an edit to a CDN's API: nothing is lost, whoever dies on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import loaders
import models
from models import PurgeState
from resolvers.catalog import edits, purging
from resolvers.catalog.imports.report import Writer, ignore_progress
from resolvers.catalog.invalidation import purge
from resolvers.context import Context, Runtime, Viewer
from server.commands import purges
from services import cdn
from services.cache.cache import Cache
from services.errors import Conflict, UpstreamUnavailable
from services.redis import cache_keys
from services.redis.pool import Client
from services.settings.settings import Settings
from services.telemetry.metrics import REGISTRY
from tests.conftest import CountCommands
from tests.support.api_client import GraphQL, token_for
from tests.support.caching import connect_relayed
from tests.support.clock import Clock
from tests.support.fake_cdn import Answer, FakeCdn, settings_for
from tests.support.runtimes import with_changes
from tests.support.titles import film, film_id, genre, store
from workers.purge_cdn import MAX_ATTEMPTS, purge_cdn

SETTLED = 30.5  # seconds: MongoDB's deadline of twenty, and ten
FILM = film_id(1)
POSTER = f"https://cdn.example.com/art/posters/{FILM}.svg"


@pytest.fixture
def clock() -> Clock:
    """Begins now: MongoDB itself drops what has expired by its own clock."""
    return Clock(time.time())


@pytest.fixture
async def here(runtime: Runtime, cdn_server: FakeCdn, clock: Clock) -> AsyncIterator[Runtime]:
    """A process with Cloudflare; a film and two genres to edit."""
    await store(map(genre, ("drama", "noir")))
    art = {"poster_path": cdn.poster_path(FILM)}
    await store([film(1, genre_ids=["genre_drama"], **art), film(2, genre_ids=["genre_noir"])])
    async with process(runtime, cdn_server, clock) as here:
        yield here


@asynccontextmanager
async def process(
    runtime: Runtime,
    cdn_server: FakeCdn,
    clock: Clock,
    provider: str = "cloudflare",
    **changes: Any,
) -> AsyncIterator[Runtime]:
    async with cdn.open_cdn(settings_for(provider, cdn_server.url)) as adapter:
        yield with_changes(runtime, catalog={"cdn": adapter}, clock=clock, **changes)


def editor(runtime: Runtime) -> Context:
    viewer = Viewer("user_1", models.Role.EDITOR, models.AccountTier.FREE, "login_1")
    return Context(runtime, viewer)


async def edit(runtime: Runtime, number: int = 1, **fields: Any) -> list[str]:
    changed = await edits.upsert_movie(editor(runtime), fields, id_=film_id(number))
    return changed.purged_tags


async def stored() -> list[models.PurgeRecord]:
    return await models.find(models.Purge, models.PurgeRecord, {}, sort=[("_id", 1)])


async def states() -> list[PurgeState]:
    return [one.state for one in await stored()]


async def only() -> models.PurgeRecord:
    (one,) = await stored()
    return one


async def page_of(runtime: Runtime, slug: str) -> list[str]:
    """A list as a page shows it, and as it is cached from then on."""
    loader = Context(runtime).loader(loaders.MoviePageByQuery)
    page = await loader.load(loader.key_for(query_of(slug)))
    assert page is not None
    return list(page.ids)


def query_of(slug: str) -> models.MovieQuery:
    order = models.MovieOrder("popularity", -1)
    return models.MovieQuery(None, models.MovieFilter(genres=(slug,)), order, 50)


def page_key(slug: str) -> str:
    """The tag of that one list."""
    return cache_keys.MOVIE_LIST.key("all", query_of(slug).key())


# ---- the way of an edit


async def test_an_edit_is_purged_at_once_and_exactly(here: Runtime, cdn_server: FakeCdn) -> None:
    assert await page_of(here, "drama") == [FILM]
    assert await page_of(here, "comedy") == []
    tags = await edit(here, title="Another", genres=["noir"])
    assert tags == [f"movie:{FILM}", "movies:genre:drama"]
    # when a worker looks, without waiting
    assert await purge_cdn(here) == 1
    # then the CDN dropped the drawn art, the film, its one list and the figures, nothing else
    drama = page_key("drama")
    assert cdn_server.dropped_exactly() == {POSTER, f"movie:{FILM}", drama, "genre:figures"}
    assert await states() == [PurgeState.DONE]
    assert await purge_cdn(here) == 0
    assert len(cdn_server.seen) == 2


async def test_what_no_picture_shows_leaves_the_art_alone(
    here: Runtime, cdn_server: FakeCdn
) -> None:
    await edit(here, overview="Seen anew.")
    await purge_cdn(here)
    assert [what for what, _ in cdn_server.purged] == ["tags"]


async def test_an_edit_costs_one_insert_more(here: Runtime, count_commands: CountCommands) -> None:
    await count_commands.reset()
    await edit(here, overview="Seen anew.")
    assert count_commands.mongo == [
        *("movies.find", "purges.insert"),
        *("movies.find", "search_words.update"),  # what the film is found by
        *("movies.findAndModify", "audit.insert"),
    ]


async def test_a_film_that_comes_and_one_that_goes_are_purged(
    here: Runtime, cdn_server: FakeCdn
) -> None:
    created = await edits.upsert_movie(editor(here), {"title": "New", "genres": ["noir"]})
    await edits.delete_movie(editor(here), FILM)
    assert await purge_cdn(here) == 2
    assert {f"movie:{created.movie.id}", f"movie:{FILM}", POSTER} <= cdn_server.dropped()


async def test_many_edits_take_few_requests(here: Runtime, cdn_server: FakeCdn) -> None:
    await store(film(number) for number in range(3, 33))
    for number in range(3, 33):
        await edit(here, number, overview="Seen anew.")
    assert await purge_cdn(here) == 30
    # 30 films and the lists they may be in: two calls of at most 30 tags
    assert [what for what, _ in cdn_server.purged] == ["tags", "tags"]


async def test_without_a_cdn_there_is_nobody_to_ask(here: Runtime, cdn_server: FakeCdn) -> None:
    async with process(here, cdn_server, Clock(time.time()), "passthrough") as without_cdn:
        await edit(without_cdn, title="Another")
        assert await purge_cdn(without_cdn) == 1
    assert (cdn_server.seen, await states()) == ([], [PurgeState.DONE])


async def test_an_edit_that_is_refused_beforehand_notes_nothing(here: Runtime) -> None:
    with pytest.raises(Conflict):
        await edits.upsert_movie(editor(here), {"title": "Late"}, id_=FILM, expected_version=99)
    assert await stored() == []


# ---- whoever dies on the way


async def test_a_process_that_died_after_the_change_purges_too_much_not_too_little(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    assert await page_of(here, "drama") == [FILM]
    assert await page_of(here, "noir") == [film_id(2)]
    before = await models.movie_to_edit(FILM, None)
    # given a process that changed a film, and told nobody
    changes = {"genre_ids": ["genre_noir"], "title": "Another"}
    await purging.enqueue_edit(here, FILM, before, changes)
    await models.edit_movie(FILM, changes, None)
    # when the change could still be under way, nothing happens
    assert await purge_cdn(here) == 0
    # but once it must be made
    clock.now += SETTLED
    assert await purge_cdn(here) == 1
    # then what was cached of the old is gone here, and at the CDN
    elsewhere = replace(here, cache=Cache(here.redis))
    assert await page_of(elsewhere, "drama") == []
    assert sorted(await page_of(elsewhere, "noir")) == [FILM, film_id(2)]
    named = {POSTER, f"movie:{FILM}", "movies:all", "movies:genre:drama", "movies:genre:noir"}
    assert named <= cdn_server.dropped()
    assert await states() == [PurgeState.DONE]


async def test_what_another_editor_added_meanwhile_is_purged_too(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    before = await models.movie_to_edit(FILM, None)
    await purging.enqueue_edit(here, FILM, before, {"popularity": 9.0})
    # given another editor, who moves the film between our reading and our change
    await models.edit_movie(FILM, {"genre_ids": ["genre_noir"]}, None)
    assert await page_of(here, "noir") == [film_id(2), FILM]
    await models.edit_movie(FILM, {"popularity": 9.0}, None)
    clock.now += SETTLED
    await purge_cdn(here)
    elsewhere = replace(here, cache=Cache(here.redis))
    assert await page_of(elsewhere, "noir") == [FILM, film_id(2)]


async def test_what_redis_was_owed_by_a_process_that_died_is_forgotten_by_a_worker(
    here: Runtime, cdn_server: FakeCdn, clock: Clock, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        assert await page_of(here, "drama") == [FILM]
        # given an edit while Redis is away, by a process that dies with what it owes
        relay.cut()
        dying = replace(here, cache=Cache(through), redis=through)
        await edit(dying, genres=["noir"])
        assert dying.cache.has_pending
    clock.now += SETTLED
    assert await purge_cdn(here) == 1
    assert await page_of(replace(here, cache=Cache(here.redis)), "drama") == []


async def test_a_process_that_owes_redis_something_does_not_say_that_it_is_done(
    here: Runtime, settings: Settings
) -> None:
    purge_id = await purging.enqueue_edit(here, FILM, None, {})
    async with connect_relayed(settings) as (relay, through):
        owing = replace(here, cache=Cache(through))
        relay.cut()
        await owing.cache.invalidate([f"movie:{FILM}"])
        # given an outbox that can be reached, in another Redis than the cache's
        await purging.mark_ready(owing, purge_id, [f"movie:{FILM}"])
        assert await here.catalog.purge_outbox.pop_ready() == {}
    # and one that owes nothing says so
    await purging.mark_ready(here, purge_id, [f"movie:{FILM}"])
    assert await here.catalog.purge_outbox.pop_ready() == {purge_id: [f"movie:{FILM}"]}


async def test_while_redis_is_away_purges_wait_and_it_counts_against_none(
    here: Runtime, cdn_server: FakeCdn, clock: Clock, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        await purging.enqueue_edit(here, FILM, None, {})
        clock.now += SETTLED
        relay.cut()
        away = replace(here, cache=Cache(through))
        assert await purge_cdn(away) == 0
        waiting = await only()
        assert (waiting.state, waiting.attempts) == (PurgeState.WAITING, 0)
        assert cdn_server.seen == []  # our caches first
        relay.mend()
        clock.now += 6
        await asyncio.sleep(1.1)  # so long Redis is not asked after a failure
        assert await purge_cdn(away) == 1
    assert await states() == [PurgeState.DONE]


async def test_a_worker_that_died_over_a_purge_is_replaced(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    await edit(here, title="Another")
    await models.purges.mark_ready_many({(await only()).id: ["movies:all"]}, purging.now(here))
    # given a worker that has it, and says no more
    now = purging.now(here)
    lease, (mine,) = await models.purges.claim(now, now + timedelta(seconds=120), 10)
    assert await purge_cdn(here) == 0
    # when its lease is over
    clock.now += 121
    assert await purge_cdn(here) == 1
    # then what it says afterwards counts no more
    assert await models.purges.finish([mine.id], lease, now, "late") == 0
    assert await states() == [PurgeState.DONE]


async def test_workers_that_race_ask_for_each_purge_once(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    for number in range(250):
        await purging.enqueue_tags(here, [f"movies:genre:{number}"])
    ended = await asyncio.gather(*(purge_cdn(here) for _ in range(4)))
    assert sum(ended) == 250
    purged_tags = [tag for what, items in cdn_server.purged if what == "tags" for tag in items]
    purged_tags = [tag for tag in purged_tags if not tag.startswith("any:")]
    assert sorted(purged_tags) == sorted(f"movies:genre:{number}" for number in range(250))
    assert set(await states()) == {PurgeState.DONE}


async def test_a_word_for_a_purge_that_is_done_changes_nothing(here: Runtime) -> None:
    await edit(here, title="Another")
    await purge_cdn(here)
    done = await only()
    await here.catalog.purge_outbox.mark_ready(done.id, ["movies:all"])
    assert await purge_cdn(here) == 0
    assert await only() == done


# ---- a CDN that fails


async def test_a_failing_cdn_is_tried_again_with_growing_pauses_and_then_given_up(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    await purging.enqueue_tags(here, ["movies:all"])
    cdn_server.failures = [Answer(500)] * MAX_ATTEMPTS
    pauses = []
    for tries in range(1, MAX_ATTEMPTS):
        assert await purge_cdn(here) == 0
        waiting = await only()
        assert (waiting.state, waiting.attempts) == (PurgeState.WAITING, tries)
        assert waiting.error == "Cloudflare answered 500."
        pause = (waiting.due_at - purging.now(here)).total_seconds()
        assert 0.99 <= pause <= min(1800, 2**tries) + 0.01
        pauses.append(pause)
        # not before it is due
        assert (await purge_cdn(here), len(cdn_server.seen)) == (0, tries)
        clock.now += pause + 0.01
    assert max(pauses) > 4 * min(pauses)
    assert await purge_cdn(here) == 1
    failed = await only()
    assert (failed.state, failed.attempts) == (PurgeState.FAILED, MAX_ATTEMPTS)
    expires = await models.Purge.get_pymongo_collection().find_one({"_id": failed.id})
    assert expires is not None
    days = (expires["expires_at"] - purging.now(here)).total_seconds() / 86400
    assert days == pytest.approx(30, abs=0.01)
    # an operator sees it, and has it tried again
    assert await models.purges.list_failed(10) == [failed]
    assert await models.purges.retry_failed(purging.now(here)) == 1
    assert await purge_cdn(here) == 1
    assert (await states(), cdn_server.dropped_exactly()) == ([PurgeState.DONE], {"movies:all"})


async def test_a_rate_limited_purge_counts_no_attempt_and_is_waited_out(
    runtime: Runtime, here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    await purging.enqueue_tags(here, ["movies:all"])
    cdn_server.failures = [Answer(429, headers={"retry-after": "100"})]
    assert await purge_cdn(here) == 0
    waiting = await only()
    pause = (waiting.due_at - purging.now(here)).total_seconds()
    assert (waiting.attempts, 100 <= pause <= 111) == (0, True)
    # this process asks nobody until then; another one is free to
    clock.now += 112
    assert (await purge_cdn(here), len(cdn_server.seen)) == (0, 1)
    clock.now += 112
    async with process(runtime, cdn_server, clock) as another:
        assert await purge_cdn(another) == 1


async def test_one_purge_that_is_refused_holds_up_no_other(
    here: Runtime, cdn_server: FakeCdn
) -> None:
    cdn_server.refused = {"movies:genre:13"}
    for number in range(20):
        await purging.enqueue_tags(here, [f"movies:genre:{number}"])
    assert await purge_cdn(here) == 20
    failed = await models.purges.list_failed(10)
    assert [(one.tags, one.attempts) for one in failed] == [(["movies:genre:13"], 1)]
    assert (await states()).count(PurgeState.DONE) == 19
    assert len(cdn_server.dropped_exactly()) == 19


async def test_a_purge_that_waited_for_a_week_is_given_up(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    await purging.enqueue_tags(here, ["movies:all"])
    clock.now += 8 * 86400
    cdn_server.failures = [Answer(429, headers={"retry-after": "1"})]
    assert await purge_cdn(here) == 1
    assert await states() == [PurgeState.FAILED]


async def test_an_invalidation_whose_answer_was_lost_is_not_made_twice(
    runtime: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    async with process(runtime, cdn_server, clock, "aws") as here:
        for number in range(3):
            await purging.enqueue_tags(here, [f"movie:{film_id(number)}"])
        cdn_server.references_lost = 1
        # given an invalidation that was made, though its answer says nothing of it
        assert await purge_cdn(here) == 0
        clock.now += 3
        assert await purge_cdn(here) == 3
    assert (len(cdn_server.seen), len(cdn_server.purged)) == (2, 1)


async def test_how_many_wait_and_how_long_is_measured(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    await purging.enqueue_tags(here, ["movies:all"])
    cdn_server.failures = [Answer(500)]
    clock.now += 40
    await purge_cdn(here)
    assert REGISTRY.get_sample_value("purges_waiting") == 1
    assert REGISTRY.get_sample_value("purges_oldest_seconds") == pytest.approx(40, abs=0.1)
    clock.now += 3
    await purge_cdn(here)
    assert REGISTRY.get_sample_value("purges_waiting") == 0
    assert REGISTRY.get_sample_value("purges_oldest_seconds") == 0


# ---- by hand, and by imports


PURGE = """mutation { purgeCache(input: {tags: ["movies:all", "movie:movie_00001"]}) {
  keysPurged cdnPurgeId errors { code } } }"""


async def test_an_operator_gets_the_id_of_the_purge(here: Runtime, cdn_server: FakeCdn) -> None:
    purged = await purge(Context(here), ["movies:all", f"movie:{FILM}"], soft=True)
    assert purged.cdn_purge_id == (await only()).id
    assert await purge_cdn(here) == 1
    drawn = {POSTER, POSTER.replace("posters", "backdrops")}
    assert cdn_server.dropped_exactly() == {"movies:all", f"movie:{FILM}"} | drawn


async def test_without_a_cdn_there_is_no_id(runtime: Runtime, graphql: GraphQL) -> None:
    token = token_for(runtime, models.Role.OPERATOR)
    _, body = await graphql(PURGE, token=token)
    assert body == {"data": {"purgeCache": {"keysPurged": 0, "cdnPurgeId": None, "errors": []}}}
    assert await stored() == []


async def test_a_purge_by_hand_that_redis_does_not_hear_notes_nothing(
    here: Runtime, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        relay.cut()
        with pytest.raises(UpstreamUnavailable):
            await purge(Context(replace(here, cache=Cache(through))), ["movies:all"], soft=True)
    assert await stored() == []


async def written(runtime: Runtime, *films: models.Movie) -> None:
    writer = Writer(runtime, ignore_progress)
    await writer.write("movies", models.Movie, films, len(films))
    await writer.report()


async def test_an_import_that_changed_something_purges_the_catalogue(
    here: Runtime, cdn_server: FakeCdn, redis: Client
) -> None:
    await written(here, film(7))
    assert await purge_cdn(here) == 1
    assert cdn_server.purged == [("prefixes", ["cdn.example.com/art", "cdn.example.com/graphql"])]


async def test_an_import_that_changed_nothing_purges_nothing(here: Runtime) -> None:
    await written(here, film(7))
    await purge_cdn(here)
    await models.Purge.get_pymongo_collection().delete_many({})
    await written(here, film(7))
    assert await stored() == []


async def test_an_import_that_our_caches_know_of_is_done_without_a_cdn(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    async with process(here, cdn_server, clock, "passthrough") as without_cdn:
        await written(without_cdn, film(7))
    assert await stored() == []


async def test_an_import_that_died_is_purged_ten_minutes_later(
    here: Runtime, cdn_server: FakeCdn, clock: Clock
) -> None:
    assert await page_of(here, "drama") == [FILM]
    writer = Writer(here, ignore_progress)
    await writer.write("movies", models.Movie, [film(9, genre_ids=["genre_drama"])], 1)
    assert await purge_cdn(here) == 0
    clock.now += 601
    assert await purge_cdn(here) == 1
    assert len(await page_of(replace(here, cache=Cache(here.redis)), "drama")) == 2
    # one that only took longer notes another at its end
    await writer.report()
    assert await purge_cdn(here) == 1
    assert len(cdn_server.purged) == 2


# ---- the command line


async def test_the_command_shows_failed_purges_and_has_them_tried_again(
    here: Runtime, cdn_server: FakeCdn, capsys: pytest.CaptureFixture[str]
) -> None:
    await purging.enqueue_tags(here, ["movies:all"])
    cdn_server.refused = {"movies:all"}
    assert await purge_cdn(here) == 1
    # when an operator looks
    assert await purges.show(here, retry=False) == 1
    # then it is told, and stays
    output = capsys.readouterr().out
    assert (await only()).id in output
    assert "1 tries  Cloudflare refused to purge (400).  movies:all" in output
    assert "0 waiting, 1 failed.\n" in output
    assert await states() == [PurgeState.FAILED]
    # and with --retry it is put back
    cdn_server.refused = set()
    assert await purges.show(here, retry=True) == 1
    assert "1 put back" in capsys.readouterr().out
    assert await purge_cdn(here) == 1
    assert await states() == [PurgeState.DONE]
