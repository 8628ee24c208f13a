"""One line per request header before anything reads them (RFC 9110, 5.3).

Lists that come in several lines are one list; Cookie lines are joined as cookies are (RFC 6265). A
second line of a header that has one value would let two readers see two requests: it is refused.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from server.graphql.replies import Refused, reply

_SINGLE = (b"authorization", b"content-type", b"content-length", b"origin")
_SEPARATORS = {b"cookie": b"; "}


class HeaderLines:
    """ASGI middleware that combines repeated header lines of HTTP requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            lines = scope["headers"]
            if len(dict(lines)) != len(lines):
                try:
                    scope["headers"] = combine_lines(lines)
                except Refused as refused:
                    head_only = scope["method"] == "HEAD"
                    await reply(send, refused.status, refused.body(), head_only=head_only)
                    return
        await self._app(scope, receive, send)


def combine_lines(lines: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Combine the lines of each header, in their order.

    Raises:
        Refused: 400, for a header that may come once.
    """
    combined: dict[bytes, bytes] = {}
    for name, value in lines:
        before = combined.get(name)
        if before is None:
            combined[name] = value
        elif name in _SINGLE:
            raise Refused(400, f"A request has one {name.decode().title()} header.")
        else:
            combined[name] = before + _SEPARATORS.get(name, b", ") + value
    return list(combined.items())
