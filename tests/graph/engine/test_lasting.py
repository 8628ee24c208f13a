"""What was built of a film in process memory is used again, and never for another film."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from graph.engine.execution import execute
from graph.engine.operations import Operations, Prepared, Request
from graph.schema import open_documents
from resolvers.context import Context, Runtime
from services.cache.cache import Cache
from tests.support.titles import film, genre, store

FILMS = """query ($first: Int!) { movies(first: $first) { nodes {
  title poster { url(width: 342) } genres { name } } } }"""
WIDTHS = "query ($width: Int!) { movies(first: 9) { nodes { poster { url(width: $width) } } } }"


@pytest.fixture
async def context(runtime: Runtime) -> Context:
    """A context whose cache is process memory alone, and three films."""
    await store([genre("drama")])
    await store([film(n, genre_ids=["genre_drama"], poster_path=f"/p/{n}.jpg") for n in range(3)])
    return Context(replace(runtime, cache=Cache(runtime.redis, tiers="memory")))


@pytest.fixture
def operations(runtime: Runtime) -> Operations:
    return Operations(open_documents(runtime.settings), by_plan=True, deadline_seconds=20)


async def run(
    operations: Operations, context: Context, query: str, **variables: Any
) -> tuple[Any, int]:
    """The answer's films and what they cost, by an operation of its own."""
    prepared = operations.prepare(Request(query, variables), context)
    assert isinstance(prepared, Prepared) and prepared.plan is not None
    outcome = await execute(prepared.plan, context.for_event(), prepared.variables)
    assert outcome.errors == () and outcome.data is not None
    return outcome.data["movies"]["nodes"], outcome.cost


def count_built(context: Context) -> int:
    assert context.cache.derived is not None
    return sum(map(len, context.cache.derived.by_value.values()))


async def test_an_answer_from_what_was_built_is_the_same(
    operations: Operations, context: Context
) -> None:
    answers = [await run(operations, context, FILMS, first=9) for _ in range(3)]
    assert count_built(context) == 3
    assert answers[0] == answers[1] == answers[2]
    films, cost = answers[0]
    assert [one["poster"]["url"] for one in films] == [f"/p/{n}.jpg?w=342" for n in (2, 1, 0)]
    assert all(one["genres"] == [{"name": "Drama"}] for one in films)
    # and what relations placed in one answer is not in another
    (one,), _ = await run(operations, context, FILMS, first=1)
    one["genres"].clear()
    again, same_cost = await run(operations, context, FILMS, first=9)
    assert (again, same_cost) == (films, cost)


async def test_a_changed_film_is_built_anew(operations: Operations, context: Context) -> None:
    before, _ = await run(operations, context, FILMS, first=9)
    # when a film changes, and caches are told
    changed = film(1, genre_ids=["genre_drama"], poster_path="/p/new.jpg", title="Another")
    await changed.replace()
    await context.cache.invalidate(["movie:movie_00001"])
    after, _ = await run(operations, context, FILMS, first=9)
    differing = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    ((_, new),) = differing
    assert (new["title"], new["poster"]["url"]) == ("Another", "/p/new.jpg?w=342")


async def test_what_depends_on_variables_is_built_each_time(
    operations: Operations, context: Context
) -> None:
    for width in (185, 342, 185):
        films, _ = await run(operations, context, WIDTHS, width=width)
        assert all(one["poster"]["url"].endswith(f"?w={width}") for one in films)
    assert count_built(context) == 0


async def test_a_failure_is_not_used_again(operations: Operations, context: Context) -> None:
    query = "{ movies(first: 9) { nodes { title poster { url(quality: 900) } } } }"
    prepared = operations.prepare(Request(query, {}), context)
    assert isinstance(prepared, Prepared) and prepared.plan is not None
    for _ in range(2):
        outcome = await execute(prepared.plan, context.for_event(), prepared.variables)
        assert [error.path for error in outcome.errors] == [
            ["movies", "nodes", n, "poster", "url"] for n in range(3)
        ]
    assert count_built(context) == 0
