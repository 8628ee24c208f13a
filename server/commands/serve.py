"""`python -m server serve`: the API, in this process or in several that a supervisor watches."""

from __future__ import annotations

import os
import signal
import socket
from typing import Annotated

import typer

from resolvers.opening import open_runtime
from resolvers.ops.health_and_metrics import SERVICES
from resolvers.ops.store_findings import warn_about_stores
from server import serving
from server.app import build_app
from server.commands.options import load_settings
from server.commands.stores import list_stores
from server.listeners import adopt_listener, open_listeners, open_place_listeners
from server.processes.count import count_processes, parse_processes
from server.processes.link import open_link
from server.processes.supervisor import Supervisor
from server.signals import STOP_SECONDS, stop_on_signals
from services.errors import StartupError
from services.redis import eviction
from services.settings.settings import Settings
from services.telemetry.log_queue import set_process
from services.telemetry.logs import get_logger
from services.telemetry.shared_values import share_values
from services.version import VERSION

log = get_logger("server")
app = typer.Typer()


async def serve(settings: Settings) -> None:
    """Run the API in this process until it is stopped."""
    listeners = open_listeners(settings)
    stop = stop_on_signals(settings.drain_delay_seconds + STOP_SECONDS)
    async with (
        open_runtime(settings, may_start_degraded=True) as runtime,
        eviction.watch_eviction_policy(runtime.state_redis),
        warn_about_stores(runtime),
    ):
        app = build_app(runtime)
        facts = {"address": listeners.address, "subjects": SERVICES, **describe_process(settings)}
        await listeners.serve(app, stop, started=lambda: log.info("server_started", **facts))


async def supervise(settings: Settings, number: int) -> int:
    """Run the API in so many processes until it is stopped; return the exit status.

    Raises:
        StartupError: as `open_listeners`, or this system has no such processes.
    """
    if not hasattr(signal, "SIGHUP"):
        raise StartupError("PROCESSES needs a Unix: leave it empty here.")
    listening, metrics_socket = open_place_listeners(settings, number)
    facts = {"address": serving.format_address(listening[0]), **describe_process(settings)}
    return await Supervisor(settings, listening, metrics_socket, facts).run()


async def serve_place(
    settings: Settings, place: int, listening: list[socket.socket], channel: socket.socket
) -> None:
    """Run the API as one of several processes, until its supervisor or a signal ends it."""
    listeners = adopt_listener(settings, listening[place - 1])
    spares = {at: each for at, each in enumerate(listening, 1) if at != place}
    stop = stop_on_signals(settings.drain_delay_seconds + STOP_SECONDS, is_supervised=True)
    async with (
        open_link(channel, spares, stop) as link,
        open_runtime(settings, may_start_degraded=True) as runtime,
        eviction.watch_eviction_policy(runtime.state_redis),
        warn_about_stores(runtime),
    ):
        app = build_app(runtime, read_metrics=link.read_metrics)

        def start() -> None:
            log.info("process_ready", pid=os.getpid())
            link.record_ready(app.state)

        await listeners.serve(app, stop, start, link.control)


def describe_process(settings: Settings) -> dict[str, object]:
    """What a process says of itself as it starts."""
    environment = settings.environment.value
    return {"version": VERSION, "environment": environment, **list_stores(settings)}


def _read_processes(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_processes(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command("serve")
def serve_command(
    processes: Annotated[
        str | None,
        typer.Option(
            help="How many processes a supervisor starts; 0 or auto: one for each core. Else "
            "PROCESSES; where that is empty, this process serves by itself.",
        ),
    ] = None,
) -> None:
    """The API."""
    number = _read_processes(processes)
    settings = load_settings()
    number = settings.processes if number is None else number
    if number is None:
        serving.run(serve(settings))
        return
    status = serving.run(supervise(settings, count_processes(number)))
    if status:
        raise typer.Exit(status)


@app.command("serve-place", hidden=True)
def serve_place_command(
    place: Annotated[int, typer.Option()],
    listening: Annotated[str, typer.Option(help="Descriptors of the sockets of all places.")],
    channel: Annotated[int, typer.Option(help="Descriptor of the socket to the supervisor.")],
    table: Annotated[int, typer.Option(help="Descriptor of the file for metrics.")],
) -> None:
    """One process of `serve --processes`, which starts it."""
    set_process(place)
    share_values(table)
    os.close(table)
    sockets = [socket.socket(fileno=int(number)) for number in listening.split(",")]
    serving.run(serve_place(load_settings(), place, sockets, socket.socket(fileno=channel)))
