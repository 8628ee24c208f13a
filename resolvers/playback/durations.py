"""Length of titles: that of our own copy where there is one, else the catalogue's run time.

A copy was measured to the picture; a run time is somebody's word, in minutes, of some version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import models
from resolvers.context import Context
from services.errors import UpstreamUnavailable
from services.telemetry.logs import get_logger

Title = models.MovieRecord | models.EpisodeRecord | models.EpisodeInOrder
log = get_logger("durations")


async def find_durations(context: Context, titles: Iterable[Title]) -> dict[str, float | None]:
    """Find the length of each title in seconds, by id; None where nobody knows it."""
    known: dict[str, float | None] = {title.id: title.runtime_seconds for title in titles}
    return known | await measured_durations(context, known)


async def measured_durations(context: Context, title_ids: Collection[str]) -> dict[str, float]:
    """Find the seconds of our own copies, by title; one trip to the disk for all.

    Titles without a copy are absent, and all of them while the disk does not answer.
    """
    try:
        return await context.runtime.sources.media.library.durations(title_ids)
    except UpstreamUnavailable:
        log.warning("measured_durations_unavailable", titles=len(title_ids))
        return {}
