"""Lean reads: PyMongo chooses the server and opens connections, the commands go our own way.

A read that needs more than that, or fails in a way that another try may mend, is left to PyMongo,
with what is left of its time, and counted.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, NotPrimaryError, OperationFailure

from models.mongo.wire import driver
from models.mongo.wire.commands import Command
from models.mongo.wire.connection import ConnectionLost, WireConnection
from models.mongo.wire.cursor import Cursor, Row, TooLarge
from models.mongo.wire.driver import Client
from models.mongo.wire.framing import MalformedAnswer
from models.mongo.wire.pool import NoConnection, WirePool


class Fallback(Exception):
    """PyMongo is to read instead.

    Args:
        reason: no_server, no_connection, connection_lost, refused, malformed or too_large.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WireReader:
    """Lean reads of one client; none where `is_fit` is false: PyMongo is another, or set up so."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.is_fit = driver.is_fit(client)
        self._pools: dict[Any, WirePool] = {}  # by PyMongo's server
        self._description: object = None
        self._choices: dict[int, tuple[Any, list[WirePool]]] = {}

    async def read(
        self, collection: AsyncCollection[Row], command: Command, batch_size: int, deadline: float
    ) -> list[Row]:
        """All rows of a `find` or an `aggregate`, by a deadline of the monotonic clock.

        Raises:
            Fallback: PyMongo is to read instead.
            PyMongoError: as PyMongo would raise it.
        """
        pool = self._choose_pool(collection.read_preference)
        try:
            connection = await pool.acquire(deadline - time.monotonic())
        except NoConnection:
            raise Fallback("no_connection") from None
        try:
            _complete(command, collection, connection)
            return await Cursor(connection, collection, deadline).read(command, batch_size)
        except ConnectionLost:
            host, port = connection.driver.address
            await pool.discard(connection, AutoReconnect(f"{host}:{port}: connection closed"))
            raise Fallback("connection_lost") from None
        except (OperationFailure, NotPrimaryError) as error:
            if not driver.is_passing(error):
                raise
            await pool.discard(connection, error)
            raise Fallback("refused") from error
        except MalformedAnswer as error:
            raise Fallback("malformed") from error
        except TooLarge:
            raise Fallback("too_large") from None
        finally:
            pool.release(connection)

    async def aclose(self) -> None:
        """Give all connections back to PyMongo, closed."""
        self.is_fit = False
        for pool in self._pools.values():
            await pool.aclose()

    def _choose_pool(self, preference: Any) -> WirePool:
        description = driver.describe_topology(self.client)
        if description is not self._description:
            self._forget_choices(description)
        choice = self._choices.get(id(preference))
        if choice is None:  # the preference is remembered too, for its id to stay its own
            servers = driver.select_servers(self.client, description, preference)
            choice = preference, [self._pool_of(server) for server in servers]
            self._choices[id(preference)] = choice
        pools = choice[1]
        if len(pools) > 1:
            return min(random.sample(pools, 2), key=_load_of)
        if not pools:
            raise Fallback("no_server")
        return pools[0]

    def _forget_choices(self, description: object) -> None:
        """After a change of the topology; connections to servers that left are ended."""
        self._description = description
        self._choices.clear()
        for server in [one for one in self._pools if not driver.is_member(self.client, one)]:
            self._pools.pop(server).close()

    def _pool_of(self, server: Any) -> WirePool:
        pool = self._pools.get(server)
        if pool is None:
            opening = partial(driver.open_connection, self.client, server)
            most = driver.most_connections(self.client)
            pool = self._pools[server] = WirePool(opening, most, partial(driver.is_full, server))
        return pool


def _load_of(pool: WirePool) -> int:
    return pool.load


def _complete(
    command: Command, collection: AsyncCollection[Row], connection: WireConnection
) -> None:
    """Add what a read says of the collection's options."""
    preference: Mapping[str, Any] | None = connection.driver.read_preference(
        collection.read_preference
    )
    if preference is not None:
        command["$readPreference"] = preference
    if collection.read_concern.level:
        command["readConcern"] = collection.read_concern.document
