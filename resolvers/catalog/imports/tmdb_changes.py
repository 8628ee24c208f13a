"""Changes at TMDb since the last successful run, for stored titles only.

TMDb lists changes by day, for 14 days at most: older ones need a new import.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import models
from resolvers.catalog.imports import tmdb
from resolvers.catalog.imports.tmdb import ProgressCallback
from resolvers.context import Runtime
from resolvers.job_queue import JobKind
from services.tmdb.client import MAX_PAGE, Tmdb
from services.tmdb.types import TmdbKind

MOST_DAYS = 13
_DOCUMENTS: dict[TmdbKind, type[models.Movie] | type[models.Show]] = {
    TmdbKind.MOVIE: models.Movie,
    TmdbKind.SHOW: models.Show,
}


async def run_import(
    runtime: Runtime, _arguments: Mapping[str, Any], progress: ProgressCallback
) -> str | None:
    """Run the nightly job; returns a summary of what was left out, or None.

    Raises:
        UpstreamUnavailable: TMDb or MongoDB is unavailable.
    """
    today = datetime.fromtimestamp(runtime.clock(), UTC).date()
    start, source = await _find_start(today), runtime.catalog.tmdb
    numbers_by_kind = {kind: await _list_changed(source, kind, start, today) for kind in TmdbKind}
    return tmdb.describe_omissions(await tmdb.load(runtime, numbers_by_kind, progress))


async def _find_start(today: date) -> date:
    """The day of the last successful run, whose later changes may be missing."""
    last = await models.last_succeeded_job(JobKind.IMPORT_TMDB_CHANGES.value)
    if last is None or last.started_at is None:
        return today - timedelta(days=1)
    return max(last.started_at.date(), today - timedelta(days=MOST_DAYS))


async def _list_changed(source: Tmdb, kind: TmdbKind, start: date, end: date) -> list[int]:
    changed: set[int] = set()
    for page in range(1, MAX_PAGE + 1):
        changes = await source.changes(kind, start, end, page)
        changed |= await _stored_numbers(kind, [change.id for change in changes.results])
        if not changes.results or page >= (changes.total_pages or MAX_PAGE):
            break
    return sorted(changed)


async def _stored_numbers(kind: TmdbKind, numbers: list[int]) -> set[int]:
    titles = await models.find(
        _DOCUMENTS[kind],
        models.TitleRecord,
        {"tmdb_id": {"$in": numbers, "$type": "int"}, "is_active": True},
        fields=frozenset({"tmdb_id"}),
        limit=max(1, len(numbers)),
    )
    return {title.tmdb_id for title in titles if title.tmdb_id is not None}
