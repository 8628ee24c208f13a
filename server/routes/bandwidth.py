"""GET /bandwidth-test?bytes=N: random bytes, for a client to measure its connection with.

Limited in size, in time, in requests a minute from one address (in all processes together), and in
concurrent tests (in this process); never stored or compressed on the way.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import AsyncIterator
from functools import cached_property

from starlette.requests import Request
from starlette.responses import Response

from server.graphql.replies import Refused
from server.routes.slow_client_stream import StallTimeoutResponse
from services.errors import CodedError, RateLimited, ValidationFailed
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import WindowLimits

MAX_BYTES = 5_000_000
DEFAULT_BYTES = 1_000_000
PER_MINUTE = 10
MAX_RUNNING = 8
_LIMITS = WindowLimits(60_000, PER_MINUTE)
_PIECE_BYTES = 64 * 1024
_NUMBER = re.compile(r"[0-9]{1,12}")
_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would send faster than the client receives
    "X-Content-Type-Options": "nosniff",
}


class _Stream(StallTimeoutResponse):
    max_seconds = 120.0  # the largest one at 1/3 Mbit/s: who is slower takes a smaller one


class BandwidthTest:
    """The route; one per process."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._running = 0

    @cached_property
    def _noise(self) -> bytes:
        return os.urandom(MAX_BYTES)

    async def answer(self, request: Request) -> Response:
        """Answer a test, or refuse it with 400 or 429."""
        try:
            size_bytes = _parse_size(request)
            await self._admit(request.client.host if request.client else None)
        except RateLimited as error:
            retry = {"Retry-After": str(error.retry_after_seconds)}
            return _build_refusal(429, error, retry)
        except CodedError as error:
            return _build_refusal(400, error, {})
        headers = {**_HEADERS, "Content-Length": str(size_bytes)}
        self._running += 1
        pieces = self._pieces(size_bytes)
        return _Stream(pieces, 200, headers, "application/octet-stream", self._on_end)

    def _on_end(self) -> None:
        self._running -= 1

    async def _admit(self, address: str | None) -> None:
        """Count a test.

        Raises:
            RateLimited: too many run, or too many came from this address.
        """
        self._require_room()
        result = await self._limiter.count("bandwidth", address, _LIMITS)
        if result.refused_by:
            wait_seconds = math.ceil(result.retry_ms / 1000)
            raise RateLimited("Too many tests in one minute.", retry_after_seconds=wait_seconds)
        self._require_room()  # others came in the meantime

    def _require_room(self) -> None:
        if self._running >= MAX_RUNNING:
            raise RateLimited("Too many tests run just now.", retry_after_seconds=2)

    async def _pieces(self, size_bytes: int) -> AsyncIterator[bytes]:
        for first in range(0, size_bytes, _PIECE_BYTES):
            yield self._noise[first : min(first + _PIECE_BYTES, size_bytes)]


def _parse_size(request: Request) -> int:
    """The size from `bytes`, or from `size`, its older name.

    Raises:
        ValidationFailed: no number, or out of bounds.
    """
    query = request.query_params
    text = query.get("bytes", query.get("size", str(DEFAULT_BYTES)))
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MAX_BYTES:
        raise ValidationFailed(f"`bytes` is a number from 1 to {MAX_BYTES}.", path=["bytes"])
    return int(text)


def _build_refusal(status: int, error: CodedError, headers: dict[str, str]) -> Response:
    body = Refused.of(status, error).body()
    headers = {"Cache-Control": "no-store", **headers}
    return Response(body, status, headers, "application/json; charset=utf-8")
