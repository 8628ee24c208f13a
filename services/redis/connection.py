"""Connections to Redis: packed by hiredis, checked before reuse, their failures all of one kind.

Whatever ends a connection (refused, reset, silent, half an answer; uvloop raises RuntimeError from
a write to a closed one) leaves here as the library's ConnectionError or TimeoutError and is told
to the server's guard. Only the library's own code runs inside, so no fault of ours is hidden.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from hiredis import pack_command
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    RedisError,
    TimeoutError,
)

from services.redis.guard import Guard
from services.silence import limit_silence

_CONNECT_SECONDS = 5.0  # where its pool says nothing else
_HIGH_WATER_BYTES = 65_536  # asyncio's: below it there is nothing to wait for after a write
CLOSED_TO_US = (AuthenticationError, BusyLoadingError)  # it answers, but serves nobody


class GuardedConnection(AbstractConnection):
    """Connection of one server's pools; `guard` is the server's."""

    def __init__(self, *, guard: Guard, **options: Any) -> None:
        super().__init__(**options)
        self._guard = guard
        self._generation = guard.generation

    def pack_command(self, *args: Any) -> list[bytes]:
        """Pack one command into the bytes to send; the library's Python code takes 8 us each."""
        if " " in args[0]:  # "CONFIG GET": two words to Redis
            args = (*args[0].split(), *args[1:])
        return [pack_command(args)]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Pack a pipeline into one buffer."""
        return [b"".join(chunk for one in commands for chunk in self.pack_command(*one))]

    async def connect(self) -> None:
        """Connect unless connected, with the handshake, within the connection's time-out."""
        if self.is_connected:
            return
        try:
            async with limit_silence(self.socket_connect_timeout or _CONNECT_SECONDS):
                await super().connect()  # type: ignore[no-untyped-call]
        except Exception as error:
            await self.disconnect(nowait=True)
            self._record_refusal(error)
            raise _as_redis_error(error) from error
        self._generation = self._guard.generation
        self._guard.record_connection()

    async def can_read(self) -> bool:
        """Prepare the connection for reuse: one that may be dead is opened anew.

        The pool asks this before each use; an answer that nobody awaits is another reason.
        """
        if not await self._is_usable():
            await self.disconnect(nowait=True)
            await self.connect()
        return False

    async def _is_usable(self) -> bool:
        if self._generation != self._guard.generation:
            return False
        try:
            return not self._writer.transport.is_closing() and not await super().can_read()  # type: ignore[union-attr]
        except Exception:  # a half-closed one raises whatever it likes
            return False

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Write packed commands; waits only while the socket does not keep up."""
        if not self.is_connected:
            await self.connect()
        try:
            writer: Any = self._writer
            writer.writelines(command)
            if writer.transport.get_write_buffer_size() > _HIGH_WATER_BYTES:
                async with asyncio.timeout(self.socket_timeout):
                    await writer.drain()
        except Exception as error:
            await self.disconnect(nowait=True)
            raise self._lose(error) from error
        except BaseException:
            await self.disconnect(nowait=True)  # cancelled half-way: the rest would follow
            raise

    async def _read_response_from_parser(
        self, disable_decoding: bool = False, push_request: bool | None = False
    ) -> Any:
        """Read one answer; the caller disconnects on any exception."""
        try:
            parser: Any = self._parser
            return await parser.read_response(disable_decoding=disable_decoding)
        except Exception as error:
            raise self._lose(error) from error

    def _lose(self, error: Exception) -> RedisError:
        """Tell the guard that this connection has ended; returns the error to raise."""
        if isinstance(error, CLOSED_TO_US):
            self._record_refusal(error)
        else:
            self._guard.record_lost_connection()
        return _as_redis_error(error)

    def _record_refusal(self, error: Exception) -> None:
        """Blocking readers try again at times of their own, which should pause nobody's calls."""
        if self.socket_timeout is None:
            self._guard.record_lost_connection()
        else:
            self._guard.record_failure(error)


class GuardedTCPConnection(GuardedConnection, Connection):
    """Connection by TCP."""


class GuardedTLSConnection(GuardedConnection, SSLConnection):
    """Connection by TCP and TLS."""


class GuardedUnixConnection(GuardedConnection, UnixDomainSocketConnection):
    """Connection by a socket in the file system."""


CONNECTION_CLASSES: dict[str, type[GuardedConnection]] = {
    "redis": GuardedTCPConnection,
    "rediss": GuardedTLSConnection,
    "unix": GuardedUnixConnection,
}


def _as_redis_error(error: Exception) -> RedisError:
    if isinstance(error, RedisError):
        return error
    if isinstance(error, asyncio.TimeoutError):
        return TimeoutError("Redis did not take part in time.")
    return ConnectionError(f"The connection to Redis ended: {error!r}")
