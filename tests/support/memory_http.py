"""A client that reaches an application through the server's HTTP protocol, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
from starlette.applications import Starlette
from uvicorn.server import ServerState

from server import serving
from server.http_protocol import ConnectionLimits
from server.short_http import build_protocols
from services.settings.settings import Settings


class MemoryTransport(asyncio.Transport):
    """The server's end of a connection; what it writes is `received` at once."""

    def __init__(self, peer: tuple[str, int]) -> None:
        super().__init__({"peername": peer, "sockname": ("127.0.0.1", 80)})
        self.received = asyncio.Queue[bytes]()
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.received.put_nowait(bytes(data))

    def write_eof(self) -> None:
        self.received.put_nowait(b"")

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self.write_eof()

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class MemoryStream(httpcore.AsyncNetworkStream):
    """The client's end."""

    def __init__(self, protocol: Any, transport: MemoryTransport) -> None:
        self._protocol, self._transport = protocol, transport
        protocol.connection_made(transport)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        async with asyncio.timeout(timeout):
            return await self._transport.received.get()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if buffer and not self._transport.is_closing():
            self._protocol.data_received(buffer)

    async def aclose(self) -> None:
        if self._protocol is not None:
            protocol, self._protocol = self._protocol, None
            protocol.connection_lost(None)

    def get_extra_info(self, info: str) -> Any:
        return None


class MemoryServer(httpcore.AsyncNetworkBackend):
    """Every connection to it is one to the application."""

    def __init__(self, app: Starlette, settings: Settings, peer: tuple[str, int]) -> None:
        limits = ConnectionLimits.of(settings)
        limits.overload, limits.door = app.state.operations, app.state.door
        self._config = serving.build_config(app, limits=limits)
        self._config.load()
        self._create = build_protocols(limits)
        self._state = ServerState()
        self._peer = peer

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        protocol = self._create(config=self._config, server_state=self._state, app_state={})
        return MemoryStream(protocol, MemoryTransport(self._peer))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class MemoryHttp(httpx.AsyncHTTPTransport):
    """httpx's transport to a server in memory."""

    def __init__(self, app: Starlette, client: tuple[str, int] = ("127.0.0.1", 123)) -> None:
        super().__init__()
        server = MemoryServer(app, app.state.runtime.settings, client)
        self._pool = httpcore.AsyncConnectionPool(network_backend=server)
