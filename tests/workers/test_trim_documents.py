"""Registered documents in MongoDB stay within their bytes."""

from __future__ import annotations

import asyncio

import pytest

import models
from resolvers.context import Runtime
from tests.support.documents import sha256_of
from workers.record_document_uses import record_document_uses
from workers.trim_documents import trim_documents


@pytest.mark.parametrize("most_bytes", [100_000, 45_000])
async def test_the_worker_trims_those_used_least_lately(runtime: Runtime, most_bytes: int) -> None:
    # given ten of 10 KB
    for n in range(10):
        await models.store_registered_document(sha256_of(f"{n}"), f"{n}" + "x" * 9_699)
        await asyncio.sleep(0.002)  # MongoDB's times are to the millisecond
    # when the first is used again
    now = models.utc_now()
    await models.mark_registered_used([sha256_of("0")], now, now)
    # then those within the bytes stay
    deleted = await models.trim_registered(most_bytes)
    rows = models.RegisteredDocument.get_pymongo_collection().find({}, {"text": 1})
    kept = {row["text"][0] async for row in rows}
    assert (deleted, kept) == {
        100_000: (0, set("0123456789")),
        45_000: (6, set("0987")),
    }[most_bytes]


async def test_one_worker_of_all_trims_in_a_minute(runtime: Runtime) -> None:
    text = "{ a }"
    await models.store_registered_document(sha256_of(text), text)
    assert [await trim_documents(runtime) for _ in range(2)] == [0, 0]
    assert await runtime.redis.exists("turn:trim_documents")


async def test_uses_are_written_down_once_an_hour(runtime: Runtime) -> None:
    # given a registered and a pushed document, registered long ago
    text = "{ a: __typename }"
    await models.store_registered_document(sha256_of(text), text)
    await models.insert_pushed_documents({"named": text})
    collections = [
        kind.get_pymongo_collection() for kind in (models.RegisteredDocument, models.PushedDocument)
    ]
    long_ago = models.EPOCH
    for collection in collections:
        await collection.update_many({}, {"$set": {"used_at": long_ago}})
    # when both are used, again and again
    for _ in range(3):
        for document_id in (sha256_of(text), "named"):
            runtime.ops.documents.trusted.record_use(document_id)
        assert await record_document_uses(runtime) == 2
    # then each was written once
    for collection in collections:
        (row,) = await collection.find({}).to_list()
        assert row["used_at"] > long_ago
        assert row["version"] == 2
    assert await record_document_uses(runtime) == 0
