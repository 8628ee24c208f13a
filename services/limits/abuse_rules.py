"""Scoring of suspicious address prefixes. No I/O happens here.

Scores halve with time (ABUSE_HALF_LIFE_SECONDS). Requests and new documents cost nothing up to what
an office full of viewers needs. lua/abuse_count.lua has the rules, for all processes; LocalScore
has the part of them that refuses a flood.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from services.settings.settings import Settings

BURST_SECONDS = 4  # of requests, on top of the rate
DOCUMENTS_SECONDS = 60
MAX_DOCUMENTS = 256
REQUEST_POINTS = 0.2  # beyond the rate
DOCUMENT_POINTS = 2.0  # beyond the free ones
_LEAVING_SHARE = 0.8  # of the score that led to a level: no flapping


class Signal(Enum):
    """Events that add points to a prefix, besides its requests and documents."""

    UNKNOWN_DOCUMENT = "unknown_document"  # an id nobody registered
    INVALID_REQUEST = "invalid_request"  # a body, a document or variables that are refused
    FAILED_SIGN_IN = "failed_sign_in"
    COST_REFUSED = "cost_refused"  # an operation far too large
    RATE_LIMITED = "rate_limited"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a name; a request that was answered 401
    NOT_FOUND = "not_found"  # a request that was answered 404


POINTS = {
    Signal.UNKNOWN_DOCUMENT: 2.0,
    Signal.INVALID_REQUEST: 2.0,
    Signal.FAILED_SIGN_IN: 10.0,
    Signal.COST_REFUSED: 5.0,
    Signal.RATE_LIMITED: 1.0,
    Signal.INVALID_TOKEN: 2.0,
    Signal.NOT_FOUND: 1.0,
}


class AbuseLevel(IntEnum):
    """Restriction of a prefix's requests; each level includes the one before."""

    NORMAL = 0
    SLOW = 1
    DOCUMENTS = 2  # only documents that the operator published are run
    BLOCKED = 3

    @property
    def label(self) -> str:
        """The name in metrics and logs."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class AbuseRules:
    """Thresholds and rates of scoring, from the settings ABUSE_*."""

    requests_per_second: float = 50
    documents: int = 20
    half_life_seconds: float = 60
    slow_score: float = 100
    documents_score: float = 200
    block_score: float = 400
    block_seconds: float = 60
    block_most_seconds: float = 86_400

    @classmethod
    def of(cls, settings: Settings) -> AbuseRules:
        """Build the rules from the settings."""
        return cls(
            requests_per_second=settings.abuse_requests_per_second,
            documents=settings.abuse_operation_shapes,
            half_life_seconds=settings.abuse_half_life_seconds,
            slow_score=settings.abuse_slow_score,
            documents_score=settings.abuse_documents_score,
            block_score=settings.abuse_block_score,
            block_seconds=settings.abuse_block_seconds,
            block_most_seconds=settings.abuse_block_most_seconds,
        )

    def decay(self, score: float, seconds: float) -> float:
        """Return what is left of a score after `seconds`."""
        return float(score * 0.5 ** (max(0.0, seconds) / self.half_life_seconds))

    def choose_level(self, score: float, before: AbuseLevel) -> AbuseLevel:
        """Return the level of a score.

        Args:
            before: the level until now. It ends only well below its threshold, so that levels do
                not flap; BLOCKED ends by time instead.
        """
        reached: AbuseLevel = AbuseLevel.NORMAL
        for level, threshold in self._thresholds():
            is_holding = level <= before < AbuseLevel.BLOCKED
            if score >= (_LEAVING_SHARE * threshold if is_holding else threshold):
                reached = level
        return reached

    def _thresholds(self) -> tuple[tuple[AbuseLevel, float], ...]:
        return (
            (AbuseLevel.SLOW, self.slow_score),
            (AbuseLevel.DOCUMENTS, self.documents_score),
            (AbuseLevel.BLOCKED, self.block_score),
        )


@dataclass(slots=True)
class AbuseSignals:
    """Signals of a prefix since it was last counted."""

    requests: int = 0
    points: float = 0.0
    document_hashes: tuple[str, ...] = ()


@dataclass(slots=True)
class PrefixStatus:
    """Status of a prefix at `at`, in seconds since 1970; `until` is a block's end, else 0."""

    prefix: str
    level: AbuseLevel = AbuseLevel.NORMAL
    score: float = 0.0
    at: float = 0.0
    until: float = 0.0

    @property
    def is_set_by_operator(self) -> bool:
        """Whether an operator blocked the prefix: such a block has no score."""
        return self.level is AbuseLevel.BLOCKED and self.score == 0

    def get_level_at(self, now: float, rules: AbuseRules) -> AbuseLevel:
        """Return the level at `now`, after the decay since `at`."""
        if self.until > now:
            return AbuseLevel.BLOCKED
        return rules.choose_level(rules.decay(self.score, now - self.at), self.level)


@dataclass(slots=True)
class LocalScore(PrefixStatus):
    """Score of a prefix in one process while Redis is away, without documents and longer blocks."""

    free: float | None = None

    def count(self, signals: AbuseSignals, now: float, rules: AbuseRules) -> None:
        """Add signals to the score and update the level; ignored during a block."""
        if self.until > now:
            return
        seconds = max(0.0, now - self.at)
        burst = BURST_SECONDS * rules.requests_per_second
        free = burst if self.free is None else self.free + seconds * rules.requests_per_second
        remaining = min(burst, free) - signals.requests
        self.free, self.at = max(0.0, remaining), max(now, self.at)
        self.score = rules.decay(self.score, seconds) + signals.points
        self.score += max(0.0, -remaining) * REQUEST_POINTS
        self.level, self.until = rules.choose_level(self.score, AbuseLevel.NORMAL), 0.0
        if self.level is AbuseLevel.BLOCKED:
            self.until = now + rules.block_seconds
            self.score = rules.slow_score  # after it the level is SLOW at most
