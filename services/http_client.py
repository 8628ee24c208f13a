"""The process's one HTTP client for external services.

Bounded pool, no redirects, no cookies, no proxies from the environment, an honest User-Agent. The
caller sets a call's deadline. No query string reaches a log: some services expect their key there.
"""

from __future__ import annotations

import logging
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from services.version import VERSION

USER_AGENT = f"Marquee/{VERSION}"
HttpClient = httpx.AsyncClient  # the type other modules name
# More than all providers' calls at once (PROVIDER_MAX_CALLS each), so that none waits for another.
_MAX_CONNECTIONS = 200


def connect(timeout_seconds: float) -> HttpClient:
    """Build the client.

    Args:
        timeout_seconds: bounds connecting, waiting for a connection, each read and each write.
    """
    return httpx.AsyncClient(
        headers={"User-Agent": USER_AGENT},
        # A jar that stores nothing: cookies would only grow, and link our calls to each other.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=timeout_seconds,
        limits=httpx.Limits(
            max_connections=_MAX_CONNECTIONS, max_keepalive_connections=20, keepalive_expiry=30
        ),
        follow_redirects=False,
        trust_env=False,
    )


def is_web_address(text: str) -> bool:
    """Whether a text is an absolute http(s) address with a host, and a port that can be."""
    try:
        address = httpx.URL(text)
        has_port = address.port is None or 0 < address.port < 65536
    except httpx.InvalidURL:
        return False
    return has_port and address.scheme in ("https", "http") and bool(address.host)


def build_unconnected() -> HttpClient:
    """Build a client that calls nobody, for what is built only to see whether it can be."""
    return httpx.AsyncClient(transport=httpx.AsyncBaseTransport(), trust_env=False)


def _strip_query(record: logging.LogRecord) -> bool:
    """Remove the query from every address that the library is about to log."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            one.copy_with(query=None) if isinstance(one, httpx.URL) else one for one in record.args
        )
    return True


logging.getLogger("httpx").addFilter(_strip_query)
