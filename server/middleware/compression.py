"""Compressed answers, unless the request has the header X-No-Compression."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type, remove_compress_type

from server.graphql.replies import GRAPHQL_JSON
from services.media.hls import PLAYLIST_TYPE

_OPT_OUT = b"x-no-compression"
for _type in (PLAYLIST_TYPE, GRAPHQL_JSON.partition(b";")[0].decode()):
    add_compress_type(_type)
for _type in ("text/event-stream", "multipart/mixed"):  # a compressor's memory for each client
    remove_compress_type(_type)


class Compression:
    """ASGI middleware that compresses in what the client accepts: zstd, brotli, gzip."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressed = CompressMiddleware(app, zstd_level=3, brotli_quality=4, gzip_level=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_plain = scope["type"] != "http" or any(name == _OPT_OUT for name, _ in scope["headers"])
        await (self._app if is_plain else self._compressed)(scope, receive, send)
