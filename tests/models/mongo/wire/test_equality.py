"""Lean reads give what PyMongo gives: rows byte for byte, errors by class and code."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DocumentTooLarge, PyMongoError
from pymongo.read_concern import ReadConcern

from models.mongo.rows import aggregate_rows, find_rows
from tests.support.lean_reads import Client, ReadCounts, encode_rows, open_lean_client
from tests.support.thoroughness import share_of

Collection = AsyncCollection[dict[str, Any]]
FIELDS = ["n", "title", "value", "at", "inner.a", "inner.list", "absent"]
VALUES: list[Any] = [
    None,
    True,
    -3,
    Int64(2**40),
    1.5,
    float("nan"),
    float("inf"),
    "Amélie 🎬",
    b"\0\xff",
    Binary(b"abc", 5),
    Decimal128("1.10"),
    ObjectId("0123456789abcdef01234567"),
    datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
    Timestamp(5, 6),
    Regex("^a", "i"),
    MinKey(),
    MaxKey(),
    [1, [2, {"x": None}]],
    {"deep": {"deeper": [{}]}},
]


@pytest.fixture(scope="module")
async def client(mongodb_uri: str) -> AsyncIterator[Client]:
    async with open_lean_client(mongodb_uri) as client:
        yield client


@pytest.fixture(scope="module")
async def films(client: Client, worker_name: str) -> AsyncIterator[Collection]:
    collection = client[f"lean_{worker_name}"].films
    await collection.drop()
    await collection.insert_many(map(a_film, range(60)))
    yield collection
    await client.drop_database(collection.database.name)


def a_film(number: int) -> dict[str, Any]:
    return {
        "_id": f"m{number:02}",
        "n": number % 7,
        "title": f"Film {number % 11}",
        "value": VALUES[number % len(VALUES)],
        "at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
        "inner": {"a": number % 3, "list": list(range(number % 4))},
    }


clauses = st.one_of(
    st.builds(lambda n: {"n": n}, st.integers(-1, 8)),
    st.builds(lambda n: {"n": {"$gte": n}}, st.integers(-1, 8)),
    st.builds(lambda n: {"inner.list": n}, st.integers(0, 4)),
    st.builds(lambda at: {"title": {"$regex": f"^Film {at}"}}, st.integers(0, 10)),
    st.builds(lambda at: {"title": re.compile(f"film {at}$", re.I)}, st.integers(0, 10)),
    st.builds(lambda value: {"value": value}, st.sampled_from(VALUES)),
    st.builds(
        lambda at: {"at": {"$lt": at}}, st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1))
    ),
    st.builds(
        lambda ids: {"_id": {"$in": ids}},
        st.lists(st.sampled_from([f"m{n:02}" for n in range(70)])),
    ),
)
filters = st.recursive(
    st.one_of(st.just({}), clauses),
    lambda inner: st.builds(
        lambda operator, parts: {operator: parts},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)
projections = st.one_of(
    st.lists(st.sampled_from(FIELDS), max_size=4).map(
        lambda names: {"_id": 1, **dict.fromkeys(names, 1)}
    ),
    st.just({"value": 0}),
)
orders = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(FIELDS), st.sampled_from([1, -1])).map(lambda one: [one, ("_id", 1)]),
)


@with_settings(
    max_examples=share_of(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(filters, projections, orders, st.integers(0, 70))
async def test_finds_give_the_same_rows(
    films: Collection,
    where: dict[str, Any],
    projection: dict[str, int],
    order: list[tuple[str, int]] | None,
    limit: int,
) -> None:
    counts = ReadCounts()
    rows = await find_rows(films, where, projection, sort=order, limit=limit)
    # then PyMongo, which read none of these, gives the same
    assert (counts.lean, counts.fallbacks) == (1, {})
    expected = await films.find(where, projection, sort=order, limit=limit).to_list(None)
    assert encode_rows(rows) == encode_rows(expected)


PIPELINES: list[list[dict[str, Any]]] = [
    [{"$match": {"n": {"$in": [1, 2]}}}, {"$sort": {"_id": -1}}, {"$limit": 5}],
    [{"$group": {"_id": "$n", "titles": {"$push": "$title"}}}, {"$sort": {"_id": 1}}],
    [{"$match": {"n": 100}}],
    [{"$limit": 1}, {"$project": {"_id": 0, "x": {"$literal": Int64(7)}}}],
    [{"$match": {"n": 0}}, {"$unionWith": {"coll": "films", "pipeline": [{"$match": {"n": 1}}]}}],
]


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("most", [0, 3, 100])
async def test_aggregates_give_the_same_rows_in_one_batch_or_in_many(
    films: Collection, pipeline: list[dict[str, Any]], most: int
) -> None:
    rows = await aggregate_rows(films, pipeline, most=most)
    assert encode_rows(rows) == encode_rows(await (await films.aggregate(pipeline)).to_list(None))


async def test_a_read_concern_and_a_hint_are_sent(films: Collection) -> None:
    majority = films.with_options(read_concern=ReadConcern("majority"))
    rows = await find_rows(majority, {"n": 1}, {"_id": 1}, hint=[("_id", 1)])
    assert [row["_id"] for row in rows] == [f"m{n:02}" for n in range(60) if n % 7 == 1]
    rows = await aggregate_rows(majority, [{"$match": {"n": 1}}], most=60, hint=[("_id", 1)])
    assert len(rows) == 9


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ({"n": {"$bogus": 1}}, None),
        ({"$where": "throw 'no'"}, None),
        ({"title": {"$regex": "("}}, None),
        ({}, [("absent", 1)]),
    ],
)
async def test_refusals_are_the_same_errors(
    films: Collection, where: dict[str, Any], hint: list[tuple[str, int]] | None
) -> None:
    counts = ReadCounts()
    errors: list[Any] = []
    for read in (
        find_rows(films, where, {"_id": 1}, hint=hint),
        films.find(where, {"_id": 1}, hint=hint).batch_size(1000).to_list(None),
    ):
        with pytest.raises(PyMongoError) as caught:
            await read
        errors.append(caught.value)
    lean, driver = errors
    assert type(lean) is type(driver)
    assert lean.code == driver.code and lean.details["errmsg"] == driver.details["errmsg"]
    assert counts.fallbacks == {}


async def test_answers_beyond_a_message_come_in_batches(client: Client, films: Collection) -> None:
    # given more than one message holds (48 MB) in documents of a megabyte
    big = client[films.database.name].big
    await big.insert_many([{"_id": n, "text": f"{n:03}" * 340_000} for n in range(50)])
    counts = ReadCounts()
    rows = await find_rows(big, {}, {"_id": 1, "text": 1}, sort=[("_id", 1)])
    # then all of it comes, in order
    assert [row["_id"] for row in rows] == list(range(50))
    assert all(row["text"] == f"{row['_id']:03}" * 340_000 for row in rows)
    assert (counts.lean, counts.fallbacks) == (1, {})
    await big.drop()


async def test_a_date_beyond_pythons_is_left_to_the_driver(films: Collection) -> None:
    far = {"$dateFromString": {"dateString": "2026-01-01"}}
    beyond = {"$add": [far, 400_000_000_000_000]}  # the year 14701
    counts = ReadCounts()
    with pytest.raises(Exception, match="out of range"):
        await aggregate_rows(films, [{"$limit": 1}, {"$project": {"at": beyond}}], most=1)
    assert counts.fallbacks == {"malformed": 1}


async def test_a_command_that_is_too_large_is_left_to_the_driver(films: Collection) -> None:
    counts = ReadCounts()
    with pytest.raises(DocumentTooLarge):
        await find_rows(films, {"title": {"$in": ["x" * 1_000_000] * 17}}, {"_id": 1})
    assert counts.fallbacks == {"too_large": 1}


@pytest.mark.parametrize("options", [{"compressors": "zlib"}, {"maxPoolSize": 1}])
async def test_an_unusual_set_up_is_left_to_the_driver(
    mongodb_uri: str, films: Collection, options: dict[str, Any]
) -> None:
    async with open_lean_client(mongodb_uri, **options) as client:
        counts = ReadCounts()
        rows = await find_rows(client[films.database.name].films, {"_id": "m01"}, {"n": 1})
        assert rows == [{"_id": "m01", "n": 1}]
        assert (counts.lean, counts.fallbacks) == (0, {"setup": 1})


async def test_another_client_reads_by_the_driver(mongodb_uri: str, films: Collection) -> None:
    counts = ReadCounts()
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as other:
        rows = await find_rows(other[films.database.name].films, {"_id": "m01"}, {"n": 1})
    assert rows == [{"_id": "m01", "n": 1}]
    assert (counts.lean, counts.fallbacks) == (0, {})
