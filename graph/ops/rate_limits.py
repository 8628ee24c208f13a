"""What is left of the rate limit, for whoever asks."""

from __future__ import annotations

import strawberry

from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.scalars import DateTime
from models import AccountTier
from resolvers.ops import rate_limits


def _rate_limit(info: Info) -> rate_limits.QuotaStatus | None:
    return rate_limits.quota_status(info.context)


@strawberry.type(
    description="How much may still be asked for: operations, and the cost points they come to, "
    "both in a sliding window."
)
class RateLimit:
    tier: AccountTier = plain("The tier whose limits apply; FREE without sign-in, by address.")
    limit: int = plain("Operations in a window.")
    remaining: int = plain("Operations left, this one counted.")
    reset_at: DateTime = plain("When all of it is free again if nothing more is asked.")
    cost_limit: int = plain("Cost points in a window.")
    cost_remaining: int = plain("Cost points left, those reserved for this operation counted.")
    requested_cost: int = plain(
        "What was reserved for this operation; what it does not use is given back when it ends."
    )

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, rate_limits.QuotaStatus)


@strawberry.type
class RateLimitsQuery:
    rate_limit: RateLimit | None = resolver(
        _rate_limit,
        "What is left of your rate limit; null where this server counts none.",
        is_private=True,
    )
