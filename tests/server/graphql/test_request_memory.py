"""Requests that are known by their bytes: remembered with care, and answered as others are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson
import pytest

import models
from graph.engine.operations import Request
from resolvers.context import Runtime
from server.graphql.request_memory import RequestMemory
from server.graphql.requests import read_request
from tests.support.api_client import HttpDoor, connect_runtime

KEY = ("digest", None, b"")
QUERY = "query Q($n: Int) { movies(first: $n) { nodes { title } } }"


def scope_of(method: str, query_string: bytes = b"") -> dict[str, Any]:
    return {"method": method, "path": "/graphql", "query_string": query_string}


def test_bytes_of_a_body_are_not_those_of_an_address() -> None:
    memory, request = RequestMemory(), Request("{ a }", {}, answer_key=KEY)
    memory.remember(scope_of("GET", b"query={a}"), b"", request)
    assert memory.find(scope_of("GET", b"query={a}"), b"") is request
    assert memory.find(scope_of("POST"), b"query={a}") is None
    assert memory.find(scope_of("GET", b"query={a}&"), b"") is None


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        (Request("{ a }", {}), 10),  # was never answered from the cache
        (Request("{ a }", {"ids": ["1"]}, answer_key=KEY), 10),  # a list that others could change
        (Request("{ a }", {"filter": {}}, answer_key=KEY), 10),
        (Request("{ a }", {}, answer_key=KEY), 20_000),
    ],
)
def test_what_should_not_be_remembered_is_read_anew(request_: Request, size: int) -> None:
    memory = RequestMemory()
    memory.remember(scope_of("POST"), b" " * size, request_)
    assert memory.find(scope_of("POST"), b" " * size) is None


def build_long_text(number: int) -> bytes:
    """A body whose text takes four bytes a letter, for the sake of one."""
    return orjson.dumps({"query": f"{{ a }} # {number} \U0001f3ac" + "a" * 15_000})


def build_many_variables(number: int) -> bytes:
    variables = {f"{number}_{n}": n for n in range(900)}
    return orjson.dumps({"query": "{ a }", "variables": variables})


@pytest.mark.parametrize("build_body", [build_long_text, build_many_variables])
def test_no_request_takes_more_memory_than_is_counted(build_body: Callable[[int], bytes]) -> None:
    memory, scope = RequestMemory(), scope_of("POST")
    tracemalloc.start()
    try:
        # when more come than there is room for
        for number in range(250):
            body = bytes(bytearray(build_body(number)))  # as long as its buffer
            request = read_request(scope, body)
            request.answer_key = KEY
            memory.remember(scope, body, request)
            assert memory.find(scope, body) is request
        # then the others are gone
        used_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used_bytes < 9 * 1024 * 1024  # the bound, and a little for who counts


@pytest.mark.parametrize("door", ["short", "asgi"])
async def test_the_same_bytes_see_what_has_changed(
    runtime: Runtime, door: str, request: pytest.FixtureRequest
) -> None:
    # given a request that was answered from the cache
    film = models.Movie(id="movie_1", title="Before", sort_title="before")
    await models.upsert(models.Movie, [film])
    HttpDoor.current = door
    request.addfinalizer(lambda: setattr(HttpDoor, "current", None))
    async with connect_runtime(runtime) as client:
        for _ in range(4):
            response = await client.post("/graphql", json={"query": QUERY, "variables": {"n": 3}})
        assert response.json()["data"]["movies"]["nodes"] == [{"title": "Before"}]
        # when the film changes
        film.title = "After"
        await models.upsert(models.Movie, [film])
        runtime.cache.clear_memory()
        await runtime.redis.flushdb()
        # then the same bytes are answered anew, and other variables as ever
        response = await client.post("/graphql", json={"query": QUERY, "variables": {"n": 3}})
        assert response.json()["data"]["movies"]["nodes"] == [{"title": "After"}]
        response = await client.post("/graphql", json={"query": QUERY, "variables": {"n": "x"}})
        assert response.json()["errors"]
