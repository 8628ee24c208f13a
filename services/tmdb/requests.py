"""Requests to TMDb: GET with the key in a header, every call under one deadline.

At most 40 requests at once; Retry-After pauses all of them; 5xx, timeouts and broken connections
are retried twice. Bodies are cached with their ETags, so what did not change is not sent again. No
redirect is followed; neither key nor body ever gets into an error or a log.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

import httpx

from services.errors import UpstreamUnavailable
from services.http_client import HttpClient
from services.retries import parse_retry_after, retry
from services.telemetry import metrics

MAX_IN_FLIGHT = 40
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_CACHED_BODIES = 500
MAX_CACHED_BYTES = 32 * 1024 * 1024
_ATTEMPTS = 3
_MAX_PAUSES = 20  # 429 answers to one call
_FIRST_WAIT_SECONDS = 0.2
_DEFAULT_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 3600.0

Query = Mapping[str, str | int]


class CachedBody(NamedTuple):
    """Body of an answer with its ETag."""

    etag: str
    body: bytes


class BodyCache:
    """Cache of the last answers by address; the least recently used is dropped first."""

    def __init__(
        self, max_entries: int = MAX_CACHED_BODIES, max_bytes: int = MAX_CACHED_BYTES
    ) -> None:
        self._entries: OrderedDict[str, CachedBody] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, address: str) -> CachedBody | None:
        """Get a cached answer and mark it as used."""
        entry = self._entries.get(address)
        if entry is not None:
            self._entries.move_to_end(address)
        return entry

    def put(self, address: str, cached: CachedBody) -> None:
        """Add an answer and drop the oldest beyond the bounds."""
        previous = self._entries.pop(address, None)
        self.bytes += len(cached.body) - (len(previous.body) if previous else 0)
        self._entries[address] = cached
        while len(self._entries) > self._max_entries or self.bytes > self._max_bytes:
            self.bytes -= len(self._entries.popitem(last=False)[1].body)


class _Busy(Exception):
    """429: ask again after this long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class _Failing(Exception):
    """Asking again may help; the text says what happened."""


class Requests:
    """Sender of requests, one object per process. `base_url` has no slash at its end."""

    def __init__(
        self, client: HttpClient, base_url: str, key: str, *, deadline_seconds: float
    ) -> None:
        self._client = client
        self._base_url = base_url
        self._deadline_seconds = deadline_seconds
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._bodies = BodyCache()
        self._paused_until = 0.0  # monotonic
        self.is_on = bool(key)
        # Not compressed: then the counted bytes are those in memory.
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }

    def require_key(self) -> None:
        """Refuse to work without a key.

        Raises:
            UpstreamUnavailable: there is none.
        """
        if not self.is_on:
            raise UpstreamUnavailable(
                "TMDb is off: set TMDB_API_KEY to an API read access token of TMDb."
            )

    async def get(self, path: str, query: Query, most_bytes: int = MAX_BODY_BYTES) -> bytes | None:
        """Fetch the body of one answer; None when TMDb has no such record.

        Raises:
            UpstreamUnavailable: there is no key, TMDb refused, or the deadline passed.
        """
        self.require_key()
        deadline = time.monotonic() + self._deadline_seconds
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await retry(
                    lambda: self._request_when_allowed(path, query, deadline, most_bytes),
                    _Failing,
                    attempts=_ATTEMPTS,
                    first_wait_seconds=_FIRST_WAIT_SECONDS,
                )
        except _Failing as failing:
            raise self._build_error(path, str(failing)) from None
        except TimeoutError:
            metrics.tmdb_requests_total.labels("late").inc()
            raise self._build_error(path, "did not answer in time") from None

    async def _request_when_allowed(
        self, path: str, query: Query, deadline: float, most_bytes: int
    ) -> bytes | None:
        for _ in range(_MAX_PAUSES + 1):
            await self._wait_for_pause(path, deadline)
            try:
                return await self._request(path, query, most_bytes)
            except _Busy as busy:
                self._pause(busy.seconds)
        raise self._build_error(path, "keeps saying that it is asked too often")

    async def _wait_for_pause(self, path: str, deadline: float) -> None:
        while (remaining_seconds := self._paused_until - time.monotonic()) > 0:
            if self._paused_until > deadline:
                message = f"TMDb is asked too often; it wants us to wait ({path})."
                raise UpstreamUnavailable(message, retry_after_seconds=int(remaining_seconds) + 1)
            await asyncio.sleep(remaining_seconds)

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)
        metrics.tmdb_requests_total.labels("limited").inc()

    async def _request(self, path: str, query: Query, most_bytes: int) -> bytes | None:
        address = self._base_url + path
        name = f"{path}?{httpx.QueryParams(dict(query))}"
        cached = self._bodies.get(name)
        headers = self._headers | ({"If-None-Match": cached.etag} if cached else {})
        try:
            async with (
                self._slots,
                self._client.stream("GET", address, params=query, headers=headers) as response,
            ):
                return await self._read(path, name, cached, response, most_bytes)
        except httpx.HTTPError as error:
            # Not chained: the library's error can hold the request with its headers.
            metrics.tmdb_requests_total.labels("failed").inc()
            late = isinstance(error, httpx.TimeoutException)
            raise _Failing("did not answer in time" if late else "broke the connection") from None

    async def _read(
        self,
        path: str,
        name: str,
        cached: CachedBody | None,
        response: httpx.Response,
        most_bytes: int,
    ) -> bytes | None:
        status = response.status_code
        metrics.tmdb_requests_total.labels(_outcome(status)).inc()
        if status == 304 and cached is not None:
            return cached.body
        if status == 404:
            return None
        if status == 429:
            raise _Busy(_pause_seconds(response))
        if status >= 500:
            raise _Failing(f"answered {status}")
        if status in (401, 403):
            raise self._build_error(path, "refused the key: look at TMDB_API_KEY")
        if status != 200:
            raise self._build_error(path, f"answered {status}")
        body = await self._read_limited(path, response, most_bytes)
        if etag := response.headers.get("etag"):
            self._bodies.put(name, CachedBody(etag, body))
        return body

    async def _read_limited(self, path: str, response: httpx.Response, most_bytes: int) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._build_error(path, "answered compressed, which was not asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > most_bytes:
                raise self._build_error(path, "answered more than fits")
        return bytes(body)

    @staticmethod
    def _build_error(path: str, description: str) -> UpstreamUnavailable:
        return UpstreamUnavailable(f"TMDb {description} ({path}).")


def _outcome(status: int) -> str:
    outcomes = {200: "answered", 304: "unchanged", 404: "absent", 429: "busy"}
    return outcomes.get(status, "failed")


def _pause_seconds(response: httpx.Response) -> float:
    """How long TMDb wants us to wait, an hour at most; a second if unsaid."""
    seconds = parse_retry_after(response.headers.get("retry-after"))
    return _DEFAULT_PAUSE_SECONDS if seconds is None else min(seconds, _LONGEST_PAUSE_SECONDS)
