"""An API process's listeners: the public one and, where METRICS_PORT is set, the metrics' own."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.applications import Starlette

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
            app = build_metrics_app(self.settings, api)
            await serving.serve(app, self.metrics, stop, limits=ConnectionLimits())


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
