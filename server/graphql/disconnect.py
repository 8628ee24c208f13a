"""Work that is given up when its client goes away: what only waits for services outside.

Not for reads of MongoDB: a cancelled one costs a connection, more than reading on would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

V = TypeVar("V")


class ClientGone(Exception):
    """Nobody waits for the answer any more; the work was cancelled and has ended."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, V]) -> V:
    """The work's result. `receive` must have given the whole request's body.

    Raises:
        ClientGone: the connection was closed first.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait([working, gone], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        gone.cancel()
        working.cancel()
        await asyncio.wait([working, gone])


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
