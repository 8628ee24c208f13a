"""The caches, for operators: forgetting by tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import strawberry

from graph.base.errors import UserError
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import capture_user_errors
from models import Role
from resolvers.catalog import invalidation
from services import errors


@strawberry.input(description="What to forget.")
class PurgeCacheInput:
    tags: list[str] = strawberry.field(
        description="1 to 100 tags: `movie:<id>`, `movies:genre:<slug>`, "
        "`movies:category:<category>`, `movies:all`."
    )
    soft: bool | None = strawberry.field(
        default=True,
        description="Let old entries answer until they are read anew; the CDN drops them at once.",
    )


@strawberry.type(description="What was forgotten.")
class PurgeCachePayload:
    keys_purged: int = plain("How many cached entries were there.")
    cdn_purge_id: str | None = plain(
        "Names the CDN's purge, which follows in a moment; null without a CDN."
    )
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class PurgeAnswer:
    keys_purged: int
    errors: list[errors.UserError]
    cdn_purge_id: str | None = None


async def _purge(
    info: Info,
    input: Annotated[PurgeCacheInput, strawberry.argument(description="What to forget.")],
) -> PurgeAnswer:
    soft = input.soft is not False
    purged, failed = await capture_user_errors(
        invalidation.purge(info.context, input.tags, soft=soft)
    )
    if purged is None:
        return PurgeAnswer(0, failed)
    return PurgeAnswer(purged.entries, failed, purged.cdn_purge_id)


@strawberry.type
class CacheMutation:
    purge_cache: PurgeCachePayload = resolver(
        _purge, "Forgets what is cached under tags, in every process.", requires=Role.OPERATOR
    )
