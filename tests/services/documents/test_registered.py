"""Texts that clients registered: bounded in Redis and in what is written to MongoDB."""

from __future__ import annotations

import models
from resolvers.context import Runtime
from services.documents import registered
from services.documents.registered import RegisteredDocuments
from services.redis.pool import Client
from tests.support.documents import sha256_of


async def test_texts_in_redis_are_bounded_by_bytes_and_those_used_last_stay(
    runtime: Runtime, redis: Client
) -> None:
    # given room for 100 KB, and texts of 10 KB each
    now = [1_000_000.0]
    documents = RegisteredDocuments(redis, "", models.DocumentCopies(), lambda: now[0])
    texts = [f"{{ a{n}: __typename }} #" + "x" * 10_000 for n in range(12)]
    script = registered._REGISTER

    async def register(text: str) -> int:
        now[0] += 1
        keys = documents._keys
        bounds = (int(now[0] * 1000), 100_000, 60)
        return int(await redis.scripts.call(script, 2, *keys, sha256_of(text), text, *bounds))

    for text in texts[:9]:
        assert await register(text) <= 100_000
    # when the oldest is used, and more come
    now[0] += 1
    assert await documents.find_in_redis(sha256_of(texts[0])) == texts[0]
    for text in texts[9:]:
        assert await register(text) <= 100_000
    # then it is there, the newest are, and those that nobody used have gone
    known = [await documents.find_in_redis(sha256_of(text)) is not None for text in texts]
    assert known == [True, False, False, False, *[True] * 8]
    # and once the uses were lost, all begins anew
    await redis.delete(documents._keys[1])
    for text in texts:
        assert await register(text) <= 100_000
    assert await documents.find_in_redis(sha256_of(texts[-1])) == texts[-1]


async def test_what_is_written_to_mongodb_is_bounded_by_the_minute(
    runtime: Runtime, redis: Client
) -> None:
    now = [1_000_000.0]
    documents = RegisteredDocuments(redis, "", models.DocumentCopies(), lambda: now[0])
    texts = [f"# {n}" + "x" * 14_000 for n in range(200)]  # 2.8 MB
    for text in texts:
        await documents.register(sha256_of(text), text)
    stored = models.RegisteredDocument.get_pymongo_collection()
    count = await stored.count_documents({})
    assert count == registered.MAX_WRITTEN_BYTES // len(texts[100])
    # and a minute later more are
    now[0] += 60
    await documents.register(sha256_of("{ later }"), "{ later }")
    assert await stored.count_documents({}) == count + 1
