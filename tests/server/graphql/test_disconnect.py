"""A client that goes away while a provider is being asked: the question is given up, no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

import models
from graph.schema import open_documents
from resolvers.context import Runtime
from services import http_client
from services.providers import open_chain
from tests.support.api_client import LiveServer, build_silent_app, serve_app
from tests.support.fake_provider import FakeProvider
from tests.support.runtimes import with_changes

QUERY = '{ movie(by: {id: "movie_1"}) { title streamingSources { origin sources { url } } } }'
PATIENCE_SECONDS = 20.0  # longer than any test waits: nothing here ends by itself


@pytest.fixture
async def server(runtime: Runtime, provider_server: FakeProvider) -> AsyncIterator[LiveServer]:
    """One whose only provider keeps it waiting."""
    async with serve(runtime, provider_server.url("hang")) as server:
        yield server


@asynccontextmanager
async def serve(runtime: Runtime, provider_url: str) -> AsyncIterator[LiveServer]:
    """A server with one film and one provider."""
    film = models.Movie(id="movie_1", title="Nosferatu", sort_title="nosferatu", tmdb_id=653)
    await models.upsert(models.Movie, [film])
    entry = {"key": "p", "kind": "json", "name": "P", "base_url": provider_url}
    settings = runtime.settings.model_copy(
        update={
            "providers": SecretStr(json.dumps([entry])),
            "provider_timeout_seconds": PATIENCE_SECONDS,
            "provider_deadline_seconds": PATIENCE_SECONDS,
        }
    )
    async with http_client.connect(PATIENCE_SECONDS) as outside:
        own = with_changes(
            runtime, settings=settings, sources={"providers": open_chain(settings, outside)}
        )
        async with serve_app(build_silent_app(own), settings) as it:
            yield it


async def asking(server: LiveServer, provider_server: FakeProvider) -> asyncio.StreamWriter:
    """A connection whose request has reached the provider."""
    return (await connected(server, provider_server))[1]


async def connected(
    server: LiveServer, provider_server: FakeProvider
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Both sides of such a connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps({"query": QUERY}).encode()
    head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    async with asyncio.timeout(5):
        while not provider_server.seen:
            await asyncio.sleep(0.005)
    return reader, writer


async def test_the_provider_is_let_go_when_the_client_is_gone(
    server: LiveServer, provider_server: FakeProvider
) -> None:
    # given a request that waits for the provider
    writer = await asking(server, provider_server)
    assert not provider_server.client_disconnected.is_set()
    # when its client closes the connection
    writer.close()
    # then the provider's is closed as well, long before its deadline
    async with asyncio.timeout(3):
        await provider_server.client_disconnected.wait()
    # and the next request asks anew and is fine
    provider_server.hangs = False
    async with server.client() as client:
        response = await client.post("/graphql", json={"query": QUERY})
    sources = response.json()["data"]["movie"]["streamingSources"]
    assert (sources["origin"], len(sources["sources"])) == ("PRIMARY_PROVIDER", 2)
    assert len(provider_server.seen) == 2


async def test_a_running_request_is_answered_before_the_process_ends(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    # given a request that waits for a slow provider
    async with serve(runtime, provider_server.url("slow")) as server:
        reader, writer = await connected(server, provider_server)
        # when the process is told to end
        ended = server.begin_stop()
        # then it answers first, and closes the connection
        async with asyncio.timeout(10):
            answer = await reader.read()
            await ended
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close" in head
        assert json.loads(body)["data"]["movie"]["title"] == "Nosferatu"
        writer.close()


async def test_a_question_of_two_clients_is_given_up_when_both_are_gone(
    server: LiveServer, provider_server: FakeProvider
) -> None:
    # given two requests that wait for the same question to the provider
    writer = await asking(server, provider_server)
    async with server.client() as client:
        staying = asyncio.create_task(client.post("/graphql", json={"query": QUERY}))
        await asyncio.sleep(0.1)
        # when the first one's client goes away
        writer.close()
        await asyncio.sleep(0.2)
        # then nothing is given up for the second one
        assert not provider_server.client_disconnected.is_set()
        assert (len(provider_server.seen), staying.done()) == (1, False)
        staying.cancel()
    async with asyncio.timeout(3):
        await provider_server.client_disconnected.wait()


@pytest.mark.parametrize(
    ("query", "is_slow"),
    [
        ("{ __typename }", False),
        ("{ movies { nodes { title credits { person { name } } } } }", False),
        ("{ movie(by: {id: 1}) { streamingSources { origin } } }", True),
        ("{ movies(first: 2) { nodes { ...F } } } fragment F on Playable { ...G } "
         "fragment G on Movie { a: streamingSources { links } }", True),
        ("{ nodes(ids: [1]) { ... on Playable { streamingSources { links } } } }", True),
    ],
)  # fmt: skip
def test_only_operations_that_ask_outside_are_watched(
    runtime: Runtime, query: str, is_slow: bool
) -> None:
    documents = open_documents(runtime.settings)
    assert documents.get(query).operation(None).cost.is_slow is is_slow
