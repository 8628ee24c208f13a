"""Clients that do not read, and a server whose patience and network can be chosen."""

from __future__ import annotations

import asyncio
import socket as tcp
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from websockets.asyncio.client import connect

from server import serving
from services.settings.settings import Settings
from tests.support.api_client import PROTOCOL, Socket
from tests.support.processes import until


@dataclass
class Patient:
    """A server that waits `seconds` for clients that take nothing."""

    port: int
    server: serving.Server

    @property
    def buffered_bytes(self) -> int:
        """What it holds for its clients above what the network does."""
        connections: Any = self.server.server_state.connections
        return sum(one.transport.get_write_buffer_size() for one in connections)


@asynccontextmanager
async def serve_patiently(
    app: Starlette, settings: Settings, seconds: float
) -> AsyncIterator[Patient]:
    listening = serving.bind(settings.model_copy(update={"port": 0}))
    listening.setsockopt(tcp.SOL_SOCKET, tcp.SO_SNDBUF, 65_536)  # the network holds little
    server = serving.Server(serving.build_config(app, socket_silence_seconds=seconds))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await until(lambda: server.started)
    try:
        yield Patient(listening.getsockname()[1], server)
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def open_deaf_client(port: int, token: str | None = None) -> AsyncIterator[Socket]:
    """It reads no byte after the hello."""
    small = tcp.socket()
    small.setsockopt(tcp.SOL_SOCKET, tcp.SO_RCVBUF, 8192)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", port))
    connection = await connect(
        f"ws://127.0.0.1:{port}/graphql",
        sock=small,
        subprotocols=[PROTOCOL],
        compression=None,
        ping_interval=None,
    )
    client = await Socket(connection).initialised(token)
    connection.transport.pause_reading()
    try:
        yield client
    finally:
        connection.transport.abort()
