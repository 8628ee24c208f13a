"""The listeners of a process: an API's public one, and those of metrics where they have a port."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.datastructures import State

from resolvers.context import Runtime
from server import serving
from server.garbage import collect_in_steps
from server.http_protocol import ConnectionLimits
from server.routes.operations import report_ready
from server.routes.prometheus import (
    ReadMetrics,
    ReportReady,
    build_metrics_app,
    read_own_metrics,
)
from server.serving import Control
from services.errors import StartupError
from services.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets, and how what comes through them is limited."""

    settings: Settings
    public: socket.socket
    metrics: socket.socket | None
    limits: ConnectionLimits

    @property
    def address(self) -> str:
        """Where the public one listens, as host and port."""
        return serving.format_address(self.public)

    async def serve(
        self,
        app: Starlette,
        stop: asyncio.Event,
        started: Callable[[], None] = lambda: None,
        control: Control | None = None,
    ) -> None:
        """Serve until `stop` is set and the process has drained."""
        stop_metrics = asyncio.Event()
        report = partial(report_ready, app.state)
        serving_metrics = asyncio.create_task(
            serve_private(self.settings, self.metrics, stop_metrics, report)
        )
        try:
            with collect_in_steps():
                await serving.serve(
                    app,
                    self.public,
                    stop,
                    started=started,
                    stopping=app.state.draining.set,
                    limits=self.limits,
                    drain_seconds=self.settings.drain_delay_seconds,
                    control=control,
                )
        finally:
            stop_metrics.set()
            await serving_metrics


async def serve_private(
    settings: Settings,
    listening: socket.socket | None,
    stop: asyncio.Event,
    report: ReportReady,
    read_metrics: ReadMetrics = read_own_metrics,
) -> None:
    """Serve metrics and health until `stop` is set; only wait where there is no socket."""
    if listening is None:
        await stop.wait()
        return
    app = build_metrics_app(settings, report, read_metrics)
    await serving.serve(app, listening, stop, limits=ConnectionLimits())


@dataclass(frozen=True, slots=True)
class WorkerListener:
    """A worker's socket for metrics and health; None where WORKER_METRICS_PORT is not set."""

    settings: Settings
    metrics: socket.socket | None

    @property
    def address(self) -> str | None:
        """Where it listens, as host and port."""
        return serving.format_address(self.metrics) if self.metrics is not None else None

    @asynccontextmanager
    async def serve(self, runtime: Runtime, draining: asyncio.Event) -> AsyncIterator[None]:
        """Serve while the context is open.

        Args:
            draining: set when the worker is told to stop.
        """
        report = partial(report_ready, State({"runtime": runtime, "draining": draining}))
        stop = asyncio.Event()
        running = asyncio.create_task(serve_private(self.settings, self.metrics, stop, report))
        try:
            yield
        finally:
            stop.set()
            await running


def open_listeners(settings: Settings) -> Listeners:
    """Bind all listeners, before anything else is started.

    Raises:
        StartupError: a port is in use, HOST is not an address of this machine, or others could
            reach a process of development.
    """
    reject_open_development(settings)
    limits = ConnectionLimits.of(settings, total=serving.raise_descriptor_limit())
    public = serving.bind(settings)
    metrics = None
    if settings.metrics_port is not None:
        try:
            metrics = serving.bind(settings, settings.metrics_port, "METRICS_PORT")
        except StartupError:
            public.close()
            raise
    return Listeners(settings, public, metrics, limits)


def open_place_listeners(
    settings: Settings, number: int
) -> tuple[list[socket.socket], socket.socket | None]:
    """Bind the public sockets of so many processes, and the one of metrics, if it has a port.

    Raises:
        StartupError: as `open_listeners`.
    """
    listeners = open_listeners(settings)  # tells of a port that is in use, which the next does not
    listeners.public.close()
    return serving.bind_places(settings, number), listeners.metrics


def adopt_listener(settings: Settings, public: socket.socket) -> Listeners:
    """The listeners of a process whose supervisor has bound its socket, and has its metrics."""
    limits = ConnectionLimits.of(settings, total=serving.raise_descriptor_limit())
    return Listeners(settings, public, None, limits)


def open_worker_listener(settings: Settings) -> WorkerListener:
    """Bind the worker's listener, if it has one.

    Raises:
        StartupError: the port is in use.
    """
    port = settings.worker_metrics_port
    if port is None:
        return WorkerListener(settings, None)
    return WorkerListener(settings, serving.bind(settings, port, "WORKER_METRICS_PORT"))


def reject_open_development(settings: Settings) -> None:
    """Refuse to serve others with development's published secret and demo users.

    Raises:
        StartupError: HOST is not of this machine alone, and nothing says that this is meant.
    """
    if settings.is_production or settings.allow_open_development or _is_loopback(settings.host):
        return
    raise StartupError(
        f"HOST={settings.host} lets others reach a process of development, whose secret and demo "
        "users are published: set HOST=127.0.0.1, ENVIRONMENT=production, or "
        "ALLOW_OPEN_DEVELOPMENT=true."
    )


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
