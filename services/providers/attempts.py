"""Results of the chain: calls with outcomes, sources, and operators' overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from services.providers.base import ProviderInfo, Source


class AttemptOutcome(Enum):
    """Outcome of one provider call."""

    HIT = "HIT"
    EMPTY = "EMPTY"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    BREAKER_OPEN = "BREAKER_OPEN"
    BULKHEAD_FULL = "BULKHEAD_FULL"
    CANCELLED = "CANCELLED"
    DISABLED = "DISABLED"


_CONCLUSIVE = {AttemptOutcome.HIT, AttemptOutcome.EMPTY, AttemptOutcome.DISABLED}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider call as reported; `reason` is one of our codes, never a provider's text."""

    provider_key: str
    outcome: AttemptOutcome
    duration_ms: int = 0
    hedged: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ChainResult:
    """Result of the chain; no provider and no sources when none had the title."""

    sources: list[Source]
    provider: ProviderInfo | None
    attempts: list[Attempt]

    @property
    def is_certain(self) -> bool:
        """Say whether a provider has the title, or every enabled one answered that it has not."""
        return self.provider is not None or self._is_conclusive

    @property
    def is_stopgap(self) -> bool:
        """Say whether nobody checked the answer, and one that is checked may have a better one."""
        is_unchecked = self.provider is not None and not self.provider.is_checked
        return is_unchecked and not self._is_conclusive

    @property
    def _is_conclusive(self) -> bool:
        return all(one.outcome in _CONCLUSIVE for one in self.attempts)


@dataclass(frozen=True, slots=True)
class Override:
    """Operator's changes to a provider; None: as configured."""

    enabled: bool | None = None
    priority: int | None = None
    rollout_percent: int | None = None


Overrides = Callable[[], Mapping[str, Override]]  # by provider key; called for every title
