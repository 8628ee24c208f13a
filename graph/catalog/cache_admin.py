"""The caches, for operators: forgetting by tag."""

from __future__ import annotations

from typing import Annotated

import strawberry

from graph.base.bounds import bound
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation
from models import Role
from resolvers.catalog import invalidation


@strawberry.input(description="Cache entries to purge.")
class PurgeCacheInput:
    tags: list[str] = strawberry.field(
        description="1 to 100 cache tags: `movie:<id>`, `movies:genre:<slug>`, "
        "`movies:category:<category>`; `movies:all` is every list of films.",
        directives=bound(items=100, characters=500),
    )
    soft: bool | None = strawberry.field(
        default=True,
        description="Whether stale entries are served until they are refreshed. The CDN "
        "drops them at once either way.",
    )


@payload("Result of a cache purge; `errors` says why it failed.", defaults={"keys_purged": 0})
class PurgeCachePayload:
    keys_purged: int = plain("Number of entries purged; 0 on failure.")
    cdn_purge_id: str | None = plain(
        "Id of the queued CDN purge; null without a CDN or on failure."
    )


async def _purge(
    info: Info,
    input: Annotated[PurgeCacheInput, strawberry.argument(description="The tags to purge.")],
) -> PurgeCachePayload:
    soft = input.soft is not False
    return await build_payload(
        PurgeCachePayload, invalidation.purge(info.context, input.tags, soft=soft)
    )


@extend(Mutation)
class CacheMutation:
    purge_cache: PurgeCachePayload | None = resolver(
        _purge,
        "Purges the cache entries of the given tags in every process.",
        requires=Role.OPERATOR,
    )
