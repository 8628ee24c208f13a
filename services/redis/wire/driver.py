"""What the lean calls use of redis-py beyond its public interface; nothing else does.

redis-py opens a connection, with TLS, sign-in, name and database; its transport is then given a
protocol of ours. With a version that this was not tried with, every call is redis-py's.
"""

from __future__ import annotations

from asyncio import BaseProtocol, Transport
from collections.abc import Callable
from typing import Any, cast

import redis
from hiredis import Reader
from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError, InvalidResponse

from services.redis.connection import GuardedConnection

IS_TRIED_VERSION = redis.__version__ in {"8.1.0"}
if IS_TRIED_VERSION:  # another one may have none of this: nothing here is called then
    from redis._parsers.base import BaseParser

INCOMPLETE = object()  # instead of an answer that has not arrived in full


def build_reader() -> Reader:
    """Build a parser of answers; those that are errors are redis-py's exceptions, not raised."""
    return Reader(
        protocolError=InvalidResponse,
        replyError=cast(Callable[[str], Any], BaseParser.parse_error),
        notEnoughData=INCOMPLETE,
    )


class DriverConnection:
    """A connection that redis-py opened and that belongs to no pool.

    Args:
        connection: connected, and nothing is under way on it.

    Raises:
        ConnectionError: it has ended, or something is.
    """

    def __init__(self, connection: GuardedConnection) -> None:
        reader, writer = connection._reader, connection._writer
        if reader is None or writer is None or writer.transport.is_closing():
            raise ConnectionError("The connection ended as it was opened.")
        if reader._buffer or reader.at_eof() or connection._parser._reader.has_data():  # type: ignore[attr-defined]
            raise ConnectionError("Redis said more than it was asked.")
        self._connection = connection
        self.transport: Transport = cast(Transport, writer.transport)

    def set_protocol(self, protocol: BaseProtocol) -> None:
        """Let a protocol have all that arrives from now on."""
        self.transport.set_protocol(protocol)

    def forget(self) -> None:
        """Let redis-py's object go once the transport is closing; it would warn otherwise."""
        self._connection._reader = self._connection._writer = None


async def open_connection(pool: ConnectionPool) -> DriverConnection:
    """Let redis-py open a connection as one of the pool's; the pool does not count it.

    Raises:
        RedisError: it could not.
    """
    connection: GuardedConnection = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        await connection.connect()
        return DriverConnection(connection)
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
