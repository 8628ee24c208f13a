"""Large bodies, streamed in pieces as fast as the client reads them.

A client that reads nothing for a minute is disconnected; so is one that takes longer than
`max_seconds` for the whole body.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from services.telemetry.logs import get_logger

log = get_logger("server")


class StallTimeoutResponse(StreamingResponse):
    """A streaming response that ends when its client stalls.

    The headers must have Content-Length. `close` is called however it ends; HEAD gets headers
    alone.
    """

    stall_timeout_seconds = 60.0
    max_seconds: float | None = None

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        status: int,
        headers: Mapping[str, str],
        media_type: str,
        close: Callable[[], None],
    ) -> None:
        super().__init__(pieces, status, headers, media_type)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_within_timeout(message: Message) -> None:
            async with asyncio.timeout(self.stall_timeout_seconds):
                await send(message)

        try:
            async with asyncio.timeout(self.max_seconds):
                if scope["method"] == "HEAD":
                    await self._send_head(send_within_timeout)
                else:
                    await super().__call__(scope, receive, send_within_timeout)
        except (TimeoutError, ClientDisconnect):
            log.info("client_stalled", status=self.status_code)
        finally:
            self._close()

    async def _send_head(self, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": b""})
