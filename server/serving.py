"""Uvicorn as we run it: bounded messages, a bounded shutdown, our own access log."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from math import ceil
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

try:
    from uvloop import new_event_loop as _new_loop
except ImportError:  # Windows
    from asyncio import new_event_loop as _new_loop  # type: ignore[assignment]

from server.graphql.transport import BoundedSocket
from server.http_protocol import ConnectionLimits
from server.short_http import build_protocols
from services.errors import StartupError
from services.settings.settings import Settings

T = TypeVar("T")
KEEP_ALIVE_SECONDS = 5  # how long a connection may wait for its next request
_LEAVE_SLACK_SECONDS = 0.5
LEAVE_SECONDS = KEEP_ALIVE_SECONDS + _LEAVE_SLACK_SECONDS
_LEAVE_STEP_SECONDS = 0.05
_SHUTDOWN_SECONDS = 7  # of the 10 that a process has: the rest is for what it has connected
_MAX_MESSAGE_BYTES = 64 * 1024
_SOCKET_PING_SECONDS = 20.0
_SOCKET_SILENCE_SECONDS = 30.0
_UNKNOWN_DESCRIPTORS = 2048
_MAX_DESCRIPTORS = 1_048_576
_RESERVED_DESCRIPTORS = 400


def bind(
    settings: Settings, port: int | None = None, name: str = "PORT", *, is_one_of_many: bool = False
) -> socket.socket:
    """Bind a listening socket of HOST, before anything else is started.

    Args:
        port: another than PORT, of the setting `name`.
        is_one_of_many: further sockets of the port share what connects, by its hash.

    Raises:
        StartupError: the port is in use, or HOST is not an address of this machine.
    """
    port = settings.port if port is None else port
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_one_of_many:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Head and body are two writes: with Nagle's algorithm the second waits 40 ms for the client.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listening.bind((settings.host, port))
    except OSError as error:
        listening.close()
        raise StartupError(
            f"Port {port} on {settings.host} cannot be used ({error.strerror}): "
            f"set {name} (or HOST) to another one."
        ) from error
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening


def format_address(listening: socket.socket) -> str:
    """Where a socket listens, as host and port."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind_places(settings: Settings, number: int) -> list[socket.socket]:
    """Bind a socket for each of so many processes; where the system would not share, one for all.

    Each has a queue of its own, by a hash of who connects: shares are even. Of one queue, who
    wakes first takes all that comes at once.

    Raises:
        StartupError: as `bind`.
    """
    if sys.platform != "linux":
        return [bind(settings)] * number
    first = bind(settings, is_one_of_many=True)
    port = first.getsockname()[1]
    return [first, *(bind(settings, port, is_one_of_many=True) for _ in range(number - 1))]


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; return how many connections that allows.

    Some descriptors stay free for stores, files and the listener.
    """
    if resource is None:
        return _UNKNOWN_DESCRIPTORS - _RESERVED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    if soft < most:
        with contextlib.suppress(OSError, ValueError):  # the system allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft // 2, soft - _RESERVED_DESCRIPTORS)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the process's one event loop: uvloop's where it is installed."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)


class Server(uvicorn.Server):
    """Uvicorn's server without signal handling, which its caller does."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield

    async def add_listener(self, listening: socket.socket) -> asyncio.AbstractServer:
        """Take connections of this socket, too, until `remove_listener`, which closes it."""
        protocols: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        create = functools.partial(
            protocols,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        server = await loop.create_server(create, sock=listening, backlog=self.config.backlog)
        self.servers.append(server)
        return server

    def remove_listener(self, server: asyncio.AbstractServer) -> None:
        """Take no more connections of it; those that are open stay."""
        server.close()
        self.servers.remove(server)  # type: ignore[arg-type]

    async def leave(self, stop: asyncio.Event) -> None:
        """Take no further connection, and wait until those that are open have ended by themselves.

        None is closed while a request may be on its way: who waits longer than a connection may
        be silent receives a long answer. WebSockets are ended a few at a time, so that their
        clients do not all come back at once. `stop` ends the wait.
        """
        for listener in self.servers:
            listener.close()
        self.servers.clear()
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + LEAVE_SECONDS
        while self.server_state.connections and not stop.is_set() and loop.time() < give_up_at:
            self._end_sockets(give_up_at - loop.time() - _LEAVE_SLACK_SECONDS)
            await asyncio.sleep(_LEAVE_STEP_SECONDS)

    def _end_sockets(self, seconds: float) -> None:
        """End as many WebSockets as leave the others so many seconds."""
        sockets = [
            one
            for one in self.server_state.connections
            if isinstance(one, BoundedSocket) and one.is_open
        ]
        steps = max(1.0, seconds / _LEAVE_STEP_SECONDS)
        for one in sockets[: ceil(len(sockets) / steps)]:
            one.shutdown()


@dataclass(slots=True)
class Control:
    """How a supervisor steers a serving process.

    Args:
        leave: set when another process listens in this one's place. It takes no further
            connection, and those that it has end with their next answer, or as they fall silent.
        server: there once it serves.
    """

    leave: asyncio.Event = field(default_factory=asyncio.Event)
    server: Server | None = None


async def serve(
    app: ASGIApp,
    listening: socket.socket,
    stop: asyncio.Event,
    *,
    started: Callable[[], None] = lambda: None,
    stopping: Callable[[], None] = lambda: None,
    limits: ConnectionLimits | None = None,
    drain_seconds: float = 0.0,
    control: Control | None = None,
) -> None:
    """Serve until `stop` is set, and `drain_seconds` longer; then let running requests end.

    `stopping` is called when `stop` is set. Requests have 7 s to end.

    Args:
        control: how a supervisor steers this process.
    """
    limits, control = limits or ConnectionLimits(), control or Control()
    state = getattr(app, "state", None)
    limits.overload = getattr(state, "operations", None)
    limits.door = getattr(state, "door", None)
    control.server = server = Server(build_config(app, limits=limits))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)
    if server.started:
        started()
    await _wait_for_any(running, stop, control.leave)
    limits.is_closing = True
    if control.leave.is_set() and not stop.is_set():
        await server.leave(stop)
        drain_seconds = 0.0
    stopping()
    await asyncio.wait([running], timeout=drain_seconds)
    server.should_exit = True
    await running


async def _wait_for_any(running: asyncio.Task[None], *events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait([running, *waiting], return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


def build_config(
    app: ASGIApp,
    *,
    socket_silence_seconds: float = _SOCKET_SILENCE_SECONDS,
    limits: ConnectionLimits | None = None,
) -> uvicorn.Config:
    """Build Uvicorn's configuration.

    A WebSocket client that answers no ping, or reads nothing, is disconnected after
    `socket_silence_seconds`.
    """
    return uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,  # its lines go where all others go
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,  # middleware/client_address.py reads them
        http=build_protocols(limits or ConnectionLimits()),  # type: ignore[arg-type]
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws=BoundedSocket,
        ws_max_size=_MAX_MESSAGE_BYTES,
        ws_ping_interval=_SOCKET_PING_SECONDS,
        ws_ping_timeout=socket_silence_seconds,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
