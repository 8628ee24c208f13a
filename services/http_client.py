"""The process's one HTTP client for services outside: bounded pool, no redirects, no proxies read
from the environment, an honest User-Agent. Whoever calls puts the whole call under a deadline.
"""

from __future__ import annotations

import httpx

from services.version import VERSION

USER_AGENT = f"Marquee/{VERSION}"
HttpClient = httpx.AsyncClient  # the type other rooms name


def connect(timeout_seconds: float) -> HttpClient:
    """`timeout_seconds` bounds connecting, waiting for a connection, each read and each write."""
    return httpx.AsyncClient(
        headers={"User-Agent": USER_AGENT},
        timeout=timeout_seconds,
        limits=httpx.Limits(max_connections=40, max_keepalive_connections=20, keepalive_expiry=30),
        follow_redirects=False,
        trust_env=False,
    )
