"""The methods that /graphql takes."""

from __future__ import annotations

from server.graphql.replies import Refused, Reply
from services.settings.settings import Settings

QUERY = "QUERY"  # draft-ietf-httpbis-safe-method-w-body
WITH_BODY = frozenset({"POST", QUERY})


class Methods:
    """The methods of these settings."""

    def __init__(self, settings: Settings) -> None:
        names = ["GET", "HEAD", "POST", *([QUERY] if settings.http_query_method else [])]
        self._names = frozenset(names)
        further = ["PUT", "DELETE"] if settings.sse_single_connection else []
        self._allow = {b"allow": ", ".join([*names, *further, "OPTIONS"]).encode()}
        self.of_pages = ["GET", "POST", *names[3:], *further]  # what CORS allows
        if settings.http_query_method:
            self._allow[b"accept-query"] = b"application/json"

    def check(self, method: str) -> None:
        """Check that an operation may come by this method.

        Raises:
            Refused: 405.
        """
        if method not in self._names:
            raise Refused(405, "Use GET or POST.", headers=self._allow)

    def describe(self) -> Reply:
        """Answer OPTIONS; preflights of CORS are answered before."""
        return Reply(204, [*self._allow.items(), (b"cache-control", b"no-store")], b"")
