"""What stored answers hold: neither the documents they answered nor what no document declares."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette

from graph.engine.documents import Document
from graph.engine.operations import Operations
from resolvers.context import Runtime
from tests.support.api_client import build_silent_app, connect_app
from tests.support.processes import until

QUERY = "query Genres { genres { name } }"


@pytest.fixture
async def app(runtime: Runtime) -> AsyncIterator[Starlette]:
    yield build_silent_app(runtime)


async def send(app: Starlette, **variables: Any) -> bytes:
    async with connect_app(app) as client:
        response = await client.post("/graphql", json={"query": QUERY, "variables": variables})
    assert response.status_code == 200
    assert "errors" not in response.json()
    return response.content


def stored_bytes(operations: Operations) -> tuple[int, int]:
    """Number and size of the stored answers."""
    assert operations._answers is not None
    stored = operations._answers._stored
    return len(stored), stored.bytes


async def store_answer(app: Starlette) -> bytes:
    """Send the query until its answer is stored: what changes while it is made keeps it out."""
    answer = b""

    async def is_stored() -> bool:
        nonlocal answer
        answer = await send(app)
        return stored_bytes(app.state.operations)[0] == 1

    await until(is_stored, 10)
    return answer


def count_documents(document_hash: str) -> int:
    """How many documents of this text this process has."""
    documents = [one for one in gc.get_objects() if isinstance(one, Document)]
    return sum(one.document_hash == document_hash for one in documents)


async def test_variables_that_no_document_declares_are_neither_keys_nor_stored(
    app: Starlette,
) -> None:
    # given a stored answer
    first = await store_answer(app)
    before = stored_bytes(app.state.operations)
    # when the same is asked for with junk, each time another
    for number in range(20):
        junk = {f"junk{number}": ["x" * 100] * 500, "deep": [[[number]]]}
        assert await send(app, **junk) == first
    # then it is one answer, and as large as it was
    assert stored_bytes(app.state.operations) == before
    assert before[1] < 20_000


async def test_an_answer_does_not_keep_its_document(app: Starlette) -> None:
    # given a stored answer
    operations: Operations = app.state.operations
    answer = await store_answer(app)
    document_hash = operations.documents.get(QUERY).document_hash
    gc.collect()  # those of applications of other tests
    assert count_documents(document_hash) == 1
    # when its document leaves, as for others
    operations.documents._by_text.clear()
    gc.collect()
    # then nothing of it remains, and the answer does
    assert count_documents(document_hash) == 0
    assert stored_bytes(operations)[0] == 1
    assert await send(app) == answer
