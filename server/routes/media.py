"""GET /media/{token}/{title_id}/{path}: playlists and files of our own films, by signed URL.

The path is looked up in the title's index and never used as a path of the disk. Files are sent
whole or as one range (RFC 9110, 14), not transformed on the way, cached by the browser alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from resolvers.accounts.authentication import authenticate
from resolvers.context import Context
from resolvers.sources import hls
from server.graphql.replies import Refused
from server.routes import conditions
from server.routes.conditions import ByteRange, RangeNotSatisfiable, Version
from server.routes.slow_client_stream import StallTimeoutResponse
from services.errors import CodedError, ErrorCode, InvalidToken, NotFound
from services.media.hls import PLAYLIST_TYPE
from services.media.library import MediaLibrary, OpenedFile

_PLAYLIST_SECONDS = 60
_FILE_SECONDS = 86400
_PIECE_BYTES = 256 * 1024
_TYPES = {
    "m4s": "video/iso.segment",
    "mp4": "video/mp4",
    "ts": "video/mp2t",
    "vtt": "text/vtt; charset=utf-8",
}
_STATUS = {
    ErrorCode.INVALID_TOKEN: 403,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.UPSTREAM_UNAVAILABLE: 503,
}


async def media(request: Request) -> Response:
    """Answer a signed URL, or refuse it with 403, 404 or 503."""
    try:
        return await _media(request)
    except CodedError as error:
        status = _STATUS.get(error.code, 400)
        headers = {"Cache-Control": "no-store"}
        if status == 503:
            headers["Retry-After"] = "5"
        body = Refused.of(status, error).body()
        return Response(body, status, headers, "application/json; charset=utf-8")


async def _media(request: Request) -> Response:
    part = request.path_params
    context = await _context(request)
    opened = await hls.open_signed_url(context, part["token"], part["title_id"], part["path"])
    if opened is None:
        raise NotFound("There is no such film, or no such part of it.")
    if isinstance(opened.content, hls.Playlist):
        return _playlist(request, opened.content, opened.remaining_seconds)
    library = context.runtime.sources.media.library
    suffix = part["path"].rpartition(".")[2]
    return _file(request, library, opened.content, _TYPES[suffix], opened.remaining_seconds)


async def _context(request: Request) -> Context:
    """The request's context; an expired access token takes nothing away from the URL."""
    runtime = request.app.state.runtime
    try:
        viewer = await authenticate(runtime, request.headers.get("authorization"))
    except InvalidToken:
        viewer = None
    address = request.client.host if request.client else None
    return Context(runtime, viewer, request.state.request_id, address)


def _playlist(request: Request, playlist: hls.Playlist, remaining_seconds: int) -> Response:
    # Weak: what goes out may be compressed on the way.
    headers = _headers(f'W/"{playlist.tag}"', min(_PLAYLIST_SECONDS, remaining_seconds))
    if conditions.is_not_modified(request.headers, Version(headers["ETag"], 0)):
        return Response(status_code=304, headers=headers)
    body = b"" if request.method == "HEAD" else playlist.body
    headers["Content-Length"] = str(len(playlist.body))
    return Response(body, headers=headers, media_type=PLAYLIST_TYPE)


def _file(
    request: Request, library: MediaLibrary, opened: OpenedFile, type_: str, remaining_seconds: int
) -> Response:
    weak = "W/" if type_.startswith("text/") else ""  # compressed on the way
    version = Version(f'{weak}"{opened.tag}"', opened.modified_at)
    headers = {
        **_headers(version.etag, min(_FILE_SECONDS, remaining_seconds), ", immutable"),
        "Last-Modified": version.last_modified,
        "Accept-Ranges": "bytes",
    }
    if conditions.is_not_modified(request.headers, version):
        opened.file.close()
        return Response(status_code=304, headers=headers)
    span, status = ByteRange(0, opened.size_bytes), 200
    try:
        requested_range = conditions.parse_range(request.headers, version, opened.size_bytes)
    except RangeNotSatisfiable:
        opened.file.close()
        return _range_not_satisfiable(opened.size_bytes)
    if requested_range is not None and request.method == "GET":
        span, status = requested_range, 206
        headers["Content-Range"] = f"bytes {span.first}-{span.end - 1}/{opened.size_bytes}"
    headers["Content-Length"] = str(span.end - span.first)
    pieces = _read_pieces(library, opened, span)
    return StallTimeoutResponse(pieces, status, headers, type_, opened.file.close)


async def _read_pieces(
    library: MediaLibrary, opened: OpenedFile, span: ByteRange
) -> AsyncIterator[bytes]:
    at = span.first
    while at < span.end:
        piece = await library.read(opened, at, min(_PIECE_BYTES, span.end - at))
        if not piece:
            return  # cut short meanwhile: the server closes the connection
        yield piece
        at += len(piece)


def _headers(etag: str, seconds: int, more: str = "") -> dict[str, str]:
    return {
        "ETag": etag,
        "Cache-Control": f"private, max-age={max(0, seconds)}{more}",
        "X-Content-Type-Options": "nosniff",
    }


def _range_not_satisfiable(size_bytes: int) -> Response:
    body = Refused(416, "The file has no such bytes.").body()
    headers = {"Content-Range": f"bytes */{size_bytes}", "Cache-Control": "no-store"}
    return Response(body, 416, headers, "application/json; charset=utf-8")
