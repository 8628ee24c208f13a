"""Work that is given up when its client goes away: what only waits for services outside.

Not for reads of MongoDB: a cancelled one costs a connection, more than reading on would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

V = TypeVar("V")


class ClientDisconnected(Exception):
    """Nobody waits for the answer any more; the work was cancelled and has ended."""


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, V]) -> V:
    """The work's result. `receive` must have given the whole request's body.

    Raises:
        ClientGone: the connection was closed first.
    """
    working = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await asyncio.wait([working, disconnect], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnected
    finally:
        disconnect.cancel()
        working.cancel()
        await asyncio.wait([working, disconnect])


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
