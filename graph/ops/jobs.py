"""Jobs as clients see them: started by mutations, watched by `jobChanged` until they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import strawberry

import models
from graph.base.enums import describe_enum
from graph.base.errors import UserError
from graph.base.fields import plain, resolver, subscription
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.payloads import capture_user_errors
from graph.base.scalars import DateTime
from models import Role
from resolvers.ops import jobs
from services import errors

describe_enum(
    models.JobState,
    "How far a job is.",
    {
        "QUEUED": "It waits for a worker.",
        "RUNNING": "A worker is at it.",
        "SUCCEEDED": "It is done.",
        "FAILED": "It ended without success; `error` says why.",
    },
)


@strawberry.type(description="Work that takes longer than a request; kept for 30 days.")
class Job(Node):
    kind: str = plain("What it does, such as import_from_tmdb.")
    state: models.JobState = plain("How far it is.")
    done: int = plain("How many things are done.")
    total: int | None = plain("Of how many; null while that is not known.")
    error: str | None = plain(
        "Why it failed; of a job that succeeded, what it had to leave out, if anything."
    )
    started_at: DateTime | None = plain("When a worker first took it up.")
    finished_at: DateTime | None = plain("When it ended.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.JobRecord)


@strawberry.type(description="The job that was started, or why none was.")
class JobPayload:
    job: Job | None = plain("The job; null if none was started.")
    errors: list[UserError] = plain("Why none was started; empty if one was.")


@strawberry.input(description="What to import from TMDb: either titles by number, or a category.")
class ImportFromTmdbInput:
    tmdb_ids: list[int] | None = strawberry.field(
        default=None, description="TMDb's numbers of the titles, at most 500."
    )
    category: models.MovieCategory | None = strawberry.field(
        default=None, description="The first pages of this list of TMDb's instead; not FEATURED."
    )
    pages: int | None = strawberry.field(
        default=1, description="How many pages of 20 titles: 1 to 50."
    )
    tv: bool | None = strawberry.field(default=False, description="Shows instead of films.")


@strawberry.input(description="How much to read into the caches.")
class WarmCacheInput:
    first: int | None = strawberry.field(
        default=100, description="How many of the most popular films: 1 to 1000."
    )


@dataclass(frozen=True, slots=True)
class JobAnswer:
    job: models.JobRecord | None
    errors: list[errors.UserError]


async def _import_from_tmdb(
    info: Info,
    input: Annotated[ImportFromTmdbInput, strawberry.argument(description="What to import.")],
) -> JobAnswer:
    call = jobs.import_from_tmdb(
        info.context,
        tmdb_ids=input.tmdb_ids,
        category=input.category,
        pages=1 if input.pages is None else input.pages,
        tv=bool(input.tv),
    )
    return JobAnswer(*await capture_user_errors(call))


async def _warm_cache(
    info: Info,
    input: Annotated[
        WarmCacheInput | None, strawberry.argument(description="How much; 100 films without it.")
    ] = None,
) -> JobAnswer:
    first = input.first if input is not None else None
    return JobAnswer(*await capture_user_errors(jobs.warm_cache(info.context, first)))


async def _flush_progress(info: Info) -> JobAnswer:
    return JobAnswer(*await capture_user_errors(jobs.flush_progress(info.context)))


def _job_changed(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The job's id.")]
) -> AsyncIterator[models.JobRecord]:
    return jobs.stream_job(info.context, id)


@strawberry.type
class JobsMutation:
    import_from_tmdb: JobPayload = resolver(
        _import_from_tmdb,
        "Imports titles from TMDb in the background; what editors wrote of them stays.",
        requires=Role.EDITOR,
    )
    flush_progress: JobPayload = resolver(
        _flush_progress,
        "Writes all buffered viewing progress to the database, in the background.",
        requires=Role.OPERATOR,
    )
    warm_cache: JobPayload = resolver(
        _warm_cache,
        "Reads the most popular films into the caches, in the background.",
        requires=Role.OPERATOR,
    )


@strawberry.type
class JobsSubscription:
    job_changed: Job = subscription(
        _job_changed,
        "A job as it is now and whenever it changes, the newest state only; ends with the job.",
        requires=Role.EDITOR,
    )
