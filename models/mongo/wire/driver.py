"""What the lean reads use of PyMongo beyond its public interface; nothing else does.

PyMongo opens a connection, signs in and checks it; it stays checked out of PyMongo's pool, so both
together keep MONGODB_MAX_POOL_SIZE, and errors on it are reported to PyMongo's topology.
"""

from __future__ import annotations

import logging
from asyncio import Transport
from collections.abc import Mapping, MutableMapping
from typing import Any, cast

import pymongo
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import NotPrimaryError, OperationFailure, PyMongoError
from pymongo.read_preferences import _ServerMode

IS_TRIED_VERSION = pymongo.version in {"4.20.0"}
if IS_TRIED_VERSION:  # another one may have none of this: nothing here is called then
    from pymongo import _csot, helpers_shared
    from pymongo._telemetry import _CommandTelemetry
    from pymongo.asynchronous.mongo_client import _ClientCheckout
    from pymongo.asynchronous.pool import AsyncConnection
    from pymongo.asynchronous.server import Server
    from pymongo.message import _CursorAddress
    from pymongo.network_layer import PyMongoProtocol
    from pymongo.pool_options import PoolOptions
    from pymongo.topology_description import TOPOLOGY_TYPE, TopologyDescription

Client = AsyncMongoClient[Any]

_UNLIMITED = 1_000
_SIGN_IN_AGAIN = 391
_PASSING_LABELS = ("RetryableError", "SystemOverloadedError")
_command_log = logging.getLogger("pymongo.command")


def is_fit(client: Client) -> bool:
    """Whether the lean reads were made for this PyMongo and this set-up."""
    options = client.options
    pool = options.pool_options
    return (
        IS_TRIED_VERSION
        and bool(options.timeout)
        and most_connections(client) > 0
        and not _is_compressed(pool)
        and not pool.load_balanced
        and pool.server_api is None
        and client._encrypter is None
        and client.codec_options.document_class is dict
        and not client.codec_options.type_registry.codecs
    )


def most_connections(client: Client) -> int:
    """Half of PyMongo's pool of a server, so that writes always find a connection."""
    size = client.options.pool_options.max_pool_size or _UNLIMITED  # 0 sets no limit
    return int(min(size, _UNLIMITED)) // 2


def is_full(server: Server) -> bool:
    """Whether all connections of PyMongo's pool of this server are in use, by whomever."""
    pool = server.pool
    return bool(pool.requests >= pool.max_pool_size)


def _is_compressed(options: PoolOptions) -> bool:
    settings = options._compression_settings
    return settings is not None and bool(settings.compressors)


def remaining_seconds(client: Client) -> float:
    """Time left of the block's `pymongo.timeout`, else the client's time for one operation."""
    remaining = _csot.remaining()
    return cast(float, client.options.timeout) if remaining is None else remaining


def describe_topology(client: Client) -> TopologyDescription:
    """The servers as PyMongo sees them; another object after each change."""
    return client._topology._description


def select_servers(
    client: Client, description: TopologyDescription, preference: _ServerMode
) -> list[Server]:
    """Servers that PyMongo would choose one from; none where PyMongo must look for one itself."""
    if description.topology_type in (TOPOLOGY_TYPE.Sharded, TOPOLOGY_TYPE.LoadBalanced):
        return []
    topology = client._topology
    chosen = description.apply_selector(
        preference, custom_selector=topology._settings.server_selector
    )
    servers = [topology._servers.get(one.address) for one in chosen]
    return [server for server in servers if server is not None]


def is_member(client: Client, server: Server) -> bool:
    """Whether PyMongo still uses this server."""
    return client._topology._servers.get(server.description.address) is server


class DriverConnection:
    """A connection that PyMongo opened, checked out of its pool until `aclose`."""

    def __init__(self, server: Server, checkout: _ClientCheckout, conn: AsyncConnection) -> None:
        self._server = server
        self._checkout = checkout
        self._conn = conn
        self.most_message_bytes: int = conn.max_message_size
        self.most_document_bytes: int = conn.max_bson_size
        self.most_idle_seconds: float | None = conn.opts.max_idle_time_seconds
        self.address: tuple[str, int] = conn.address
        pair = conn.conn.conn
        self.transport = cast(Transport, pair[0])
        self.protocol: PyMongoProtocol = pair[1]

    @property
    def is_current(self) -> bool:
        """Whether PyMongo would still use it: no failure of the server came after its start."""
        conn = self._conn
        return not self._server.pool.stale_generation(conn.generation, conn.service_id)

    @property
    def round_trip_seconds(self) -> float:
        """Least round trip to the server."""
        return self._server.description.min_round_trip_time

    def read_preference(self, preference: _ServerMode) -> Mapping[str, Any] | None:
        """What to send as `$readPreference`; a server addressed directly is to answer anyway."""
        client = self._checkout.client
        if describe_topology(client).topology_type == TOPOLOGY_TYPE.Single:
            if self._conn.is_repl:
                preference = ReadPreference.PRIMARY_PREFERRED
            elif self._conn.is_standalone:
                preference = ReadPreference.PRIMARY
        return preference.document if preference.mode else None

    def check_answer(self, answer: dict[str, Any]) -> None:
        """Raise the error that PyMongo would raise for this answer, if it is one."""
        if not answer.get("ok"):
            helpers_shared._check_command_response(
                answer, self._conn.max_wire_version, pool_opts=self._conn.opts
            )

    def start_telemetry(
        self, command: MutableMapping[str, Any], database: str, request_id: int
    ) -> _CommandTelemetry | None:
        """Publish the start of a command to listeners and PyMongo's log; None: nobody listens."""
        client = self._checkout.client
        listeners = client._event_listeners
        is_published = listeners is not None and listeners.enabled_for_commands
        if not is_published and not _command_log.isEnabledFor(logging.DEBUG):
            return None
        telemetry = _CommandTelemetry(
            client._topology_id, self._conn, listeners, command, database, request_id, None
        )
        telemetry.started(command, True)
        return telemetry

    def kill_cursor(self, cursor_id: int, namespace: str) -> None:
        """Let PyMongo end a cursor that is not read to its end."""
        address = _CursorAddress(self.address, namespace)
        self._checkout.client._close_cursor_soon(cursor_id, address)

    async def aclose(self, error: PyMongoError | None) -> None:
        """Close it and free its place in PyMongo's pool; the topology is told of the error."""
        try:
            await self._conn.close_conn("error" if error else "stale")
        finally:
            await self._checkout.__aexit__(type(error) if error else None, error, None)


async def open_connection(client: Client, server: Server) -> DriverConnection:
    """Let PyMongo open a connection, or hand out an idle one; errors are told to its topology.

    Raises:
        PyMongoError: it could not.
    """
    with pymongo.timeout(client.options.timeout):
        checkout = _ClientCheckout(client, server, None)
        conn = await checkout.__aenter__()
    return DriverConnection(server, checkout, conn)


def is_passing(error: OperationFailure | NotPrimaryError) -> bool:
    """Whether PyMongo would try such a read again, on another server or signed in anew."""
    if isinstance(error, NotPrimaryError) or error.code == _SIGN_IN_AGAIN:
        return True
    if error.code in helpers_shared._RETRYABLE_ERROR_CODES:
        return True
    return any(error.has_error_label(label) for label in _PASSING_LABELS)
