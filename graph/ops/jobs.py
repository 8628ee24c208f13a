"""Jobs as clients see them: started by mutations, watched by `jobChanged` until they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum
from typing import Annotated

import strawberry

import models
from graph.base.bounds import bound, bound_number
from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import plain, resolver, subscription
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation, Subscription
from graph.base.scalars import DateTime
from models import Role
from resolvers.ops import jobs

describe_enum(
    models.JobState,
    "State of a background job.",
    {
        "QUEUED": "Waiting for a worker.",
        "RUNNING": "Running on a worker.",
        "SUCCEEDED": "Finished successfully.",
        "FAILED": "Finished without success; `error` says why.",
    },
)


class ImportCategory(Enum):
    """The categories that TMDb has a list of."""

    POPULAR = "POPULAR"
    TRENDING = "TRENDING"
    TOP_RATED = "TOP_RATED"
    NEW_RELEASES = "NEW_RELEASES"
    UPCOMING = "UPCOMING"


describe_enum(
    ImportCategory,
    "A list of TMDb.",
    {
        "POPULAR": "Most popular first.",
        "TRENDING": "Most popular of the week.",
        "TOP_RATED": "Highest rated first.",
        "NEW_RELEASES": "Newest first.",
        "UPCOMING": "Next release first.",
    },
)


@node_type("job", models.JobRecord, jobs.find_jobs, "A background job. It is stored for 30 days.")
class Job(Node):
    kind: str = plain("Kind of job, such as import_from_tmdb.")
    state: models.JobState = plain("State of the job.")
    done: int = plain("Number of items processed.")
    total: int | None = plain("Number of items to process; null while unknown.")
    error: str | None = plain(
        "Why the job failed; for a job that succeeded, what it skipped. Null "
        "if nothing was skipped."
    )
    started_at: DateTime | None = plain(
        "When a worker first started the job; null while it is queued."
    )
    finished_at: DateTime | None = plain("When the job finished; null while it has not.")


@payload(
    "Result of starting a job; `errors` says why it failed.",
    errors="Why no job was started; empty on success.",
)
class JobPayload:
    job: Job | None = plain("The started job; null on failure.")


@strawberry.input(description="Titles to import from TMDb: either `tmdbIds` or `category`.")
class ImportFromTmdbInput:
    tmdb_ids: list[int] | None = strawberry.field(
        default=None,
        description="TMDb ids of the titles, at most 500.",
        directives=bound(items=500),
    )
    category: ImportCategory | None = strawberry.field(
        default=None,
        description="TMDb list to import from instead of `tmdbIds`.",
    )
    pages: int | None = strawberry.field(
        default=1, description="Number of pages of the list, 20 titles each: 1 to 50."
    )
    tv: bool | None = strawberry.field(
        default=False, description="Whether to import shows instead of films."
    )


@strawberry.input(description="Size of a cache warm-up.")
class WarmCacheInput:
    first: int | None = strawberry.field(
        default=100,
        description="Number of films to load, most popular first: 1 to 1000.",
        directives=bound_number(1, jobs.MAX_WARMED_FILMS),
    )


async def _import_from_tmdb(
    info: Info,
    input: Annotated[ImportFromTmdbInput, strawberry.argument(description="The titles to import.")],
) -> JobPayload:
    call = jobs.import_from_tmdb(
        info.context,
        tmdb_ids=input.tmdb_ids,
        category=models.MovieCategory(input.category.value) if input.category else None,
        pages=1 if input.pages is None else input.pages,
        tv=bool(input.tv),
    )
    return await build_payload(JobPayload, call)


async def _warm_cache(
    info: Info,
    input: Annotated[
        WarmCacheInput | None,
        strawberry.argument(description="Size of the warm-up; without it, 100 films."),
    ] = None,
) -> JobPayload:
    first = input.first if input is not None else None
    return await build_payload(JobPayload, jobs.warm_cache(info.context, first))


async def _flush_progress(info: Info) -> JobPayload:
    return await build_payload(JobPayload, jobs.flush_progress(info.context))


def _job_changed(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the job.")],
) -> AsyncIterator[models.JobRecord]:
    return jobs.stream_job(info.context, id)


@extend(Mutation)
class JobsMutation:
    import_from_tmdb: JobPayload | None = resolver(
        _import_from_tmdb,
        "Imports titles from TMDb in a background job. Fields that editors "
        "changed are not overwritten.",
        requires=Role.EDITOR,
    )
    flush_progress: JobPayload | None = resolver(
        _flush_progress,
        "Writes all buffered viewing progress to the database in a background job.",
        requires=Role.OPERATOR,
    )
    warm_cache: JobPayload | None = resolver(
        _warm_cache,
        "Loads the most popular films into the caches in a background job.",
        requires=Role.OPERATOR,
    )


@extend(Subscription)
class JobsSubscription:
    job_changed: Job = subscription(
        _job_changed,
        "The job's current state, then each change; intermediate states may "
        "be skipped. The subscription completes with the job.",
        requires=Role.EDITOR,
    )
