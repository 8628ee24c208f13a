"""Warning for who builds a web client on another site: its browsers never send our cookies back."""

from __future__ import annotations

from collections.abc import Mapping

from services.telemetry.logs import get_logger

log = get_logger("graphql_http")
_HINT = (
    "Cookies are SameSite=Strict: serve pages and API under one registrable domain, or sign in "
    "without X-Marquee-Auth and send the tokens in headers."
)


class OtherSiteWarning:
    """Warning of sign-ins with cookies from pages of another site, once a process."""

    def __init__(self) -> None:
        self._is_given = False

    def warn(self, headers: Mapping[bytes, bytes]) -> None:
        """Warn if a page of another site, as the browser says, was just given our cookies."""
        if self._is_given or headers.get(b"sec-fetch-site") != b"cross-site":
            return
        self._is_given = True
        origin = headers.get(b"origin", b"").decode("latin-1")[:200]
        log.warning("sign_in_from_other_site", origin=origin, hint=_HINT)
