"""Removes consumers of killed flush workers, once others have claimed their entries."""

from __future__ import annotations

from services.playback.stream import ProgressStream


async def drop_dead_workers(stream: ProgressStream) -> None:
    """Remove idle consumers without pending entries."""
    await stream.drop_dead_consumers()
