"""A process that differs from the worker's in some parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from resolvers.context import Runtime
from resolvers.playback.opening import build_playback
from resolvers.runtimes import PlaybackRuntime
from services.redis.pool import Client
from services.settings.settings import Settings


def with_changes(runtime: Runtime, /, **changes: Any) -> Runtime:
    """The runtime with these fields changed; a mapping changes fields of a subject's part.

    `with_changes(runtime, clock=clock, catalog={"tmdb": tmdb})`
    """
    return replace(
        runtime,
        **{
            name: replace(getattr(runtime, name), **change)
            if isinstance(change, Mapping)
            else change
            for name, change in changes.items()
        },
    )


def playback_on(runtime: Runtime, settings: Settings, redis: Client) -> PlaybackRuntime:
    """Playback with these settings on this Redis, and the runtime's own notifications."""
    return build_playback(settings, redis, runtime.playback.notifications)
