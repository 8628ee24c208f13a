"""METRICS_TOKEN, which operators show for the metrics and the causes in /ready."""

from __future__ import annotations

import hmac

from starlette.requests import Request

from services.settings.settings import Settings


class OperatorToken:
    """Check of the token.

    Args:
        is_private: the port is METRICS_PORT, which strangers do not reach.
    """

    def __init__(self, settings: Settings, *, is_private: bool = False) -> None:
        self._token = settings.metrics_token.get_secret_value().encode()
        self._needs_none = not self._token and (is_private or settings.metrics_port is None)

    def permits(self, request: Request) -> bool:
        """Whether the request shows the token, or needs none here."""
        if self._needs_none:
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        is_equal = hmac.compare_digest(token.strip().encode(), self._token)
        return bool(self._token) and scheme.lower() == "bearer" and is_equal
