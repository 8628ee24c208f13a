"""The caches, for operators: forgetting by tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import strawberry

from graph.base.errors import UserError
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import capture_user_errors
from graph.base.roots import Mutation
from models import Role
from resolvers.catalog import invalidation
from services import errors


@strawberry.input(description="Cache entries to purge.")
class PurgeCacheInput:
    tags: list[str] = strawberry.field(
        description="1 to 100 cache tags: `movie:<id>`, `movies:genre:<slug>`, "
        "`movies:category:<category>`, `movies:all`."
    )
    soft: bool | None = strawberry.field(
        default=True,
        description="Whether stale entries are served until they are refreshed. The CDN "
        "drops them at once either way.",
    )


@strawberry.type(description="Result of a cache purge; `errors` says why it failed.")
class PurgeCachePayload:
    keys_purged: int = plain("Number of entries purged; 0 on failure.")
    cdn_purge_id: str | None = plain(
        "Id of the queued CDN purge; null without a CDN or on failure."
    )
    errors: list[UserError] = plain("Why the mutation failed; empty on success.")


@dataclass(frozen=True, slots=True)
class PurgeAnswer:
    keys_purged: int
    errors: list[errors.UserError]
    cdn_purge_id: str | None = None


async def _purge(
    info: Info,
    input: Annotated[PurgeCacheInput, strawberry.argument(description="The tags to purge.")],
) -> PurgeAnswer:
    soft = input.soft is not False
    purged, failed = await capture_user_errors(
        invalidation.purge(info.context, input.tags, soft=soft)
    )
    if purged is None:
        return PurgeAnswer(0, failed)
    return PurgeAnswer(purged.entries, failed, purged.cdn_purge_id)


@extend(Mutation)
class CacheMutation:
    purge_cache: PurgeCachePayload = resolver(
        _purge,
        "Purges the cache entries of the given tags in every process.",
        requires=Role.OPERATOR,
    )
