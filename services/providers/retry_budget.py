"""Retry budget: one retry in ten calls.

A service in trouble is not called twice as often. A token bucket: a call adds a tenth of a token, a
retry takes a whole one (Google's SRE book, "Handling Overload", has the same share).
"""

from __future__ import annotations

_SHARE = 0.1
_MOST_TOKENS = 10.0


class RetryBudget:
    """Token bucket of one service's retries. A process that has just started may retry once."""

    def __init__(self, share: float = _SHARE, most_tokens: float = _MOST_TOKENS) -> None:
        self._share = share
        self._most = most_tokens
        self._tokens = 1.0

    def record_call(self) -> None:
        """Add a call's share of a token."""
        self._tokens = min(self._most, self._tokens + self._share)

    def spend_token(self) -> bool:
        """Spend the token of one retry; False when there is none."""
        if self._tokens < 1 - 1e-9:  # ten tenths are one, also in floating point
            return False
        self._tokens -= 1
        return True
