"""Cancelling work when its client disconnects: work that only waits for outside services.

Not for reads of MongoDB: a cancelled read costs a connection, more than finishing it would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

V = TypeVar("V")


class ClientDisconnected(Exception):
    """The client has disconnected; the work was cancelled and has ended."""


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, V]) -> V:
    """Await the work, or cancel it when the client disconnects.

    `receive` must have given the whole request body.

    Raises:
        ClientDisconnected: the connection was closed first.
    """
    working = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        await asyncio.wait([working, disconnect], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnected
    finally:
        disconnect.cancel()
        working.cancel()
        await asyncio.wait([working, disconnect])


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
