"""What a process has noted of a prefix or an account and not sent to Redis yet."""

from __future__ import annotations

from dataclasses import dataclass

from services.limits.abuse_rules import DOCUMENTS_SECONDS, AbuseSignals


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address belongs: its prefix and, in IPv6, the /48 around that."""

    prefix: str
    site: str | None


class PrefixNotes:
    """Signals of a prefix that this process has not sent yet; `uncounted` is a token bucket."""

    __slots__ = (
        "documents",
        "documents_until",
        "filled_at",
        "new_documents",
        "points",
        "requests",
        "site",
        "uncounted",
    )

    def __init__(self, uncounted: float, now: float, site: str | None = None) -> None:
        self.site = site
        self.uncounted = uncounted
        self.filled_at = now
        self.requests = 0
        self.points = 0.0
        self.documents: set[str] = set()
        self.new_documents: list[str] = []
        self.documents_until = now + DOCUMENTS_SECONDS

    def drain(self) -> AbuseSignals:
        """Return the signals and start again from zero."""
        signals = AbuseSignals(self.requests, self.points, tuple(self.new_documents))
        self.requests, self.points = 0, 0.0
        self.new_documents.clear()
        return signals
