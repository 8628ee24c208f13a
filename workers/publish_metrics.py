"""Publishes each API process's metrics every second to the stream that all hubs read.

While Redis is unavailable nothing is queued: counts are published later, or show as a gap.
"""

from __future__ import annotations

from contextlib import suppress

from resolvers.context import Runtime
from services.errors import UpstreamUnavailable
from services.telemetry import live_metrics, metrics


async def publish_metrics(runtime: Runtime) -> None:
    """Measure the progress backlog and publish a sample."""
    with suppress(UpstreamUnavailable):
        backlog = await runtime.playback.stream.backlog()
        metrics.progress_backlog_entries.set(backlog.entries)
        metrics.progress_lag_seconds.set(backlog.oldest_seconds)
        sample = runtime.ops.live_metrics.take_sample(backlog.entries, backlog.oldest_seconds)
        await runtime.ops.metrics_hub.publish(live_metrics.encode(sample))
