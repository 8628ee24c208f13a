"""Parts that fail, come too late, or are not wanted any more."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

from graphql import (
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    parse,
)

from graph.engine.documents import Operation
from graph.engine.incremental import Delivery, run_in_parts
from graph.engine.incremental_directives import add_directives
from resolvers.context import Context, Runtime
from services.limits.operation_gate import OperationGate

ASK = "{ fast ... @defer { slow } ... @defer { broken } }"


class World:
    """A schema whose slow field waits to be released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.was_cancelled = False
        fields = {
            "fast": GraphQLField(GraphQLString, resolve=lambda *_: "fast"),
            "slow": GraphQLField(GraphQLString, resolve=self._slow),
            "broken": GraphQLField(GraphQLNonNull(GraphQLString), resolve=self._broken),
        }
        self.schema = add_directives(GraphQLSchema(GraphQLObjectType("Query", fields)))

    async def _slow(self, *_: Any) -> str:
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return "slow"

    async def _broken(self, *_: Any) -> str:
        raise RuntimeError("a secret")

    async def start(
        self, context: Context, seconds: float = 5, gate: OperationGate | None = None
    ) -> Delivery:
        operation = cast(Operation, SimpleNamespace(incremental=parse(ASK), name=None))
        ends_at = asyncio.get_running_loop().time() + seconds
        delivery = await run_in_parts(self.schema, operation, {}, context, gate, ends_at)
        assert isinstance(delivery, Delivery)
        return delivery


def completed(parts: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Codes of the errors that each part was completed with."""
    return {
        one["id"]: [error["extensions"]["code"] for error in one.get("errors", [])]
        for part in parts
        for one in part.get("completed", [])
    }


async def test_the_first_part_waits_for_nothing_that_is_deferred(runtime: Runtime) -> None:
    world = World()
    delivery = await world.start(Context(runtime))
    assert delivery.first["data"] == {"fast": "fast"}
    world.release.set()
    parts = [part async for part in delivery.others]
    assert {"slow": "slow"} in [
        one["data"] for part in parts for one in part.get("incremental", [])
    ]
    assert parts[-1]["hasNext"] is False


async def test_a_part_that_fails_is_completed_with_a_masked_error(runtime: Runtime) -> None:
    world = World()
    delivery = await world.start(Context(runtime))
    world.release.set()
    parts = [part async for part in delivery.others]
    assert completed(parts) == {"0": [], "1": ["INTERNAL_SERVER_ERROR"]}
    assert "secret" not in str(parts)


async def test_a_part_beyond_the_deadline_is_completed_with_an_error(runtime: Runtime) -> None:
    world = World()
    delivery = await world.start(Context(runtime), seconds=0.3)
    parts = [part async for part in delivery.others]
    assert completed(parts) == {"0": ["TIMEOUT"], "1": ["INTERNAL_SERVER_ERROR"]}
    assert parts[-1]["hasNext"] is False


async def test_who_goes_away_has_nothing_made_any_more(runtime: Runtime) -> None:
    world = World()
    async with aclosing((await world.start(Context(runtime))).others) as others:
        await anext(others)
    assert world.was_cancelled


async def test_a_client_that_does_not_read_takes_no_place(runtime: Runtime) -> None:
    # given one place for operations, and a client that took the first of two parts
    gate = OperationGate(1, 1, 1.0)
    world = World()
    delivery = await world.start(Context(runtime), gate=gate)
    assert gate.running == 0
    assert (await anext(delivery.others))["hasNext"] is True
    assert gate.running == 1
    # when the other is made, and it takes no more
    world.release.set()
    await asyncio.sleep(0.1)
    # then the place is free again
    assert gate.running == 0
    assert [part["hasNext"] async for part in delivery.others] == [False]
