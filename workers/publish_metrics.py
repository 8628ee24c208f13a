"""Every second, in each API process: what it saw goes to the stream that all hubs read.

While Redis is away nothing waits for it: what was counted is told later, or shows as a gap.
"""

from __future__ import annotations

from contextlib import suppress

from resolvers.context import Runtime
from services.errors import UpstreamUnavailable
from services.telemetry import live_metrics, metrics


async def publish_metrics(runtime: Runtime) -> None:
    with suppress(UpstreamUnavailable):
        backlog = await runtime.playback.stream.backlog()
        metrics.progress_backlog_entries.set(backlog.entries)
        metrics.progress_lag_seconds.set(backlog.oldest_seconds)
        sample = runtime.live_metrics.take_sample(backlog.entries, backlog.oldest_seconds)
        await runtime.metrics_hub.publish(live_metrics.encode(sample))
