"""Health of a provider in this process: its p95 and a score.

score = success x speed x liveness, each 0 to 1; samples out of the window no longer count:
success = (4 + good samples) / (4 + samples): a provider with few samples counts as healthy;
speed = 1 up to half the timeout, falling to 0.5 at the timeout, by p95;
liveness = 0.5 + 0.5 x the share of its sources that it says are working.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

_WINDOW_SECONDS = 120
_MAX_SAMPLES = 200
_PRIOR_SAMPLES = 4
_MIN_ANSWERS = 20  # fewer say nothing about the slowest in twenty
_HEDGE_FACTOR = 1.5  # of p95: about one call in thirty is hedged
_MIN_HEDGE_DELAY_SECONDS = 0.05  # what is quicker than this is not worth a second call
_HEALTHY = 0.8


class _Sample(NamedTuple):
    at: float
    worth: float  # 1: good; 0: failed; between: overtaken
    answered_seconds: float | None  # None: no answer came
    live_share: float | None  # None: no sources came


class ProviderHealth:
    """Recent answers of one provider. `clock` counts seconds and never goes back."""

    def __init__(
        self, *, timeout_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._timeout = timeout_seconds
        self._clock = clock
        self._samples: deque[_Sample] = deque(maxlen=_MAX_SAMPLES)

    def record_answer(
        self, seconds: float, *, good: bool = True, live_share: float | None = None
    ) -> None:
        """Record an answer; not `good`: it lacked a title that another provider had."""
        self._add(float(good), seconds, live_share)

    def record_failure(self) -> None:
        """Record a call without an answer."""
        self._add(0.0)

    def record_overtaken(self) -> None:
        """Record a call that a later one overtook: half a failure."""
        self._add(0.5)

    @property
    def p95_seconds(self) -> float | None:
        """95th percentile of answer times (nearest rank); None without answers."""
        answers = self._answers()
        return answers[math.ceil(0.95 * len(answers)) - 1] if answers else None

    def hedge_delay_seconds(self, default: float) -> float:
        """Time to wait for an answer before the next provider is called too."""
        answers = self._answers()
        p95 = self.p95_seconds
        if p95 is None or len(answers) < _MIN_ANSWERS:
            return default
        return max(_MIN_HEDGE_DELAY_SECONDS, _HEDGE_FACTOR * p95)

    @property
    def score(self) -> float:
        """Score from 0 to 1: success x speed x liveness."""
        samples = self._recent()
        worth = sum(sample.worth for sample in samples)
        success = (_PRIOR_SAMPLES + worth) / (_PRIOR_SAMPLES + len(samples))
        shares = [sample.live_share for sample in samples if sample.live_share is not None]
        liveness = 0.5 + 0.5 * sum(shares) / len(shares) if shares else 1.0
        return success * self._speed() * liveness

    def rank(self, priority: int) -> float:
        """Rank for sorting, lowest first: priority / score; healthy ones by priority alone."""
        score = self.score
        return max(priority, 1) / (1.0 if score >= _HEALTHY else max(score, 0.01))

    def _speed(self) -> float:
        half = self._timeout / 2
        over = ((self.p95_seconds or 0.0) - half) / half
        return 1 - 0.5 * min(max(over, 0.0), 1.0)

    def _answers(self) -> list[float]:
        """Their seconds, the quickest first."""
        return sorted(
            sample.answered_seconds
            for sample in self._recent()
            if sample.answered_seconds is not None
        )

    def _recent(self) -> deque[_Sample]:
        oldest = self._clock() - _WINDOW_SECONDS
        while self._samples and self._samples[0].at < oldest:
            self._samples.popleft()
        return self._samples

    def _add(
        self, worth: float, answered_seconds: float | None = None, live_share: float | None = None
    ) -> None:
        self._samples.append(_Sample(self._clock(), worth, answered_seconds, live_share))
