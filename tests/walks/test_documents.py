"""Documents by id from end to end: one process learns of a document, any other one runs it.

Down: server/graphql/naming → graph/engine/admission → persisted/access → services/documents, in
Redis and MongoDB. Beside it: server/commands/documents → resolvers/ops/document_releases.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.ops import document_releases
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.documents import NOT_FOUND, by_hash, code_of, push, sha256_of
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, until

KIND = {"data": {"__typename": "Query"}}


@pytest.fixture
def ports(runtime: Runtime, settings: Settings, tmp_path: Path) -> Iterator[list[int]]:
    """Three API processes on this worker's stores."""
    chosen = [free_port() for _ in range(3)]
    stores = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database,
        "REDIS_URL": settings.redis_url or "",
    }
    with ExitStack() as running:
        for port in chosen:
            folder = tmp_path / str(port)
            environment = {**stores, "PORT": str(port), "DATA_DIR": str(folder)}
            running.enter_context(Process(folder, "serve", environment=environment))
        yield chosen


@pytest.fixture
async def processes(ports: list[int]) -> AsyncIterator[list[Served]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Served(port)) for port in ports]


async def trusted(process: Served) -> float:
    """How many pushed documents the process knows."""
    text = (await process.client.get("/metrics")).text
    match = re.search(r"^documents_trusted (\S+)$", text, re.MULTILINE)
    assert match is not None
    return float(match[1])


async def test_any_process_runs_what_another_one_learned_of(
    processes: list[Served], runtime: Runtime, redis: Client
) -> None:
    one, other, third = (process.client for process in processes)
    text = "query Kind { __typename }"
    # given a hash that none of them knows
    for client in (one, other, third):
        assert code_of(await client.post("/graphql", json=by_hash(text))) == NOT_FOUND
    # when one of them is given the text
    assert (await one.post("/graphql", json=by_hash(text, with_text=True))).json() == KIND
    # then the next request to another one is answered
    address = f"/graphql/d/sha256:{sha256_of(text)}/Kind"
    assert (await other.get(address)).json() == KIND
    # and once Redis has lost everything, one that had never seen it
    await redis.flushall()
    assert (await third.get(address)).json() == KIND

    # when an operator pushes documents
    await push(runtime, {"kind-v1": text, "me-v1": "query Me { viewer { id } }"})
    # then all run them at once
    for client in (one, other, third):
        assert (await client.get("/graphql/d/kind-v1/Kind")).json() == KIND
    # and before anybody has asked for it, the other one is known
    for process in processes:
        await until(lambda process=process: is_known(process, 2))
    # also once Redis has lost everything
    await redis.flushall()
    assert (await one.get("/graphql/d/me-v1/Me")).json() == {"data": {"viewer": None}}

    # when the release is pruned
    later = Context(runtime)
    await document_releases.prune_release(later, models.ReleaseName("web", "1.0"))
    # then no process runs them any more
    for process in processes:
        await until(lambda process=process: is_known(process, 0))
        assert code_of(await process.client.get("/graphql/d/me-v1/Me")) == NOT_FOUND


async def is_known(process: Served, number: int) -> bool:
    return await trusted(process) == number
