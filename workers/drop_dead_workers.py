"""Removes consumers of killed flush workers, once others have claimed their entries."""

from __future__ import annotations

from resolvers.context import Runtime


async def drop_dead_workers(runtime: Runtime) -> None:
    """Remove idle consumers without pending entries."""
    await runtime.playback.stream.drop_dead_consumers()
