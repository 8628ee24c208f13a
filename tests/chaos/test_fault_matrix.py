"""Each fault of a store against all that viewers do: what docs/operations.md promises.

A part of the faults; all of them with `FAULT_MATRIX=whole` (CONTRIBUTING.md).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos import fault_matrix
from tests.chaos.fault_matrix import ALLOWED, DEADLINES, FAULTS, GONE, WALKS, Bench, Outcome
from tests.chaos.stores import PASSWORD, USER, Stores
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, until
from tests.support.relay import start_relay

CHOSEN = list(FAULTS) if os.environ.get("FAULT_MATRIX") == "whole" else fault_matrix.SHORT
AGAIN_SECONDS = 5.0
_DURABLE_SECONDS = 15.0  # a worker may have to find its stores again, too


@pytest.fixture(scope="module")
async def bench(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """Two API processes and a worker behind relays to both stores, and somebody who watches."""
    folder, port, other_port = tmp_path_factory.mktemp("matrix"), free_port(), free_port()
    await stores.require_users()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(start_relay(stores.redis.uri))
        mongo = await stack.enter_async_context(start_relay(stores.mongod.uri))
        environment = {
            **stores.environment,
            "MONGODB_URI": f"mongodb://{USER}:{PASSWORD}@127.0.0.1:{mongo.port}/?directConnection=true&authSource=admin",
            "REDIS_URL": redis.uri,
            "PORT": str(port),
            "DATA_DIR": str(folder),
            "PLAYBACK_STREAMS_FREE": "100",
        }
        stack.push_async_callback(asyncio.sleep, 0.5)  # the relays' ends, once the processes ended
        stack.enter_context(Process(folder / "api", "serve", environment=environment))
        other_environment = {**environment, "PORT": str(other_port)}
        stack.enter_context(Process(folder / "other", "serve", environment=other_environment))
        stack.enter_context(Process(folder / "worker", "worker", environment=environment))
        served = await stack.enter_async_context(Served(port))
        other = await stack.enter_async_context(Served(other_port))
        bench = Bench(served, other, stores, redis, mongo)
        await bench.create_admin()
        await _register(bench, folder, environment)
        yield bench


async def _register(bench: Bench, folder: Path, environment: dict[str, str]) -> None:
    registered = await bench.send(
        """mutation ($input: RegisterInput!) { register(input: $input) { errors { code } } }""",
        input={**fault_matrix.CREDENTIALS, "displayName": "Ada"},
    )
    assert registered.is_taken, registered
    arguments = ("account", "role", fault_matrix.CREDENTIALS["email"], "OPERATOR")
    with Process(folder / "role", *arguments, environment=environment) as role:
        assert await role.ended() == 0, role.output


@pytest.mark.parametrize("name", CHOSEN)
async def test_a_fault_of_a_store_does_what_is_promised(bench: Bench, name: str) -> None:
    # given a viewer, and what Redis held before anything of this was watched
    await fault_matrix.take_snapshot(bench)
    await fault_matrix.prepare(bench)
    fault = FAULTS[name]
    # when the fault lasts while all goes on
    await fault.begin(bench)
    try:
        outcomes = await fault_matrix.endure(bench, fault_matrix.FAULT_SECONDS)
    finally:
        await fault.end(bench)
    # then each was answered in time: taken, or refused with a code that says to come again
    wrong = [
        (walk, outcome)
        for walk, outcome in outcomes
        if outcome.status not in (200, 503)
        or not outcome.codes <= ALLOWED
        or outcome.payload_codes  # an outage is told as the field's error
        or outcome.seconds > DEADLINES[walk]
    ]
    assert not wrong
    # and all works again by itself, soon
    for walk in WALKS:
        await until(lambda walk=walk: _is_taken(bench, walk), AGAIN_SECONDS)  # type: ignore[misc]
    # and nothing that was acknowledged is lost or moved back
    await until(lambda: _is_durable(bench), _DURABLE_SECONDS)
    # and who signed out is signed out in both processes
    assert (await bench.send(fault_matrix.WHO, bench.leaving)).codes == GONE
    await until(lambda: _is_gone_elsewhere(bench), AGAIN_SECONDS)


async def _is_taken(bench: Bench, walk: str) -> bool:
    return (await WALKS[walk](bench)).is_taken


async def _is_gone_elsewhere(bench: Bench) -> bool:
    _, body = await bench.other.graphql(fault_matrix.WHO, {}, bench.leaving)
    return Outcome(200, body, 0.0).codes == GONE


async def _is_durable(bench: Bench) -> bool:
    """Whether the positions are as acknowledged, and in MongoDB."""
    answer = await bench.send(fault_matrix.PLACES, bench.token, ids=list(bench.positions))
    if not answer.is_taken:
        return False
    places = {film["id"]: film["progress"] for film in answer.body["data"]["nodes"]}
    read = {id_: progress["positionSeconds"] for id_, progress in places.items()}
    assert {id_: read[id_] >= at - 1e-6 for id_, at in bench.positions.items()} == dict.fromkeys(
        bench.positions, True
    ), (read, bench.positions)
    await asyncio.sleep(0.2)
    return all(progress["durable"] for progress in places.values())
