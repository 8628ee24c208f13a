"""Publishes each API process's metrics every second to the stream that all hubs read.

While Redis is unavailable nothing is queued: counts are published later, or show as a gap.
"""

from __future__ import annotations

from contextlib import suppress

from resolvers.runtimes import OpsRuntime
from services.errors import UpstreamUnavailable
from services.playback.stream import ProgressStream
from services.telemetry import live_metrics, metrics


async def publish_metrics(stream: ProgressStream, ops: OpsRuntime) -> None:
    """Measure the progress backlog and publish a sample."""
    with suppress(UpstreamUnavailable):
        backlog = await stream.backlog()
        metrics.progress_backlog_entries.set(backlog.entries)
        metrics.progress_lag_seconds.set(backlog.oldest_seconds)
        sample = ops.live_metrics.take_sample(backlog.entries, backlog.oldest_seconds)
        await ops.metrics_hub.publish(live_metrics.encode(sample))
