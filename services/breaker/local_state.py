"""A circuit breaker in one process's memory, by the rules of lua/breaker_step.lua.

While Redis answers, it takes over the shared status and remembers this process's own calls; while
Redis is away, those calls decide. Times are ms of the clock that the caller reads.
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
    """One breaker's local state. A forced state lasts until Redis reports another."""

    def __init__(self, name: str, rules: BreakerRules) -> None:
        self._rules = rules
        self._window = CallWindow(rules.bucket_ms)
        self._permits: dict[str, int] = {}  # permit -> when it expires
        self._successes = 0
        self.status = BreakerStatus(name)

    @property
    def state(self) -> BreakerState:
        """The current state."""
        return self.status.state

    def apply_remote(self, remote: BreakerStatus) -> None:
        """Take over the status that Redis reported."""
        if remote.state is not self.state:
            self._change_state(remote.state, 0)
        self.status = remote

    def add(self, now_ms: int, failed: bool, slow: bool) -> None:
        """Count one call of this process."""
        self._window.add(now_ms, failed, slow)

    def judge(self, now_ms: int) -> None:
        """Open a closed breaker after too many failures or slow calls."""
        is_closed = self.state is BreakerState.CLOSED and not self.status.forced
        if is_closed and self._rules.should_open(*self._window.get_totals(now_ms)):
            self._change_state(BreakerState.OPEN, now_ms)

    def grant(self, now_ms: int, permit: str) -> bool:
        """Decide whether a call may be made; an open breaker that is due becomes half-open."""
        if self.status.forced:
            return self.state is BreakerState.CLOSED
        if self.state is BreakerState.OPEN and now_ms >= self.status.retry_ms:
            self._change_state(BreakerState.HALF_OPEN, now_ms)
        if self.state is BreakerState.HALF_OPEN:
            return self._grant_probe(now_ms, permit)
        return self.state is BreakerState.CLOSED

    def _grant_probe(self, now_ms: int, permit: str) -> bool:
        self._permits = {one: until for one, until in self._permits.items() if until > now_ms}
        out, rules = len(self._permits), self._rules
        if out >= rules.probes or out + self._successes >= rules.successes:
            return False
        self._permits[permit] = now_ms + rules.permit_ms
        return True

    def end_probe(self, now_ms: int, permit: str, outcome: CallOutcome) -> None:
        """Count the end of a probe; permits of an earlier half-open period are ignored."""
        if self._permits.pop(permit, None) is None or self.status.forced:
            return
        if outcome is CallOutcome.FAILED:
            self._change_state(BreakerState.OPEN, now_ms)
        elif outcome is CallOutcome.OK:
            self._successes += 1
            if self._successes >= self._rules.successes:
                self._change_state(BreakerState.CLOSED, now_ms)

    def get_local_status(self, now_ms: int) -> BreakerStatus:
        """Return the status with the counts of this process's own calls."""
        calls, failures, slow = self._window.get_totals(now_ms)
        return msgspec.structs.replace(self.status, calls=calls, failures=failures, slow_calls=slow)

    def _change_state(self, state: BreakerState, now_ms: int) -> None:
        self._permits, self._successes = {}, 0
        opened, retry = self.status.opened_ms, self.status.retry_ms
        if state is BreakerState.OPEN:
            opened, retry = now_ms, now_ms + self._rules.open_ms
        if state is BreakerState.CLOSED:
            opened = retry = 0
            self._window.drain()
        self.status = msgspec.structs.replace(
            self.status, state=state, opened_ms=opened, retry_ms=retry
        )
