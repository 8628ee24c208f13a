"""A circuit breaker in one process's memory: the fleet's status, or a decision without Redis.

It is simpler than lua/breaker_step.lua and need not agree with it. Times are ms of the clock that
the caller reads.
"""

from __future__ import annotations

import msgspec

from services.breaker.rules import BUCKETS, BreakerRules, BreakerState, BreakerStatus, CallOutcome

Counts = tuple[int, int, int]  # calls, failures, slow calls


class CallWindow:
    """Counts of calls in the last `BUCKETS` buckets of `bucket_ms` each."""

    def __init__(self, bucket_ms: int) -> None:
        self._bucket_ms = bucket_ms
        self._buckets: dict[int, Counts] = {}

    def add(self, now_ms: int, failed: bool, slow: bool) -> None:
        """Count one call in the bucket of `now_ms`."""
        self.add_counts(now_ms // self._bucket_ms, (1, int(failed), int(slow)))
        self._drop_old(now_ms)

    def add_counts(self, bucket: int, counts: Counts) -> None:
        """Add counts to one bucket, numbered by time divided by `bucket_ms`."""
        calls, failures, slow = self._buckets.get(bucket, (0, 0, 0))
        self._buckets[bucket] = (calls + counts[0], failures + counts[1], slow + counts[2])

    def get_totals(self, now_ms: int) -> Counts:
        """Sum all buckets that are still inside the window."""
        self._drop_old(now_ms)
        seen = self._buckets.values()
        return sum(s[0] for s in seen), sum(s[1] for s in seen), sum(s[2] for s in seen)

    def drain(self) -> dict[int, Counts]:
        """Return the counts of every bucket and empty the window."""
        buckets, self._buckets = self._buckets, {}
        return buckets

    def _drop_old(self, now_ms: int) -> None:
        oldest = now_ms // self._bucket_ms - BUCKETS
        for bucket in [bucket for bucket in self._buckets if bucket <= oldest]:
            del self._buckets[bucket]


class LocalBreaker:
    """One breaker's status as this process knows it, and what it decides while Redis is away.

    One probe at a time passes when an open breaker is due; a good one closes it, a failed one opens
    it again. A forced state lasts until Redis reports another.
    """

    def __init__(self, name: str, rules: BreakerRules) -> None:
        self._rules = rules
        self._probe = ""
        self._probe_until_ms = 0
        self.status = BreakerStatus(name)

    @property
    def state(self) -> BreakerState:
        """Return the state alone."""
        return self.status.state

    def apply_remote(self, remote: BreakerStatus) -> None:
        """Take over the status that Redis reported."""
        if remote.state is not self.state:
            self._probe = ""
        self.status = remote

    def judge(self, now_ms: int, counts: Counts) -> None:
        """Open a closed breaker after too many failures or slow calls."""
        is_closed = self.state is BreakerState.CLOSED and not self.status.forced
        if is_closed and self._rules.should_open(*counts):
            self._open(now_ms)

    def grant(self, now_ms: int, permit: str) -> bool:
        """Decide whether a call may be made; the probe of an open breaker makes it half-open."""
        if self.status.forced or self.state is BreakerState.CLOSED:
            return self.state is BreakerState.CLOSED
        is_probed = bool(self._probe) and now_ms < self._probe_until_ms
        if is_probed or now_ms < self.status.retry_ms:
            return False
        self._probe, self._probe_until_ms = permit, now_ms + self._rules.permit_ms
        self._change(BreakerState.HALF_OPEN)
        return True

    def end_probe(self, now_ms: int, permit: str, outcome: CallOutcome) -> None:
        """Apply the outcome of the probe; any other permit is ignored."""
        if permit != self._probe or self.status.forced:
            return
        self._probe = ""
        if outcome is CallOutcome.FAILED:
            self._open(now_ms)
        elif outcome is CallOutcome.OK:
            self._change(BreakerState.CLOSED, opened_ms=0, retry_ms=0)

    def _open(self, now_ms: int) -> None:
        retry_ms = now_ms + self._rules.open_ms
        self._change(BreakerState.OPEN, opened_ms=now_ms, retry_ms=retry_ms)

    def _change(self, state: BreakerState, **times: int) -> None:
        self.status = msgspec.structs.replace(self.status, state=state, **times)
