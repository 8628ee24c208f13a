"""Uvicorn as we run it: bounded messages, a bounded shutdown, our own access log."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
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
_SHUTDOWN_SECONDS = 7  # of the 10 that a process has: the rest is for what it has connected
_MAX_MESSAGE_BYTES = 64 * 1024
_SOCKET_PING_SECONDS = 20.0
_SOCKET_SILENCE_SECONDS = 30.0
_UNKNOWN_DESCRIPTORS = 2048
_MAX_DESCRIPTORS = 1_048_576
_RESERVED_DESCRIPTORS = 400


def bind(settings: Settings, port: int | None = None, name: str = "PORT") -> socket.socket:
    """Bind a listening socket of HOST, before anything else is started.

    Args:
        port: another than PORT, of the setting `name`.

    Raises:
        StartupError: the port is in use, or HOST is not an address of this machine.
    """
    port = settings.port if port is None else port
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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


async def serve(
    app: ASGIApp,
    listening: socket.socket,
    stop: asyncio.Event,
    *,
    started: Callable[[], None] = lambda: None,
    stopping: Callable[[], None] = lambda: None,
    limits: ConnectionLimits | None = None,
    drain_seconds: float = 0.0,
) -> None:
    """Serve until `stop` is set, and `drain_seconds` longer; then let running requests end.

    `stopping` is called when `stop` is set. Requests have 7 s to end.
    """
    limits = limits or ConnectionLimits()
    state = getattr(app, "state", None)
    limits.overload = getattr(state, "operations", None)
    limits.door = getattr(state, "door", None)
    server = Server(build_config(app, limits=limits))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)
    if server.started:
        started()
    stop_requested = asyncio.create_task(stop.wait())
    await asyncio.wait([running, stop_requested], return_when=asyncio.FIRST_COMPLETED)
    stop_requested.cancel()
    stopping()
    await asyncio.wait([running], timeout=drain_seconds)
    server.should_exit = True
    await running


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
        ws=BoundedSocket,
        ws_max_size=_MAX_MESSAGE_BYTES,
        ws_ping_interval=_SOCKET_PING_SECONDS,
        ws_ping_timeout=socket_silence_seconds,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
