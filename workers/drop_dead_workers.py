"""Forgets the names of flush workers that were killed, once others took over what they held."""

from __future__ import annotations

from resolvers.context import Runtime


async def drop_dead_workers(runtime: Runtime) -> None:
    await runtime.playback.stream.drop_dead_consumers()
