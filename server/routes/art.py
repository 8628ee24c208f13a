"""GET /art/posters/{title_id}.svg and /art/backdrops/{title_id}.svg: generated art.

Public for a day, with an ETag. The policy lets an SVG opened as a page load and run nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resolvers.catalog import art
from resolvers.context import Context
from services.errors import UpstreamUnavailable

_HEADERS = {
    "Cache-Control": "public, max-age=86400",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
Draw = Callable[[Context, str], Awaitable[str | None]]


async def poster(request: Request) -> Response:
    """A title's poster."""
    return await _answer(request, art.poster)


async def backdrop(request: Request) -> Response:
    """A title's backdrop."""
    return await _answer(request, art.backdrop)


async def _answer(request: Request, draw: Draw) -> Response:
    """Draw a title's art; expects `title_id` in the path and the Runtime in `app.state`."""
    title_id = request.path_params["title_id"]
    try:
        drawing = await draw(Context(request.app.state.runtime), title_id)
    except UpstreamUnavailable as error:
        retry = {"Retry-After": "5", "Cache-Control": "no-store"}
        return JSONResponse({"error": error.message}, 503, headers=retry)
    if drawing is None:
        missing = {"Cache-Control": "public, max-age=30"}
        return JSONResponse({"error": "No title has this id."}, 404, headers=missing)
    return _respond_with(request, drawing.encode())


def _respond_with(request: Request, body: bytes) -> Response:
    # Weak: what goes out may be compressed on the way.
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {**_HEADERS, "ETag": tag}
    if _matches_etag(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="image/svg+xml", headers=headers)


def _matches_etag(if_none_match: str, tag: str) -> bool:
    """Whether If-None-Match has the tag (RFC 9110, 13.1.2): weak comparison, or `*`."""
    known_tags = (known_tag.strip().removeprefix("W/") for known_tag in if_none_match.split(","))
    return any(known_tag in (tag.removeprefix("W/"), "*") for known_tag in known_tags)
