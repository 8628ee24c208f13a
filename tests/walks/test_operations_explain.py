"""On ten thousand films, every list a web client asks for is read along an index that serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import models
from resolvers.context import Runtime
from services.cursors import Position
from tests.support import library
from tests.support.api_client import build_silent_app
from tests.support.operation_files import Client, Operation, operations

_FILMS = 10_000
_SIZE = 20
_PAGES = 3
_WHOLE = {"statistics"}  # figures over the whole catalogue look at all of it
_COLLECTIONS = (
    *("movies", "shows", "seasons", "episodes", "people", "genres"),
    *("viewing_progress", "viewings", "watchlist"),
)


@pytest.fixture(scope="module")
async def client(_runtime: Runtime) -> AsyncIterator[Client]:
    await library.fill(_runtime, movies=_FILMS, people=2_000)
    # a tenth has no rating and no date: nulls are the awkward part of an order
    collection = models.Movie.get_pymongo_collection()
    some = await collection.find({}, {"_id": 1}).sort("_id", 1).limit(_FILMS // 10).to_list()
    names = [row["_id"] for row in some]
    unknown = dict.fromkeys(("rating", "weighted_rating", "release_date", "year", "released"))
    await collection.update_many({"_id": {"$in": names}}, {"$set": unknown})
    yield Client(_runtime, build_silent_app(_runtime))
    await collection.database.drop_collection("system.profile")
    await library.drop()


async def test_every_list_walks_an_index_and_reads_what_it_returns(
    client: Client, _runtime: Runtime
) -> None:
    problems: dict[str, list[str]] = {}
    explained = 0
    for operation in operations():
        # given what MongoDB was asked for by the first pages of an operation, cold
        commands = await _commands_of(operation, client, _runtime)
        # when each command is explained
        explained += len(commands)
        for command in commands:
            faults = list(_faults(operation.name, await _explained(command)))
            if faults:
                problems.setdefault(operation.name, []).extend([*faults, str(command)])
    # then none scans a collection or reads more than twice what it returns
    assert problems == {}
    assert explained > 100


async def test_the_middle_and_the_end_of_every_order_are_as_cheap_as_its_beginning(
    client: Client,
) -> None:
    # given places all over every order, of all films and of one genre's
    collection = models.Movie.get_pymongo_collection()
    films = await collection.find({"is_active": True}, {"credits": 0, "search": 0}).to_list()
    of_drama = [film for film in films if "genre_drama" in film["genre_ids"]]
    lists = (
        (models.MovieFilter(), films),
        (models.MovieFilter(genres=("drama",)), of_drama),
    )
    queries = [
        models.MovieQuery(None, filter_, order, _SIZE, backwards, place)
        for filter_, rows in lists
        for order in _orders()
        for place in _places(rows, order)
        for backwards in (False, True)
    ]

    async def read() -> None:
        for query in queries:
            page, _ = await models.read_movie_page(query, None)
            assert len(page.ids) == _SIZE

    # when a page is read from each, both ways, with a look at what lies behind its place
    commands = await _profiled(collection.database, read)
    assert len(commands) == 2 * len(queries)
    faults = [
        (command, fault) for command in commands for fault in _faults("", await _explained(command))
    ]
    # then none reads more than twice what it returns
    assert faults == []


def _places(rows: list[dict[str, Any]], order: models.MovieOrder) -> Iterator[Position]:
    """In the order's middle, among its last and among its first, nulls being the smallest."""

    def place(row: dict[str, Any]) -> tuple[bool, Any, str]:
        value = row[order.field]
        return value is not None, value, row["_id"]

    rows = sorted(rows, key=place, reverse=order.direction < 0)
    for at in (len(rows) // 2, len(rows) - 100, 100):
        record = models.MovieRecord(id=rows[at]["_id"], **{order.field: rows[at][order.field]})
        yield Position(models.sort_value(record, order), record.id)


def _orders() -> Iterator[models.MovieOrder]:
    for field in models.MovieOrderField:
        for direction in models.OrderDirection:
            yield models.MovieOrder.of(None, (field, direction))
    yield models.MovieOrder.of(models.MovieCategory.TRENDING, None)


async def _commands_of(
    operation: Operation, client: Client, runtime: Runtime
) -> list[dict[str, Any]]:
    database = models.Movie.get_pymongo_collection().database

    async def run() -> None:
        after: dict[str, Any] = {}
        for _ in range(_PAGES):
            await runtime.redis.flushdb()
            runtime.cache.clear_memory()
            data = await client(operation, operation.sized(_SIZE, **after))
            cursor = _next(data)
            if cursor is None or "after" not in operation.variables:
                break
            after = {"after": cursor}

    return await _profiled(database, run)


async def _profiled(database: Any, run: Any) -> list[dict[str, Any]]:
    """The reads that MongoDB was asked for meanwhile, as it wrote them down itself."""
    await database.command("profile", 0)
    await database.drop_collection("system.profile")
    await database.create_collection("system.profile", capped=True, size=64 * 1024 * 1024)
    await database.command("profile", 2)
    try:
        await run()
    finally:
        await database.command("profile", 0)
    rows = await database["system.profile"].find({"op": {"$in": ["query", "command"]}}).to_list()
    return [row["command"] for row in rows if _reads(row["command"])]


def _reads(command: dict[str, Any]) -> bool:
    return (command.get("find") or command.get("aggregate")) in _COLLECTIONS


def _next(data: dict[str, Any]) -> str | None:
    """The end cursor of the operation's list, if more comes after it."""
    for value in data.values():
        info = value.get("pageInfo") if isinstance(value, dict) else None
        if info is not None and info.get("hasNextPage"):
            return str(info["endCursor"])
    return None


async def _explained(command: dict[str, Any]) -> dict[str, Any]:
    fields = {
        name: value
        for name, value in command.items()
        if name not in ("lsid", "$clusterTime", "$db", "$readPreference", "maxTimeMS", "comment")
    }
    database = models.Movie.get_pymongo_collection().database
    plan: dict[str, Any] = await database.command(
        {"explain": fields, "verbosity": "executionStats"}
    )
    return plan


def _faults(name: str, plan: dict[str, Any]) -> Iterator[str]:
    stages = list(_stages(plan))
    if "COLLSCAN" in stages:
        yield "scans the collection"
    for stats in _statistics(plan):
        examined, returned = stats["totalDocsExamined"], stats["nReturned"]
        if examined > 2 * returned + 1 and name not in _WHOLE:
            yield f"examines {examined} documents to return {returned}"


def _stages(plan: Any) -> Iterator[str]:
    """Names of the stages of winning plans, subpipelines' too."""
    if isinstance(plan, list):
        for one in plan:
            yield from _stages(one)
    elif isinstance(plan, dict):
        if "stage" in plan:
            yield plan["stage"]
        for key, value in plan.items():
            if key not in ("rejectedPlans", "command", "allPlansExecution"):
                yield from _stages(value)


def _statistics(plan: Any) -> Iterator[dict[str, Any]]:
    if isinstance(plan, list):
        for one in plan:
            yield from _statistics(one)
    elif isinstance(plan, dict):
        if "totalDocsExamined" in plan:
            yield plan
        for key, value in plan.items():
            if key not in ("rejectedPlans", "command", "allPlansExecution"):
                yield from _statistics(value)
