"""Headers that keep browsers from misusing an answer.

The API's answers run nothing, load nothing and are framed nowhere. Art and films may be shown and
read by other sites' pages, without cookies; an SVG opened as a page runs nothing either. Built
once, not per request.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.settings.settings import Settings

Header = tuple[bytes, bytes]
_YEAR_SECONDS = 365 * 86400
_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_SHOWN_ELSEWHERE = ("/art/", "/media/")
_FOR_ALL: tuple[Header, ...] = (
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Content-Length, Content-Range, Retry-After"),
)
_ALWAYS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
)


class SecurityHeaders:
    """The security headers of this deployment."""

    def __init__(self, settings: Settings) -> None:
        always = _ALWAYS
        if settings.is_production and settings.public_address.startswith("https://"):
            # The proxy in front ends TLS, so the request itself does not tell.
            always += ((b"strict-transport-security", b"max-age=%d" % _YEAR_SECONDS),)
        policy = (b"content-security-policy", _POLICY)
        self._own = (*always, policy, (b"cross-origin-resource-policy", b"same-origin"))
        self._shown = (*always, policy, *_FOR_ALL)

    def add_to(self, path: str, headers: Sequence[Header]) -> list[Header]:
        """The answer's headers and ours; a header the route has set itself stays."""
        if path == "/graphql":  # the busiest, which has none of these
            return [*headers, *self._own]
        ours = self._shown if path.startswith(_SHOWN_ELSEWHERE) else self._own
        present_names = {name.lower() for name, _ in headers}
        return [*headers, *(header for header in ours if header[0] not in present_names)]
