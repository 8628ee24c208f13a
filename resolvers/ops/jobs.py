"""Jobs: started here, run by workers/run_jobs.py, watched until they end.

A job is in MongoDB before it is queued in Redis, so a Redis outage delays it by seconds and loses
nothing. Watching wakes on the shared stream and also polls every few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress

import models
from models import JobRecord, Role
from resolvers import audit
from resolvers.audit import AuditEvent
from resolvers.catalog import warming
from resolvers.context import Context
from resolvers.input_errors import InputErrors
from resolvers.job_queue import JobKind, start
from resolvers.paging import require_kind, validate_size
from services.errors import NotFound, ValidationFailed
from services.redis.hub import Subscription

MAX_TMDB_IDS = 500
MAX_PAGES = 50
MAX_WARMED_FILMS = 1_000
POLL_SECONDS = 3.0  # for changes whose message was lost


async def import_from_tmdb(
    context: Context,
    *,
    tmdb_ids: Collection[int] | None = None,
    category: models.MovieCategory | None = None,
    pages: int = 1,
    tv: bool = False,
) -> JobRecord:
    """Start a job that imports these titles, or those on a category's first pages.

    Raises:
        ValidationFailed: not exactly one of ids and category, or too much of it.
        UpstreamUnavailable: there is no key for TMDb.
        Unauthenticated, Forbidden, RateLimited.
    """
    viewer = context.require(Role.EDITOR)
    unique_ids = list(dict.fromkeys(tmdb_ids or ()))
    _check_import(unique_ids, category, pages)
    context.runtime.catalog.tmdb.require_key()
    list_name = category.value if category is not None else None
    job = await start(
        context.runtime,
        JobKind.IMPORT_FROM_TMDB,
        {"tmdb_ids": unique_ids, "category": list_name, "pages": pages, "tv": tv},
        total=len(unique_ids) or None,
        created_by=viewer.user_id,
    )
    facts: dict[str, audit.Fact] = {"titles": len(unique_ids), "category": list_name, "tv": tv}
    await audit.record(context, AuditEvent.IMPORT_STARTED, subject=job.id, **facts)
    return job


def _check_import(
    tmdb_ids: Collection[int], category: models.MovieCategory | None, pages: int
) -> None:
    wrong = InputErrors()
    with wrong.collect():
        _check_tmdb_ids(tmdb_ids, has_category=category is not None)
    with wrong.collect():
        if not 1 <= pages <= MAX_PAGES:
            raise ValidationFailed(f"Ask for 1 to {MAX_PAGES} pages.", path=["pages"])
    with wrong.collect():
        if category is models.MovieCategory.FEATURED:
            message = "Featured films are chosen here, not by TMDb."
            raise ValidationFailed(message, path=["category"])
    wrong.raise_any()


def _check_tmdb_ids(tmdb_ids: Collection[int], *, has_category: bool) -> None:
    if bool(tmdb_ids) == has_category:
        raise ValidationFailed("Name either tmdbIds or a category.", path=["tmdbIds"])
    if len(tmdb_ids) > MAX_TMDB_IDS:
        raise ValidationFailed(f"At most {MAX_TMDB_IDS} ids at once.", path=["tmdbIds"])
    if any(number < 1 for number in tmdb_ids):
        raise ValidationFailed("Ids of TMDb are above 0.", path=["tmdbIds"])


async def flush_progress(context: Context) -> JobRecord:
    """Start a job that writes all buffered progress to MongoDB.

    Raises:
        Unauthenticated, Forbidden, RateLimited, UpstreamUnavailable.
    """
    viewer = context.require(Role.OPERATOR)
    job = await start(context.runtime, JobKind.FLUSH_PROGRESS, created_by=viewer.user_id)
    await audit.record(context, AuditEvent.PROGRESS_FLUSHED, subject=job.id)
    return job


async def warm_cache(context: Context, first: int | None = None) -> JobRecord:
    """Start a job that reads the most popular films into the caches.

    Raises:
        ValidationFailed: `first` is not between 1 and 1,000.
        Unauthenticated, Forbidden, RateLimited, UpstreamUnavailable.
    """
    viewer = context.require(Role.OPERATOR)
    count = validate_size(first, "first", warming.AT_START, MAX_WARMED_FILMS)
    job = await start(
        context.runtime,
        JobKind.WARM_CACHE,
        {"first": count},
        total=count,
        created_by=viewer.user_id,
    )
    await audit.record(context, AuditEvent.CACHE_WARMED, subject=job.id, films=count)
    return job


async def find_jobs(context: Context, job_ids: Collection[str]) -> Mapping[str, JobRecord]:
    """Jobs by id, for editors and operators; others see none."""
    if context.viewer is None or context.viewer.role.rank < Role.EDITOR.rank:
        return {}
    return await models.find_by_id(models.Job, JobRecord, job_ids)


def stream_job(context: Context, job_id: str) -> AsyncIterator[JobRecord]:
    """Stream a job: its state now, then its newest state after each change, until it ends.

    Raises:
        Unauthenticated, Forbidden: only editors and above see jobs.
        ValidationFailed: this is no id.
        NotFound: at the first event, when there is no such job.
    """
    context.require(Role.EDITOR)
    require_kind(job_id, "job")
    return _stream_states(context, job_id)


async def _stream_states(context: Context, job_id: str) -> AsyncIterator[JobRecord]:
    sent_version = -1
    with context.runtime.ops.jobs.changed.subscribe() as subscription:
        while True:
            job = (await find_jobs(context, [job_id])).get(job_id)
            if job is None:
                raise NotFound("There is no such job.", path=["id"])
            if job.version > sent_version:
                sent_version = job.version
                yield job
            if job.state.is_final:
                return
            await _wait_for_change(job_id, subscription)


async def _wait_for_change(job_id: str, subscription: Subscription[str]) -> None:
    """Return when the job may have changed: by a message, a gap, or the poll interval."""
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):
            async for batch in subscription:
                if batch.gap or batch.messages[-1].value == job_id:
                    return
            await asyncio.Event().wait()  # the hub has closed: only looking is left
