"""RateLimit and RateLimit-Policy headers (the IETF HTTPAPI draft, structured fields).

A client over its limit gets 429 with Retry-After. Answers that shared caches may store have no
such headers: they are for every client.
"""

from __future__ import annotations

from functools import lru_cache

from services.limits.rate_limit import Admission

_TOO_MANY_REQUESTS = 429


def add_rate_headers(headers: dict[bytes, bytes], status: int, admission: Admission) -> int:
    """Add the headers; return the answer's status."""
    if not admission.is_allowed:
        headers[b"retry-after"] = b"%d" % admission.retry_after_seconds
        status = _TOO_MANY_REQUESTS
    if b"cache-control" not in headers:
        tier, _, limits = admission.quota_key
        name, headers[b"ratelimit-policy"] = _policy(tier, limits.requests, limits.window_ms)
        quota = name, admission.remaining_requests, admission.full_seconds
        headers[b"ratelimit"] = b'"%b";r=%d;t=%d' % quota
    return status


@lru_cache(maxsize=16)
def _policy(tier: str, requests: int, window_ms: int) -> tuple[bytes, bytes]:
    """The policy's name and its header; windows are in whole seconds."""
    name = tier.lower().encode()
    return name, b'"%b";q=%d;w=%d' % (name, requests, -(-window_ms // 1000))
