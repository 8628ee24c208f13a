"""What a change of a film makes the caches forget: the lists it changed, all of them, no other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

import loaders
import models
from models.catalog.filters import list_clauses
from models.catalog.lists import is_member
from models.catalog.queries import Chosen
from models.mongo import ids
from resolvers.catalog import edits
from resolvers.catalog.invalidation import invalidate_movie, purge
from resolvers.context import Context, Runtime, Viewer
from services.cache.cache import Cache
from services.errors import UpstreamUnavailable, ValidationFailed
from services.redis.pool import Client
from services.settings.settings import Settings
from services.telemetry.metrics import REGISTRY
from tests.support.api_client import GraphQL, connect_runtime, token_for
from tests.support.caching import connect_relayed, track_cache
from tests.support.processes import until
from tests.support.thoroughness import share_of
from tests.support.titles import credit, film, film_id, genre, store

TODAY = "2026-01-01"
EDITED = film_id(0)
QUICK = with_settings(
    max_examples=share_of(60),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # a smaller seed is no simpler
)

# ---- random films, lists and changes; few different values, so that they meet

Dice = random.Random
_SLUGS = ("drama", "noir", "war")
_VALUES: dict[str, Sequence[Any]] = {
    "genre_ids": [[], *([ids.of_genre(s)] for s in _SLUGS), ["genre_drama", "genre_noir"]],
    "year": [None, 1999, 2020],
    "rating": [None, 5.0, 5.5, 7.0],
    "vote_count": [0, 10, 20],
    "views": [0, 3],
    "popularity": [0.0, 1.5, 2.0],
    "release_date": [None, "1999-05-05", TODAY, "2026-01-02", "2030-01-01"],
    "runtime_seconds": [None, 3600, 7200],
    "languages": [[], ["en"], ["fr", "en"]],
    "is_featured": [False, True],
    "is_active": [True, True, True, False],
    "sort_title": ["a", "b"],
    "credits": [[], [1], [2], [2, 1]],
}
_FILTERS: dict[str, Sequence[Any]] = {
    "genres": [("drama",), ("noir",), ("drama", "war"), ()],
    "exclude_genres": [("drama",), ("noir", "war")],
    "year_from": [2000, 1999],
    "year_to": [1999, 2000],
    "min_rating": [5.5],
    "min_votes": [10],
    "max_runtime_seconds": [3600],
    "language": ["en", "fr"],
    "person_id": ["person_00001"],
}
_ORDERS: list[Chosen] = [
    (field, direction) for field in models.MovieOrderField for direction in models.OrderDirection
]
_BY_CALENDAR = (models.MovieCategory.NEW_RELEASES, models.MovieCategory.UPCOMING)


def random_list(dice: Dice) -> models.MovieQuery:
    names = dice.sample(sorted(_FILTERS), dice.choice([0, 0, 1, 1, 2]))
    filter_ = models.MovieFilter(**{name: dice.choice(_FILTERS[name]) for name in names})
    category = dice.choice([None, *models.MovieCategory])
    order = models.MovieOrder.of(category, dice.choice([None, dice.choice(_ORDERS)]))
    today = TODAY if category in _BY_CALENDAR else ""
    return models.MovieQuery(category, filter_, order, 50, today=today)


def random_film(dice: Dice) -> dict[str, Any]:
    created_at = datetime(2025, 1, dice.choice([1, 2]), tzinfo=UTC)
    return {name: dice.choice(values) for name, values in _VALUES.items()} | {
        "created_at": created_at
    }


def random_change(dice: Dice) -> dict[str, Any]:
    names = dice.sample(sorted(_VALUES), dice.choice([1, 1, 2]))
    return {name: dice.choice(_VALUES[name]) for name in names}


def document(number: int, shape: Mapping[str, Any]) -> models.Movie:
    people = [credit(film_id(number), one) for one in shape["credits"]]
    return film(number, **{**shape, "credits": people})


def stored(change: Mapping[str, Any]) -> dict[str, Any]:
    """The change as MongoDB is told it."""
    people = [credit(EDITED, one).model_dump(mode="json") for one in change.get("credits", ())]
    return {**change, "credits": people} if "credits" in change else dict(change)


# ---- what MongoDB says, and what the cache holds


Place = tuple[str, Any]


async def in_mongodb(query: models.MovieQuery) -> list[Place]:
    """The whole list in order: ids, each with the value that is its place in it."""
    order = query.order
    cursor = models.Movie.get_pymongo_collection().find({"$and": list_clauses(query)})
    rows = await cursor.sort([(order.field, order.direction), ("_id", order.direction)]).to_list()
    return [(row["_id"], row.get(order.field)) for row in rows]


@dataclass
class Cached:
    """A list as both a page and a count are cached of it."""

    query: models.MovieQuery
    page_key: str
    count_key: str
    before: list[Place]


async def cached(context: Context, query: models.MovieQuery) -> Cached:
    pages = context.loader(loaders.MoviePageByQuery)
    counts = context.loader(loaders.MovieCountByQuery)
    page, count = pages.key_for(query), counts.key_for(query.list_key(), query)
    before = await in_mongodb(query)
    page_record = await pages.load(page)
    assert page_record is not None
    assert page_record.ids == [id_ for id_, _ in before]
    await counts.load(count)
    return Cached(query, pages.cache_key(page), counts.cache_key(count), before)


async def existing_keys(redis: Client, *keys: str) -> set[str]:
    values = await redis.mget(keys)
    return {key for key, value in zip(keys, values, strict=True) if value is not None}


def changed(one: Cached, after: list[Place]) -> set[str]:
    """The keys of what is another list now. Pages are cut at places, so a film that moved among
    the same neighbours changes them too; a count minds its members alone."""
    page = {one.page_key} if one.before != after else set()
    members = {id_ for id_, _ in one.before} != {id_ for id_, _ in after}
    return page | ({one.count_key} if members else set())


async def version() -> models.MovieRecord | None:
    records = await models.find_by_id(models.Movie, models.MovieRecord, [EDITED])
    return records[EDITED] if records and records[EDITED].is_active else None


@QUICK
@given(seed=st.integers(0, 2**32))
async def test_exactly_the_lists_that_a_change_changed_are_forgotten(
    runtime: Runtime, redis: Client, seed: int
) -> None:
    dice = Dice(seed)
    is_new = dice.random() < 0.1
    # given films, and lists of them in the cache
    await models.Movie.get_pymongo_collection().delete_many({})
    await redis.flushdb()
    catalogue = [random_film(dice) for _ in range(5)]
    await store(document(n, one) for n, one in enumerate(catalogue) if n or not is_new)
    here = replace(runtime, cache=Cache(redis))
    noted = [await cached(Context(here), random_list(dice)) for _ in range(30)]
    before = await version()
    all_keys = {key for one in noted for key in (one.page_key, one.count_key)}
    assert await existing_keys(redis, *all_keys) == all_keys
    # when a film comes, changes or goes
    if is_new:
        await store([document(0, catalogue[0])])
    else:
        assert await models.edit_movie(EDITED, stored(random_change(dice)), None)
    await invalidate_movie(Context(here), before, await version())
    # then the cache lacks what MongoDB answers otherwise now, and nothing else
    expected: set[str] = set()
    now = await asyncio.gather(*(in_mongodb(one.query) for one in noted))
    for one, places in zip(noted, now, strict=True):
        expected |= changed(one, places)
    assert all_keys - await existing_keys(redis, *all_keys) == expected
    # and of the films only the one that changed
    others = {f"movie:{film_id(n)}" for n, one in enumerate(catalogue) if n and one["is_active"]}
    shown = {f"movie:{id_}" for one in noted for id_, _ in one.before} - {f"movie:{EDITED}"}
    assert await existing_keys(redis, f"movie:{EDITED}", *others) == shown


@QUICK
@given(seed=st.integers(0, 2**32))
async def test_who_belongs_to_a_list_is_decided_as_mongodb_does(
    runtime: Runtime, seed: int
) -> None:
    dice = Dice(seed)
    await models.Movie.get_pymongo_collection().delete_many({})
    await store(document(number, random_film(dice)) for number in range(20))
    records = await models.find(models.Movie, models.MovieRecord, {})
    queries = [random_list(dice) for _ in range(20)]
    lists = await asyncio.gather(*(in_mongodb(query) for query in queries))
    for query, places in zip(queries, lists, strict=True):
        described = models.decode_description(models.encode_description(query))
        members = {id_ for id_, _ in places}
        assert {one.id for one in records if is_member(described, one)} == members


# ---- through the front door


UPSERT = """mutation ($input: UpsertMovieInput!) { upsertMovie(input: $input) {
  purgedTags errors { code } } }"""
DELETE = "mutation ($id: ID!) { deleteMovie(input: {id: $id}) { accepted } }"
PAGES = """{
  drama: movies(filter: {genres: ["drama"]}) { totalCount { value } nodes { id } }
  noir: movies(filter: {genres: ["noir"]}) { totalCount { value } nodes { id } }
  war: movies(filter: {genres: ["war"]}) { totalCount { value } nodes { id } }
  featured: movies(category: FEATURED) { totalCount { value } nodes { id } }
  byTitle: movies(orderBy: {field: TITLE, direction: ASC}, first: 100) { nodes { id title } }
}"""


@pytest.fixture
async def editor(runtime: Runtime) -> str:
    await store(map(genre, ("drama", "noir", "war")))
    await store(film(n, genre_ids=["genre_drama"], title=f"Film {n}") for n in range(4))
    return token_for(runtime, models.Role.EDITOR)


async def pages(graphql: GraphQL) -> dict[str, Any]:
    _, body = await graphql(PAGES)
    assert body.keys() == {"data"}, body
    return dict(body["data"])


def row(*numbers: int) -> dict[str, Any]:
    return {"totalCount": {"value": len(numbers)}, "nodes": [{"id": film_id(n)} for n in numbers]}


async def test_a_film_that_changes_genre_leaves_and_enters_exactly_those_lists(
    graphql: GraphQL, editor: str
) -> None:
    before = await pages(graphql)
    assert (before["drama"], before["noir"]) == (row(3, 2, 1, 0), row())
    # when a film goes from one genre to another
    fields = {"id": film_id(2), "genres": ["noir"]}
    _, body = await graphql(UPSERT, {"input": fields}, token=editor)
    # then it says which lists were forgotten, and they are right at once, counts and all
    assert body["data"]["upsertMovie"] == {
        "purgedTags": [f"movie:{film_id(2)}", "movies:genre:drama", "movies:genre:noir"],
        "errors": [],
    }
    after = await pages(graphql)
    assert after == before | {"drama": row(3, 1, 0), "noir": row(2)}


async def test_a_title_changes_the_lists_in_its_order_alone(graphql: GraphQL, editor: str) -> None:
    before = await pages(graphql)
    fields = {"id": film_id(3), "title": "A Film"}
    _, body = await graphql(UPSERT, {"input": fields}, token=editor)
    assert body["data"]["upsertMovie"]["purgedTags"] == [f"movie:{film_id(3)}", "movies:all"]
    after = await pages(graphql)
    assert [node["title"] for node in after["byTitle"]["nodes"]] == [
        "A Film",
        "Film 0",
        "Film 1",
        "Film 2",
    ]
    assert {**after, "byTitle": None} == {**before, "byTitle": None}


async def test_what_no_list_shows_forgets_the_film_alone(graphql: GraphQL, editor: str) -> None:
    await pages(graphql)
    fields = {"id": film_id(1), "overview": "About a film."}
    _, body = await graphql(UPSERT, {"input": fields}, token=editor)
    assert body["data"]["upsertMovie"]["purgedTags"] == [f"movie:{film_id(1)}"]


async def test_a_deleted_film_leaves_every_list_and_count(graphql: GraphQL, editor: str) -> None:
    await pages(graphql)
    await graphql(DELETE, {"id": film_id(3)}, token=editor)
    after = await pages(graphql)
    assert after["drama"] == row(2, 1, 0)
    assert [node["id"] for node in after["byTitle"]["nodes"]] == [film_id(n) for n in range(3)]


def response_hits() -> float:
    return REGISTRY.get_sample_value("cache_hits_total", {"cache_type": "response"}) or 0.0


@pytest.fixture
async def elsewhere(runtime: Runtime, redis: Client, settings: Settings) -> AsyncIterator[GraphQL]:
    """The application as another process runs it."""
    cache = Cache(redis)
    async with track_cache(cache, settings):
        async with connect_runtime(replace(runtime, cache=cache)) as client:
            yield GraphQL(client)


@pytest.fixture
def whole_answers(settings: Settings) -> None:
    if settings.graphql_executor == "core":
        pytest.skip("graphql-core's answers are not kept whole: only plans know what they are of")


@pytest.mark.usefixtures("whole_answers")
async def test_whole_answers_made_of_a_film_are_gone_in_every_process_once_it_changed(
    graphql: GraphQL, elsewhere: GraphQL, editor: str
) -> None:
    query = "query ($id: ID!) { movie(by: {id: $id}) { title } }"
    expected = "Film 1"

    async def whole(one: GraphQL) -> bool:
        """Whether the answer comes whole from memory."""
        hits = response_hits()
        _, body = await one(query, {"id": film_id(1)})
        assert body == {"data": {"movie": {"title": expected}}}
        return response_hits() == hits + 1

    for one in (graphql, elsewhere):
        await until(lambda one=one: whole(one), 5)  # type: ignore[misc]
    # when the film changes in one process
    fields = {"id": film_id(1), "title": "A Film"}
    await graphql(UPSERT, {"input": fields}, token=editor)

    async def is_new(one: GraphQL) -> bool:
        _, body = await one(query, {"id": film_id(1)})
        return bool(body["data"]["movie"]["title"] == "A Film")

    # then that one answers anew at once, and the other in a moment
    assert await is_new(graphql)
    await until(lambda: is_new(elsewhere), 2)
    expected = "A Film"
    await until(lambda: whole(elsewhere), 5)


@pytest.mark.usefixtures("whole_answers")
async def test_answers_are_not_stored_while_changes_are_not_received(
    runtime: Runtime, graphql: GraphQL, editor: str
) -> None:
    query = '{ movie(by: {id: "movie_00001"}) { title } }'
    runtime.cache.trusts_memory = False
    try:
        hits = response_hits()
        for _ in range(3):
            await graphql(query)
        assert response_hits() == hits
    finally:
        runtime.cache.trusts_memory = True

    # but from then on, although the application was built long before
    async def is_stored() -> bool:
        hits = response_hits()
        await graphql(query)
        return response_hits() == hits + 1

    await until(is_stored, 5)


# ---- with Redis away, and by hand


async def test_lists_that_cannot_be_found_are_forgotten_when_redis_is_back(
    runtime: Runtime, redis: Client, settings: Settings, editor: str
) -> None:
    async with connect_relayed(settings) as (relay, through):
        here = replace(runtime, cache=Cache(through), redis=through)
        noir = models.MovieFilter(genres=("noir",))
        query = models.MovieQuery(None, noir, models.MovieOrder("popularity", -1), 50)
        one = await cached(Context(here), query)
        relay.cut()
        # when a film enters the list meanwhile
        viewer = editing(here)
        upserted = await edits.upsert_movie(viewer, {"genres": ["noir"]}, id_=film_id(0))
        assert "movies:genre:noir" in upserted.purged_tags
        assert await existing_keys(redis, one.page_key) == {one.page_key}
        relay.mend()

        # then both are gone with the first run of what is pending that Redis hears
        async def is_forgotten() -> bool:
            await here.cache.flush_pending()
            return await existing_keys(redis, one.page_key, one.count_key) == set()

        await until(is_forgotten, 10)


def editing(runtime: Runtime) -> Context:
    return Context(
        runtime, Viewer("user_1", models.Role.EDITOR, models.AccountTier.FREE, "login_1")
    )


async def test_the_tag_of_all_movies_drops_every_list(runtime: Runtime, redis: Client) -> None:
    # given cached lists of a genre, of a category and of all films, and a film
    await store([genre("noir"), film(1, genre_ids=["genre_noir"])])
    here = replace(runtime, cache=Cache(redis))
    order = models.MovieOrder("popularity", -1)
    noir = models.MovieQuery(None, models.MovieFilter(genres=("noir",)), order, 50)
    popular = models.MovieQuery(models.MovieCategory.POPULAR, models.MovieFilter(), order, 50)
    everything = models.MovieQuery(None, models.MovieFilter(), order, 50)
    lists = [await cached(Context(here), query) for query in (noir, popular, everything)]
    keys = [key for one in lists for key in (one.page_key, one.count_key)]
    assert await existing_keys(redis, *keys) == set(keys)
    # when
    result = await purge(Context(here), ["movies:all"], soft=False)
    # then the lists are gone, the film itself is not
    assert result == (6, None)
    assert await existing_keys(redis, *keys) == set()
    assert await existing_keys(redis, f"movie:{film_id(1)}") == {f"movie:{film_id(1)}"}


async def test_a_tag_is_purged_softly_or_for_good(runtime: Runtime, redis: Client) -> None:
    await store([film(1, genre_ids=["genre_noir"])])
    here = replace(runtime, cache=Cache(redis))
    noir = models.MovieFilter(genres=("noir",))
    query = models.MovieQuery(None, noir, models.MovieOrder("popularity", -1), 50)
    one = await cached(Context(here), query)
    tags = ["movies:genre:noir", f"movie:{film_id(1)}"]
    # softly: they answer until they are read anew
    assert await purge(Context(here), tags, soft=True) == (3, None)
    context = Context(here)
    again = await context.load(loaders.MovieById, film_id(1))
    assert (again.id, context.is_degraded) == (film_id(1), True)
    await until(lambda: not here.cache.flights)
    # for good: they are gone
    assert await purge(Context(here), tags, soft=False) == (3, None)
    assert await existing_keys(redis, one.page_key, one.count_key, f"movie:{film_id(1)}") == set()
    unknown = ("movies", "movies:", "movies:genre:", "movies:category:best", "movie:film_1", "all",
               "movie:", "user:user_1", "movie:show_1", "movies:genre:A B")  # fmt: skip
    for wrong in ([], ["movies:all"] * 101, [""], ["a" * 501], *([one] for one in unknown)):
        with pytest.raises(ValidationFailed):
            await purge(Context(here), wrong, soft=True)


async def test_a_purge_that_redis_does_not_hear_is_refused(
    runtime: Runtime, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        relay.cut()
        here = replace(runtime, cache=Cache(through))
        with pytest.raises(UpstreamUnavailable):
            await purge(Context(here), ["movies:all"], soft=True)
