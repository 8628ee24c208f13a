"""What a web client sends costs the same number of commands at every size of page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from resolvers.context import Runtime
from tests.conftest import CountCommands, CountedCommands
from tests.support import library
from tests.support.api_client import build_silent_app
from tests.support.operation_files import Client, Operation, operations

_SIZES = (1, 10, 50)
# Redis counts what scripts call inside, too, and each command of a pipeline: those may grow with
# a page, being one round trip.
_INSIDE_SCRIPTS = {"exists", "get", "set", "del", "pexpire", "publish"}
_IN_PIPELINES = {"hmget", "hset", "expire", "hlen", "set"}
_NO_ROUND_TRIPS = _INSIDE_SCRIPTS | _IN_PIPELINES


_OF_SEVERAL_KINDS = {"search"}
_FINDS_OF_HITS = ("movies.find", "shows.find", "people.find")


@pytest.fixture(scope="module")
async def client(_runtime: Runtime) -> AsyncIterator[Client]:
    await library.fill(_runtime, movies=200, people=30)
    yield Client(_runtime, build_silent_app(_runtime))


@pytest.fixture(scope="module")
def counted(_runtime: Runtime, commands: CountedCommands) -> CountCommands:
    return CountCommands(commands, _runtime.redis)


def test_there_are_operations_for_most_of_the_contract() -> None:
    assert len(operations()) >= 25


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
async def test_a_page_of_any_size_costs_the_same(
    operation: Operation, client: Client, counted: CountCommands, _runtime: Runtime
) -> None:
    await client(operation, operation.sized(1))  # which loads scripts that are not there yet
    costs, lengths = [], []
    for size in _SIZES:
        # given cold caches
        await _runtime.redis.flushdb()
        _runtime.cache.clear_memory()
        await counted.reset()
        # when the operation asks for so many
        data = await client(operation, operation.sized(size))
        lengths.append(len(json.dumps(data)))
        redis = await counted.redis_commands()
        trips = {name: calls for name, calls in redis.items() if name not in _NO_ROUND_TRIPS}
        mongo = Counter(counted.mongo)
        if operation.name in _OF_SEVERAL_KINDS:  # a short page need not hold every kind
            by_kind = {name: mongo.pop(name, 0) for name in _FINDS_OF_HITS}
            assert max(by_kind.values()) <= 1, by_kind
            kinds = sum(by_kind.values())  # each is one MGET, a lease and a fill in Redis
            trips = {"mget": trips["mget"] - kinds, "evalsha": trips["evalsha"] - 2 * kinds}
        costs.append((mongo, trips))
    # then each size takes the same commands, and not many
    assert costs[1:] == costs[:-1]
    assert sum(costs[0][0].values()) <= 12
    # and more was really asked for
    assert not operation.is_sized or lengths[0] < lengths[1] <= lengths[2]
