"""Which pages may use the API from a browser: those of CORS_ORIGIN, and those of this host.

In development pages of this machine may too, whatever port their dev server has.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from services.settings.settings import Settings

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?"


class Origins:
    """The origins of this deployment."""

    def __init__(self, settings: Settings) -> None:
        names = [name.strip() for name in settings.cors_origin.split(",")]
        self.named = [name for name in names if name]
        self.pattern = None if settings.is_production else _LOOPBACK  # of further named ones
        self._public = _split(settings.public_url or "")

    def is_named(self, origin: str | None) -> bool:
        """Whether CORS_ORIGIN has the origin, or every one, or it is development's."""
        if origin is None:
            return False
        if origin in self.named or "*" in self.named:
            return True
        return self.pattern is not None and re.fullmatch(self.pattern, origin) is not None

    def is_own(self, origin: str, scheme: str, host: str | None) -> bool:
        """Whether a page of the origin came from here, by its scheme, host and port.

        Args:
            scheme: of the request, http or ws, https or wss.
            host: its Host header.
        """
        page = _split(origin)
        if page is None or not host:
            return False
        return page in (self._public, _split(f"{_HTTP_SCHEMES.get(scheme, scheme)}://{host}"))


def _split(address: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port; None for what is no origin."""
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
