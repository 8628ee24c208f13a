"""On the real schema: one loader call a loader and level, one command a collection and level."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import models
from graph.engine.operations import Answer, Operations, Request
from graph.schema import open_documents
from loaders import CachedLoader
from resolvers.catalog.imports import synthetic
from resolvers.context import Context, Runtime
from services.cache.cache import Cache
from tests.conftest import CountCommands

DEEP = """query Deep($first: Int!) { movies(category: POPULAR, first: $first) { nodes {
  id title year genres { id name }
  credits(first: 5) { character person { id name } }
  similar(first: 5) { id title year genres { id name } } } } }"""
FILM = """fragment Film on Movie { id title originalTitle overview tagline year releaseDate
  runtimeSeconds rating voteCount views languages isFeatured poster { url(width: 342) }
  genres { id slug name } similar(first: 3) { id title } }"""
PAGES = 10


@dataclass(slots=True)
class Watched(Context):
    """Notes every call of a loader: its class and how many keys."""

    calls: list[tuple[str, int]] = field(default_factory=list)

    def loader(self, kind: Any) -> Any:
        if kind not in self._loaders:
            self._loaders[kind] = _noting(kind, self.calls)(self)
        return self._loaders[kind]


def _noting(kind: type[CachedLoader[Any]], calls: list[tuple[str, int]]) -> Any:
    class Noting(kind):  # type: ignore[valid-type, misc]
        async def many(self, keys: Any, fields: Any = None) -> Any:
            calls.append((kind.__name__, len(keys)))
            return await super().many(keys, fields)

    return Noting


@pytest.fixture
async def operations(runtime: Runtime) -> Operations:
    return Operations(open_documents(runtime.settings), by_plan=True, deadline_seconds=20)


def watched(runtime: Runtime, tiers: str) -> Watched:
    return Watched(replace(runtime, cache=Cache(runtime.redis, tiers=tiers)))


async def answered(
    operations: Operations, context: Context, query: str, **variables: Any
) -> dict[str, Any]:
    prepared = operations.prepare(Request(query, variables), context)
    assert not isinstance(prepared, Answer), prepared.errors
    answer = await operations.run(prepared, context)
    assert answer.errors == []
    assert answer.data is not None
    return answer.data


@pytest.mark.parametrize("tiers", ["none", "memory,redis"])
@pytest.mark.parametrize("first", [2, 20])
async def test_the_deep_query_is_one_command_per_collection_and_level(
    runtime: Runtime,
    operations: Operations,
    count_commands: CountCommands,
    tiers: str,
    first: int,
) -> None:
    await synthetic.load(runtime, 60, 100)
    context = watched(runtime, tiers)
    await count_commands.reset()
    films = (await answered(operations, context, DEEP, first=first))["movies"]["nodes"]
    assert len(films) == first
    assert all(film["genres"] and len(film["similar"]) == 5 for film in films)
    # then the page; below it genres, people and similar films; and below these their genres
    levels = ["movies", "genres", "movies", "people", "genres"]
    commands = [f"{collection}.find" for collection in levels]
    if tiers == "none":
        assert sorted(count_commands.mongo) == sorted(commands)
    else:  # what an operation has seen it asks for no more
        assert not Counter(count_commands.mongo) - Counter(commands)
    # and of each loader no more than one call a level
    assert Counter(name for name, _ in context.calls) <= Counter(
        {"MoviePageByQuery": 1, "MovieById": 2, "GenreById": 2, "PersonById": 1}
    )


async def test_warm_the_deep_query_asks_nobody(
    runtime: Runtime, operations: Operations, count_commands: CountCommands
) -> None:
    await synthetic.load(runtime, 60, 100)
    context = watched(runtime, "memory,redis")
    first = await answered(operations, context, DEEP, first=20)
    await count_commands.reset()
    again = await answered(operations, context.for_event(), DEEP, first=20)
    assert again == first
    assert count_commands.mongo == []
    assert await count_commands.redis_commands() == {}


async def test_uncached_only_what_the_selection_needs_is_read(
    runtime: Runtime, operations: Operations, count_commands: CountCommands
) -> None:
    await synthetic.load(runtime, 60, 100)
    await count_commands.reset()
    await answered(operations, watched(runtime, "none"), DEEP, first=20)
    fields_by_collection: dict[str, list[set[str] | None]] = {}
    for collection, fields in count_commands.projections:
        fields_by_collection.setdefault(collection, []).append(fields)
    # given that every film is asked whether it is active, and a page for what it is sorted by
    page, similar = fields_by_collection.pop("movies")
    seen = {"_id", "title", "year", "genre_ids", "is_active"}
    assert similar == seen
    assert page == seen | {"similar_ids", "popularity", "credits"}
    assert fields_by_collection == {"genres": [{"_id", "name"}] * 2, "people": [{"_id", "name"}]}


async def test_cached_whole_records_are_read(
    runtime: Runtime, operations: Operations, count_commands: CountCommands
) -> None:
    await synthetic.load(runtime, 60, 100)
    await count_commands.reset()
    await answered(operations, watched(runtime, "memory,redis"), DEEP, first=20)
    # given that others will ask for other fields of the same genre
    projections = dict(count_commands.projections)
    assert projections["genres"] == {"_id", "slug", "name"}


async def pages(operations: Operations, runtime: Runtime, first: int) -> str:
    """Ten pages of distinct films in one operation."""
    cursors: list[str] = []
    text = """query ($after: String) { movies(first: FIRST, after: $after) {
        pageInfo { endCursor } } }""".replace("FIRST", str(first))
    for _ in range(PAGES):
        after = cursors[-1] if cursors else None
        page = await answered(operations, Context(runtime), text, after=after)
        cursors.append(page["movies"]["pageInfo"]["endCursor"])
    aliases = [
        f"p{number}: movies(first: {first}{after}) {{ nodes {{ ...Film }} }}"
        for number, after in enumerate(["", *(f', after: "{cursor}"' for cursor in cursors[:-1])])
    ]
    return f"{{ {' '.join(aliases)} }} {FILM}"


@pytest.mark.parametrize("tiers", ["none", "memory,redis"])
async def test_a_thousand_films_cost_the_calls_and_commands_of_a_hundred(
    runtime: Runtime, operations: Operations, count_commands: CountCommands, tiers: str
) -> None:
    await synthetic.load(runtime, 1_100, 15)
    costs = []
    for first in (10, 100):
        query = await pages(operations, runtime, first)
        await runtime.redis.flushdb()
        runtime.cache.clear_memory()
        context = watched(runtime, tiers)
        await count_commands.reset()
        data = await answered(operations, context, query)
        ids = {film["id"] for page in data.values() for film in page["nodes"]}
        assert len(ids) == first * PAGES
        costs.append((sorted(count_commands.mongo), Counter(name for name, _ in context.calls)))
    assert costs[0] == costs[1]
    assert len(costs[0][0]) <= PAGES + 2


async def test_a_loader_is_called_once_for_keys_of_different_parents(
    runtime: Runtime, operations: Operations, count_commands: CountCommands
) -> None:
    # given several paths to the same genres and people
    await synthetic.load(runtime, 60, 40)
    person = (await models.find(models.Person, models.PersonRecord, {}, limit=1))[0]
    query = """query ($id: ID!, $other: ID!, $person: ID!) {
      movie(by: {id: $id}) { genres { name } credits(first: 3) { person { name } } }
      other: movie(by: {id: $other}) { genres { name } credits(first: 3) { person { name } } }
      node(id: $id) { ... on Movie { genres { name } } }
      nodes(ids: [$id, $other]) { ... on Movie { genres { name } } }
      person(id: $person) { name } }"""
    context = watched(runtime, "none")
    await count_commands.reset()
    await answered(
        operations,
        context,
        query,
        id=synthetic.movie_id(1),
        other=synthetic.movie_id(2),
        person=person.id,
    )
    # then the level below the roots asks each loader once
    assert Counter(name for name, _ in context.calls)["GenreById"] == 1
    assert count_commands.mongo.count("genres.find") == 1
