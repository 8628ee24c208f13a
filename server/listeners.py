"""The listeners of a process: an API's public one, and those of metrics where they have a port."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.datastructures import State

from resolvers.context import Runtime
from server import serving
from server.garbage import collect_in_steps
from server.http_protocol import ConnectionLimits
from server.routes.prometheus import build_metrics_app
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
        return _format_address(self.public)

    async def serve(
        self, app: Starlette, stop: asyncio.Event, started: Callable[[], None] = lambda: None
    ) -> None:
        """Serve until `stop` is set and the process has drained."""
        stop_metrics = asyncio.Event()
        serving_metrics = asyncio.create_task(self._serve_metrics(app, stop_metrics))
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
                )
        finally:
            stop_metrics.set()
            await serving_metrics

    async def _serve_metrics(self, api: Starlette, stop: asyncio.Event) -> None:
        if self.metrics is not None:
            app = build_metrics_app(self.settings, api.state)
            await serving.serve(app, self.metrics, stop, limits=ConnectionLimits())


@dataclass(frozen=True, slots=True)
class WorkerListener:
    """A worker's socket for metrics and health; None where WORKER_METRICS_PORT is not set."""

    settings: Settings
    metrics: socket.socket | None

    @property
    def address(self) -> str | None:
        """Where it listens, as host and port."""
        return _format_address(self.metrics) if self.metrics is not None else None

    @asynccontextmanager
    async def serve(self, runtime: Runtime, draining: asyncio.Event) -> AsyncIterator[None]:
        """Serve while the context is open.

        Args:
            draining: set when the worker is told to stop.
        """
        if self.metrics is None:
            yield
            return
        app = build_metrics_app(self.settings, State({"runtime": runtime, "draining": draining}))
        stop = asyncio.Event()
        running = asyncio.create_task(
            serving.serve(app, self.metrics, stop, limits=ConnectionLimits())
        )
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


def open_worker_listener(settings: Settings) -> WorkerListener:
    """Bind the worker's listener, if it has one.

    Raises:
        StartupError: the port is in use.
    """
    port = settings.worker_metrics_port
    if port is None:
        return WorkerListener(settings, None)
    return WorkerListener(settings, serving.bind(settings, port, "WORKER_METRICS_PORT"))


def _format_address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
