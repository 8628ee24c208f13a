"""GET /.well-known/security.txt: whom to tell of a vulnerability (RFC 9116).

Without SECURITY_CONTACT there is none: 404.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from services.settings.settings import Settings

PATH = "/.well-known/security.txt"
_LIFETIME = timedelta(days=180)  # less than a year is recommended (RFC 9116, 2.5.5)
_CACHE_SECONDS = 3600


class SecurityTxt:
    """The file as the settings have it; it ends half a year after it is read."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._contacts = settings.security_contacts
        self._canonical = settings.public_address.rstrip("/") + PATH
        self._clock = clock

    async def answer(self, _request: Request) -> Response:
        """Answer with the file."""
        headers = {"Cache-Control": f"public, max-age={_CACHE_SECONDS}"}
        if not self._contacts:
            return PlainTextResponse("There is no security.txt here.\n", 404, headers)
        return PlainTextResponse("".join(f"{line}\n" for line in self._lines()), 200, headers)

    def _lines(self) -> Iterator[str]:
        for contact in self._contacts:  # in order of preference
            yield f"Contact: {contact}"
        expires_at = datetime.fromtimestamp(self._clock(), UTC) + _LIFETIME
        yield f"Expires: {expires_at:%Y-%m-%dT%H:%M:%SZ}"
        yield "Preferred-Languages: en"
        if self._canonical.startswith("https:"):
            yield f"Canonical: {self._canonical}"
