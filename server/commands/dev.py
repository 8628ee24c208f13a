"""`make dev`: everything on one machine, with nothing but Python installed.

Starts a private mongod and redis-server under DATA_DIR unless MONGODB_URI or REDIS_URL name others,
fills an empty database with the demo catalogue, and runs the API and the workers in this process.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack, suppress

import typer

import models
import workers
from models.mongo.replica_set import ensure_initiated
from resolvers.catalog.imports import demo, demo_media, demo_users
from resolvers.context import Context, Runtime
from resolvers.opening import open_runtime
from resolvers.ops.store_findings import warn_about_stores
from server import serving
from server.app import build_app
from server.commands.options import load_settings
from server.commands.report_text import format_report
from server.commands.stores import list_stores
from server.listeners import open_listeners
from server.signals import stop_on_signals
from services.embedded import servers as embedded
from services.errors import StartupError
from services.redis import eviction
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog

app = typer.Typer()

_DEMO_USERS = ("viewer", "premium", "editor", "operator")


async def run(settings: Settings) -> None:
    """Run everything until Ctrl-C, then stop it in reverse order.

    Raises:
        StartupError: a port is in use, a binary is missing, or DATA_DIR cannot be used.
    """
    listeners = open_listeners(settings)
    port = listeners.public.getsockname()[1]
    settings = settings.model_copy(update={"port": port})
    stop = stop_on_signals()
    with ExitStack() as servers:
        settings = await _start_databases(settings, servers)
        async with (
            open_runtime(settings) as runtime,
            eviction.watch_eviction_policy(runtime.state_redis),
        ):
            await _fill_if_empty(runtime)
            stop_workers = asyncio.Event()
            names = workers.names_for("worker")
            working = asyncio.create_task(workers.run_workers(runtime, names, stop_workers))
            clip = asyncio.create_task(_make_clip(settings))
            app = build_app(runtime, access_log=AccessLog(enabled=settings.log_level == "debug"))
            async with warn_about_stores(runtime):  # its indexes are built by now
                welcome = _format_welcome(settings)
                await listeners.serve(app, stop, started=lambda: _print_line(welcome))
            _print_line("Stopping ...")
            stop_workers.set()
            await working
            clip.cancel()
            with suppress(asyncio.CancelledError):
                await clip


async def _start_databases(settings: Settings, servers: ExitStack) -> Settings:
    """Start the missing databases; return the settings with their addresses.

    Blocks while they start: they end with the thread that starts them, so it must be this one.
    """
    addresses: dict[str, str] = {}
    if not settings.mongodb_uri:
        binary = embedded.find_mongod(settings.mongod_binary)
        mongod = servers.enter_context(
            embedded.start_mongod(settings.data_dir / "mongo", binary=binary)
        )
        await ensure_initiated(mongod.uri)
        addresses["mongodb_uri"] = mongod.uri
    if not settings.redis_address():
        binary = embedded.find_redis_server(settings.redis_server_binary)
        redis = servers.enter_context(
            embedded.start_redis(settings.data_dir / "redis", binary=binary)
        )
        addresses["redis_url"] = redis.uri
    return settings.model_copy(update=addresses)


async def _fill_if_empty(runtime: Runtime) -> None:
    await models.apply_indexes()
    if await demo.is_empty(runtime):
        report = await demo.load(runtime, lambda _what, _done, _total: None)
        _print_line(format_report(report))
    await demo_users.ensure_demo_users(Context(runtime))


async def _make_clip(settings: Settings) -> None:
    """Make the demo clip while the API serves; without ffmpeg everything but playing works."""
    try:
        if settings.demo_clip and await demo_media.make_if_missing(settings):
            _print_line("The demo films' clip is made: they play now.")
    except StartupError as error:
        _print_line(f"The demo films do not play: {error}")


def _format_welcome(settings: Settings) -> str:
    address = settings.public_address
    users = ", ".join(f"{name}@marquee.test" for name in _DEMO_USERS)
    stores = list_stores(settings)
    return "\n".join(
        [
            "",
            "Marquee is running.",
            f"  GraphQL    {address}/graphql   (WebSocket: the same address, graphql-transport-ws)",
            f"  Health     {address}/ready",
            f"  Metrics    {_format_metrics_address(settings)}",
            f"  Sign-ins   {users}",
            f"             password {demo_users.DEMO_PASSWORD}",
            f"  MongoDB    {stores['mongodb']}",
            f"  Redis      {stores['redis']}",
            f"  Data       {settings.data_dir.resolve()}",
            "  Other commands find both stores by DATA_DIR: `python -m server account list`, ...",
            "  Stop with Ctrl-C.",
        ]
    )


def _format_metrics_address(settings: Settings) -> str:
    if settings.metrics_port is None:
        return f"{settings.public_address}/metrics"
    return f"http://{settings.host}:{settings.metrics_port}/metrics"


def _print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@app.command("dev")
def dev_command() -> None:
    """Everything on this machine: private databases, demo catalogue, API and workers."""
    serving.run(run(load_settings(uses_private_stores=False)))
