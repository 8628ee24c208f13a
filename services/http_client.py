"""The process's one HTTP client for services outside: bounded pool, no redirects, no cookies, no
proxies read from the environment, an honest User-Agent. Whoever calls sets the call's deadline.

Promise: no query of an address reaches a log: some services want their key there.
"""

from __future__ import annotations

import logging
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from services.version import VERSION

USER_AGENT = f"Marquee/{VERSION}"
HttpClient = httpx.AsyncClient  # the type other rooms name
# Above what all providers may be asked at once (PROVIDER_MAX_CALLS each): none waits for another.
_MAX_CONNECTIONS = 200


def connect(timeout_seconds: float) -> HttpClient:
    """`timeout_seconds` bounds connecting, waiting for a connection, each read and each write."""
    return httpx.AsyncClient(
        headers={"User-Agent": USER_AGENT},
        # A jar that keeps nothing: a service's cookies would only grow, and tie our calls together.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=timeout_seconds,
        limits=httpx.Limits(
            max_connections=_MAX_CONNECTIONS, max_keepalive_connections=20, keepalive_expiry=30
        ),
        follow_redirects=False,
        trust_env=False,
    )


def _strip_query(record: logging.LogRecord) -> bool:
    """Cuts the query from every address the library is about to log."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            one.copy_with(query=None) if isinstance(one, httpx.URL) else one for one in record.args
        )
    return True


logging.getLogger("httpx").addFilter(_strip_query)
