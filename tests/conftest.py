"""Real servers for the whole suite: one mongod for all workers, one redis-server for each.

Every xdist worker has a database of its own, emptied (not re-created) before each test.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from pymongo.monitoring import CommandListener
from starlette.applications import Starlette

import models
from models.mongo.replica_set import ensure_initiated
from resolvers.catalog.imports import demo
from resolvers.context import Context, Runtime
from resolvers.opening import open_runtime
from resolvers.ops.health_and_metrics import HEALTH_KEY
from server.app import build_app
from services.embedded import servers
from services.redis.pool import Client
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from tests.support import log_watch
from tests.support.api_client import GraphQL, LiveServer, Socket, connect_app, serve_app
from tests.support.forks import end_forks, end_with_parent
from tests.support.scheduling import Scheduling, depends_on_executor
from tests.support.snapshots import Snapshot

EmptyStores = Callable[..., Awaitable[Runtime]]

pytest_plugins = ["tests.support.fixtures"]
# Whole files go to xdist's workers: whichever of these came last would be waited for.
_LONGEST = (
    "tests/chaos/test_kills.py",
    "tests/graph/engine/test_executors_agree.py",
    "tests/browser/",
    "tests/server/commands/",
    "tests/chaos/",
    "tests/resolvers/catalog/test_invalidation.py",
    "tests/services/playback/test_model.py",
    "tests/walks/",
    "tests/workers/",
)


def pytest_configure(config: pytest.Config) -> None:
    """The controller (or a run without xdist) starts MongoDB; workers are told where it is."""
    config.pluginmanager.register(log_watch, "log_watch")
    # plain tracebacks: structlog's own, with everybody's locals, take seconds to draw
    structlog.configure(processors=[structlog.processors.format_exc_info, log_watch.render_line])
    if hasattr(config, "workerinput"):
        end_with_parent()  # and with it what its tests started
        return
    folder = Path(tempfile.mkdtemp(prefix="marquee-tests-"))
    server = servers.start_mongod(folder / "mongo", binary=servers.find_mongod(None))
    asyncio.run(ensure_initiated(server.uri))
    config.marquee_mongod, config.marquee_folder = server, folder  # type: ignore[attr-defined]


def pytest_configure_node(node: Any) -> None:
    node.workerinput["mongodb_uri"] = node.config.marquee_mongod.uri


def pytest_unconfigure(config: pytest.Config) -> None:
    end_forks()
    server = getattr(config, "marquee_mongod", None)
    if server is not None:
        server.stop()
        shutil.rmtree(config.marquee_folder, ignore_errors=True)  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.nodeid))
    if os.environ.get("GRAPHQL_EXECUTOR") == "core":
        repeated = [item for item in items if not depends_on_executor(item)]
        items[:] = [item for item in items if depends_on_executor(item)]
        config.hook.pytest_deselected(items=repeated)


def _rank(nodeid: str) -> int:
    matches = (rank for rank, path in enumerate(_LONGEST) if nodeid.startswith(path))
    return next(matches, len(_LONGEST))


@pytest.fixture(scope="session")
def worker_name(request: pytest.FixtureRequest) -> str:
    return getattr(request.config, "workerinput", {}).get("workerid", "main")


@pytest.fixture(scope="session")
def mongodb_uri(request: pytest.FixtureRequest) -> str:
    uri = getattr(request.config, "workerinput", {}).get("mongodb_uri")
    return uri or request.config.marquee_mongod.uri  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """This worker's own Redis, so that commands can be counted and nobody else is flushed."""
    folder = tmp_path_factory.mktemp("redis")
    server = servers.start_redis(folder, binary=servers.find_redis_server(None), persist=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def settings(
    mongodb_uri: str,
    redis_server: servers.Server,
    worker_name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    return Settings(
        _env_file=None,
        mongodb_uri=mongodb_uri,
        mongodb_database=f"marquee_test_{worker_name}",
        mongodb_min_pool_size=0,
        mongodb_timeout_ms=20_000,  # as with Redis
        mongodb_write_timeout_ms=20_000,
        redis_url=redis_server.uri,
        redis_timeout_ms=2000,  # a busy machine is no outage
        playback_streams_free=100,  # most tests start many sessions and are about something else
        rate_limit_mode="off",  # as they are about something else
        throttles=False,
        abuse_mode="off",
        data_dir=tmp_path_factory.mktemp("data"),
    )


class CountedCommands(CommandListener):
    """MongoDB commands as "collection.command", in order, without the driver's own; and what each
    find reads of a document (None: all of it)."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.projections: list[tuple[str, set[str] | None]] = []
        self.writes = 0  # never cleared

    def clear(self) -> None:
        self.seen.clear()
        self.projections.clear()

    def started(self, event: Any) -> None:
        target = event.command.get(event.command_name)
        self.writes += event.command_name not in _READS
        if event.command_name in _DRIVER_COMMANDS:
            return
        if event.command_name == "getMore":
            target = event.command["collection"]
        if f"{target}.{event.command_name}" in _BESIDE_IN_MONGODB:
            return
        self.seen.append(f"{target}.{event.command_name}")
        if event.command_name == "find":
            fields = event.command.get("projection")
            self.projections.append((target, None if fields is None else set(fields)))

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


# Asked while Redis does not answer, if only for a moment; and now and then.
_BESIDE_IN_MONGODB = {"revocations.find", "document_releases.find"}
_DRIVER_COMMANDS = {"hello", "ping", "endSessions", "killCursors", "isMaster", "buildInfo"}
_READS = {"find", "getMore", "aggregate", "count", "distinct", "explain"} | _DRIVER_COMMANDS


@pytest.fixture(scope="session")
def commands() -> CountedCommands:
    return CountedCommands()


@pytest.fixture(scope="session")
async def _runtime(settings: Settings, commands: CountedCommands) -> AsyncIterator[Runtime]:
    async with open_runtime(settings, [commands]) as runtime:
        await models.apply_indexes()
        yield runtime


async def _flush(runtime: Runtime) -> None:
    """Redis emptied, and its word of that received: else it would come in the midst of the test."""
    changes = runtime.cache.changes
    await runtime.redis.flushdb()
    async with asyncio.timeout(2):
        while runtime.cache.trusts_memory and runtime.cache.changes == changes:
            await asyncio.sleep(0.001)
    runtime.cache.clear_memory()


async def _empty_collections() -> None:
    """Delete what the test before left; one read finds which collections have anything."""
    first, *others = [document.get_pymongo_collection() for document in models.DOCUMENTS]
    unions = [{"$unionWith": {"coll": one.name, "pipeline": _name_if_any(one)}} for one in others]
    filled = await first.aggregate([*_name_if_any(first), *unions])
    async for row in filled:
        await first.database[row["collection"]].delete_many({})


def _name_if_any(collection: Any) -> list[dict[str, Any]]:
    return [
        {"$limit": 1},
        {"$project": {"_id": 0, "collection": {"$literal": collection.name}}},
    ]


@pytest.fixture(scope="session")
def empty_stores(_runtime: Runtime, commands: CountedCommands) -> EmptyStores:
    """Empties the worker's stores, as often as they are wanted empty."""

    async def empty(*, keeps_documents: bool = False) -> Runtime:
        if not keeps_documents:
            await _empty_collections()
        await _flush(_runtime)
        _runtime.accounts.revocations.clear()
        _runtime.ops.health_cache.forget(HEALTH_KEY)
        _runtime.ops.documents.clear()
        commands.clear()
        return _runtime

    return empty


@pytest.fixture
async def runtime(
    request: pytest.FixtureRequest,
    empty_stores: EmptyStores,
    commands: CountedCommands,
    demo_snapshot: Snapshot,
) -> Runtime:
    """The worker's runtime on empty stores, but for a demo catalogue that this test is to have."""
    wants_demo = "demo_catalog" in request.fixturenames
    keeps_demo = wants_demo and demo_snapshot.is_stored(commands.writes)
    return await empty_stores(keeps_documents=keeps_demo)


@pytest.fixture
def redis(runtime: Runtime) -> Client:
    return runtime.redis


@pytest.fixture
def context(runtime: Runtime) -> Context:
    return Context(runtime)


class CountCommands:
    """`mongo` and `redis` are how many commands ran since the last `reset`."""

    def __init__(self, commands: CountedCommands, redis: Client) -> None:
        self._commands = commands
        self._redis = redis
        self._redis_before: dict[str, int] = {}

    async def reset(self) -> None:
        self._commands.clear()
        self._redis_before = await self._redis_calls()

    @property
    def mongo(self) -> list[str]:
        return list(self._commands.seen)

    @property
    def projections(self) -> list[tuple[str, set[str] | None]]:
        """Of each find: the collection, and the stored fields it reads."""
        return list(self._commands.projections)

    async def redis_commands(self) -> dict[str, int]:
        """Calls by command name, without what the process does beside at times of its own."""
        before, now = self._redis_before, await self._redis_calls()
        changed = {name: calls - before.get(name, 0) for name, calls in now.items()}
        return {name: calls for name, calls in changed.items() if calls and name not in _BESIDE}

    async def _redis_calls(self) -> dict[str, int]:
        stats = await self._redis.info("commandstats")
        return {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in stats.items()}


# Counting itself; hubs that read on, tracking that asks whether it is still heard, new connections.
_BESIDE = {
    "info",
    "xread",
    "xrange",
    "xrevrange",
    "ping",
    "subscribe",
    "psubscribe",
    "unsubscribe",
    "config",
    "client",
    "select",
    "hello",
}


@pytest.fixture
async def count_commands(commands: CountedCommands, redis: Client) -> CountCommands:
    counter = CountCommands(commands, redis)
    await counter.reset()
    return counter


@pytest.fixture
def app(runtime: Runtime) -> Starlette:
    return build_app(runtime, access_log=AccessLog(log_watch.stream()))


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application without a network; a fault of ours fails the test."""
    async with connect_app(app) as client:
        yield client


@pytest.fixture
def graphql(client: httpx.AsyncClient) -> GraphQL:
    return GraphQL(client)


@pytest.fixture
async def live_server(app: Starlette, settings: Settings) -> AsyncIterator[LiveServer]:
    async with serve_app(app, settings) as server:
        yield server


@pytest.fixture
async def socket(live_server: LiveServer) -> AsyncIterator[Socket]:
    """A client that is connected and has said nothing yet."""
    async with live_server.socket() as socket:
        yield socket


@pytest.fixture(scope="session")
def demo_snapshot() -> Snapshot:
    """The demo catalogue as it is stored, once a test of this worker has loaded it."""
    return Snapshot()


@pytest.fixture
async def demo_catalog(
    runtime: Runtime, commands: CountedCommands, demo_snapshot: Snapshot
) -> None:
    """The demo catalogue, in MongoDB alone."""
    if not demo_snapshot:
        await demo.load(runtime)
        await demo_snapshot.take()
        await _flush(runtime)
    elif not demo_snapshot.is_stored(commands.writes):
        await demo_snapshot.restore()
    demo_snapshot.writes = commands.writes
    commands.clear()
