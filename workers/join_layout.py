"""Says in how many shards this process lays progress out, so that no other starts with another."""

from __future__ import annotations

from resolvers.context import Runtime
from services.errors import StartupError
from services.telemetry.logs import get_logger

log = get_logger("workers")


async def join_layout(runtime: Runtime) -> None:
    """Say it; that it differs after all, for Redis was away at start, is an error in the log."""
    try:
        await runtime.playback.layout.join()
    except StartupError as error:
        log.error("progress_layout_differs", error=str(error))
