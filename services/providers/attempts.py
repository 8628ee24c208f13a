"""What the chain tells: every try with its outcome, what was found, and what operators changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from services.providers.base import ProviderInfo, Source


class AttemptOutcome(Enum):
    HIT = "HIT"
    EMPTY = "EMPTY"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    BREAKER_OPEN = "BREAKER_OPEN"
    BULKHEAD_FULL = "BULKHEAD_FULL"
    CANCELLED = "CANCELLED"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`reason` is one of our own words, never a text of the provider's."""

    provider_key: str
    outcome: AttemptOutcome
    duration_ms: int = 0
    hedged: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What the chain came back with: no provider and no sources when none had the title."""

    sources: list[Source]
    provider: ProviderInfo | None
    attempts: list[Attempt]

    @property
    def is_certain(self) -> bool:
        """Some provider has the title, or every enabled one said that it does not."""
        conclusive = {AttemptOutcome.HIT, AttemptOutcome.EMPTY, AttemptOutcome.DISABLED}
        return self.provider is not None or all(one.outcome in conclusive for one in self.attempts)


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator changed of a provider; None leaves what is configured."""

    enabled: bool | None = None
    priority: int | None = None
    rollout_percent: int | None = None


Overrides = Callable[[], Mapping[str, Override]]  # by provider key; asked anew for every title
