"""The viewer's rate limit as clients see it: what remains of the window."""

from __future__ import annotations

import strawberry

from graph.accounts.tiers import AccountTier
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.roots import Query
from graph.base.scalars import DateTime
from resolvers.ops import rate_limits


def _rate_limit(info: Info) -> rate_limits.QuotaStatus | None:
    return rate_limits.quota_status(info.context)


@strawberry.type(
    description="Rate limit of the viewer: operations and cost points in a sliding window."
)
class RateLimit:
    tier: AccountTier = plain(
        "Tier whose limits apply. Without sign-in, FREE, counted per network address."
    )
    limit: int = plain("Operations allowed per window.")
    remaining: int = plain("Operations remaining in the window, after this one.")
    reset_at: DateTime = plain(
        "When the full limit is available again if no further operation is sent."
    )
    cost_limit: int = plain("Cost points allowed per window.")
    cost_remaining: int = plain(
        "Cost points remaining in the window, after those reserved for this operation."
    )
    requested_cost: int = plain(
        "Cost points reserved for this operation; unused points are returned when it ends."
    )

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, rate_limits.QuotaStatus)


@extend(Query)
class RateLimitsQuery:
    rate_limit: RateLimit | None = resolver(
        _rate_limit,
        "Rate limit of the viewer; null if this operation was not counted, "
        "as where rate limiting is off.",
        is_private=True,
    )
