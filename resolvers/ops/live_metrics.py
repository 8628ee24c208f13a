"""Live metrics: a point of the whole service every second, from this process's hub.

A client that is slow gets the newest points and is told of the gap; one that comes back with its
cursor gets what it missed, as long as the stream has it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from models import Role
from resolvers.context import Context
from services.errors import UpstreamUnavailable, ValidationFailed
from services.feed import Feed
from services.redis.hub import Batch, Hub, Id, Subscription, parse_cursor
from services.telemetry.live_metrics import Point

MAX_INTERVAL_SECONDS = 60
MAX_RECENT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class LiveMetricsEvent:
    """Points of the live metrics, at least one."""

    batch: Batch[Point]

    @property
    def cursor(self) -> str:
        """The last point's cursor."""
        return self.batch.cursor

    @property
    def points(self) -> list[Point]:
        """The points, oldest first."""
        return [message.value for message in self.batch.messages]

    @property
    def gap(self) -> bool:
        """Whether points before or between these are missing."""
        return self.batch.gap


class MetricsFeed(Feed[LiveMetricsEvent]):
    """One subscriber's points.

    Args:
        room: how many points an event has, and how many wait at most.
        after: the cursor to continue from; None starts with the newest point.
    """

    def __init__(self, hub: Hub[Point], room: int, after: Id | None) -> None:
        self._hub = hub
        self._room = room
        self._resume_after = after
        self._replayed: Batch[Point] | None = None
        self._subscription: Subscription[Point] | None = None
        self._is_closed = False

    async def open(self) -> None:
        """Subscribe, and read what was missed.

        Raises:
            TooManyStreams: this process has as many subscribers as it may.
        """
        subscription = self._subscription = self._hub.open(self._room)
        if self._resume_after is not None:
            self._replayed = await _replay(self._hub, subscription, self._resume_after)
        subscription.listen(self._on_ready)

    def take(self) -> LiveMetricsEvent | None:
        if self._subscription is None:
            return None
        batch, self._replayed = self._replayed, None
        batch = batch or self._subscription.take()
        return None if batch is None else LiveMetricsEvent(batch)

    @property
    def is_ended(self) -> bool:
        return self._is_closed or (self._subscription is not None and self._subscription.is_closed)

    def close(self) -> None:
        self._is_closed = True
        if self._subscription is not None:
            self._hub.close(self._subscription)

    def share_key(self, event: LiveMetricsEvent) -> Hashable:
        batch = event.batch
        return batch.messages[-1].id, batch.messages[-1].generation, len(batch.messages), batch.gap


def live_metrics(
    context: Context, interval_seconds: int = 1, resume_after: str | None = None
) -> MetricsFeed:
    """Feed of metrics: the newest point, or all since `resume_after`, then the new ones.

    Args:
        interval_seconds: how many one-second points each event has.

    Raises:
        Unauthenticated, Forbidden: only operators see metrics.
        ValidationFailed: `interval_seconds` is not between 1 and 60.
        InvalidCursor: `resume_after` is not the cursor of an event.
    """
    context.require(Role.OPERATOR)
    if not 1 <= interval_seconds <= MAX_INTERVAL_SECONDS:
        raise ValidationFailed(
            f"Ask for 1 to {MAX_INTERVAL_SECONDS} seconds.", path=["intervalSeconds"]
        )
    after = parse_cursor(resume_after) if resume_after is not None else None
    return MetricsFeed(context.runtime.ops.metrics_hub, interval_seconds, after)


async def recent_metrics(context: Context, seconds: int) -> LiveMetricsEvent | None:
    """The points of the last seconds, as far as the stream has them; None without any.

    `live_metrics` continues after the event's cursor.

    Raises:
        Unauthenticated, Forbidden: only operators see metrics.
        ValidationFailed: `seconds` is not between 1 and 600.
        UpstreamUnavailable: Redis did not answer in time.
    """
    context.require(Role.OPERATOR)
    if not 1 <= seconds <= MAX_RECENT_SECONDS:
        raise ValidationFailed(f"Ask for 1 to {MAX_RECENT_SECONDS} seconds.", path=["seconds"])
    recent = await context.runtime.ops.metrics_hub.read_recent(seconds)
    return LiveMetricsEvent(recent) if recent.messages else None


async def _replay(
    hub: Hub[Point], subscription: Subscription[Point], after: Id
) -> Batch[Point] | None:
    """The points since `after`; None without any. The subscription continues behind them.

    Points that cannot be replayed are marked as a gap of the subscription's first batch, which is
    the newest where `after` is of another stream, as when Redis was rebuilt.
    """
    subscription.skip_to(after)
    try:
        replayed = await hub.replay_after(after)
    except UpstreamUnavailable:
        subscription.mark_gap()
        return None
    if not replayed.messages:
        if replayed.gap:
            hub.restart(subscription)
        return None
    subscription.skip_to(replayed.messages[-1].id)
    return replayed
