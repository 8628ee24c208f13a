"""Calls to a CDN's API: one POST under one deadline, no redirect, failures as PurgeFailed.

Retry-After pauses this process's next calls. No key or body gets into an error or a log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import httpx

from services.errors import PurgeFailed
from services.http_client import HttpClient
from services.retries import parse_retry_after
from services.telemetry import metrics

_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_DEFAULT_PAUSE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 3600.0
_BUSY = (420, 429)  # 420: Cloudinary's


class PurgeCalls:
    """Calls to one CDN's API, one object per process. `name` is the service's, for errors."""

    def __init__(self, client: HttpClient, name: str, deadline_seconds: float) -> None:
        self._client = client
        self._name = name
        self._deadline_seconds = deadline_seconds
        self._paused_until = 0.0  # monotonic

    async def post(
        self, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Post one request: the status and body of its answer.

        Raises:
            PurgeFailed: it was not sent, or the service was busy, failed or refused our key.
        """
        remaining_seconds = self._paused_until - time.monotonic()
        if remaining_seconds > 0:
            raise PurgeFailed(
                f"{self._name} wants us to wait.", retry_after_seconds=remaining_seconds
            )
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._post(address, body, headers)
        except (TimeoutError, httpx.HTTPError) as error:
            # Not chained: the library's error can hold the request with its headers.
            late = isinstance(error, TimeoutError | httpx.TimeoutException)
            description = "did not answer in time" if late else "broke the connection"
            raise self.record_failure(description, "failed") from None

    def count_answered(self) -> None:
        """Count an answered request in the metrics."""
        metrics.purge_requests_total.labels("answered").inc()

    def record_failure(
        self, description: str, outcome: str, *, is_final: bool = False
    ) -> PurgeFailed:
        """Count a failed request; returns the error to raise."""
        metrics.purge_requests_total.labels(outcome).inc()
        return PurgeFailed(f"{self._name} {description}.", is_final=is_final)

    def record_busy(self, seconds: float) -> PurgeFailed:
        """Count a busy answer and pause all calls; returns the error to raise."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)
        metrics.purge_requests_total.labels("busy").inc()
        return PurgeFailed(f"{self._name} is asked too often.", retry_after_seconds=seconds)

    async def _post(
        self, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        all_headers = {"Accept-Encoding": "identity", **headers}
        async with self._client.stream(
            "POST", address, content=body, headers=all_headers
        ) as response:
            status = response.status_code
            if status in _BUSY:
                raise self.record_busy(_pause_seconds(response))
            if status >= 500:
                raise self.record_failure(f"answered {status}", "failed")
            if status in (401, 403):
                raise self.record_failure(f"refused the key ({status})", "refused")
            return status, await self._read_limited(response)

    async def _read_limited(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                raise self.record_failure("answered more than fits", "failed")
        return bytes(body)


def _pause_seconds(response: httpx.Response) -> float:
    """How long the service wants us to wait: a second to an hour; half a minute if unsaid."""
    seconds = parse_retry_after(response.headers.get("retry-after"))
    if seconds is None:
        return _DEFAULT_PAUSE_SECONDS
    return min(max(1.0, seconds), _LONGEST_PAUSE_SECONDS)
