"""The one way to read many rows: lean where that is possible, else by PyMongo.

Both give the same rows and the same errors; MONGODB_LEAN_READS turns the lean way off.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pymongo
from pymongo.asynchronous.collection import AsyncCollection

from models.mongo.wire import driver
from models.mongo.wire.commands import Command, Filter, Sort, build_aggregate, build_find
from models.mongo.wire.driver import Client
from models.mongo.wire.reader import Fallback, WireReader
from services.telemetry import metrics

Row = dict[str, Any]
Stages = Sequence[Mapping[str, Any]]
_UNBOUNDED_BATCH = 1_000
_LEAST_SECONDS = 0.001  # none would be "no deadline" to PyMongo

_reader: WireReader | None = None


@asynccontextmanager
async def read_lean(client: Client, *, enabled: bool) -> AsyncIterator[None]:
    """Let reads of this client go the lean way; gives its connections back at the end."""
    global _reader
    before = _reader
    reader = _reader = WireReader(client) if enabled else None
    try:
        yield
    finally:
        _reader = before
        if reader is not None:
            await reader.aclose()


async def find_rows(
    collection: AsyncCollection[Any],
    where: Filter,
    projection: Mapping[str, int],
    *,
    sort: Sort | None = None,
    limit: int = 0,
    hint: Sort | None = None,
) -> list[Row]:
    """Find all rows, in one command while they fit a batch.

    Raises:
        PyMongoError: MongoDB did not answer in time or refused.
    """
    # Two above the expected count: the first batch then also says that it is the last.
    batch_size = limit + 2 if limit else _UNBOUNDED_BATCH

    async def read_by_driver() -> list[Row]:
        cursor = collection.find(where, projection, sort=sort, limit=limit, hint=hint)
        return await cursor.batch_size(batch_size).to_list(None)

    if _reader is None or _reader.client is not collection.database.client:
        return await read_by_driver()
    command = build_find(
        collection.name,
        where,
        projection,
        sort=sort,
        limit=limit,
        hint=hint,
        batch_size=batch_size,
    )
    return await _read(_reader, collection, (command, batch_size), read_by_driver)


async def aggregate_rows(
    collection: AsyncCollection[Any],
    pipeline: Stages,
    *,
    most: int,
    hint: Sort | None = None,
) -> list[Row]:
    """All rows of a pipeline, in one command while there are at most `most` of them.

    Raises:
        PyMongoError: MongoDB did not answer in time or refused.
    """
    batch_size = most + 2

    async def read_by_driver() -> list[Row]:
        options: dict[str, Any] = {"hint": dict(hint)} if hint else {}
        cursor = await collection.aggregate(pipeline, batchSize=batch_size, **options)
        return await cursor.to_list(None)

    if _reader is None or _reader.client is not collection.database.client:
        return await read_by_driver()
    command = build_aggregate(collection.name, pipeline, hint=hint, batch_size=batch_size)
    return await _read(_reader, collection, (command, batch_size), read_by_driver)


async def _read(
    reader: WireReader,
    collection: AsyncCollection[Any],
    query: tuple[Command, int],
    read_by_driver: Callable[[], Awaitable[list[Row]]],
) -> list[Row]:
    if not reader.is_fit:
        metrics.database_fallback_reads_total.labels("setup").inc()
        return await read_by_driver()
    deadline = time.monotonic() + driver.remaining_seconds(reader.client)
    try:
        rows = await reader.read(collection, *query, deadline)
    except Fallback as fallback:
        metrics.database_fallback_reads_total.labels(fallback.reason).inc()
    else:
        metrics.database_lean_reads_total.inc()
        return rows
    with pymongo.timeout(max(deadline - time.monotonic(), _LEAST_SECONDS)):
        return await read_by_driver()
