"""Rate limits of the client: admitting an operation, settling its cost, its quota's status.

Signed-in users are counted by account and tier, everybody else by address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import models
from resolvers.context import Context
from services.errors import RateLimited
from services.limits.rate_limit import Admission, QuotaKey
from services.limits.sliding_window import REQUESTS


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """The state of a client's rate limit window.

    `reset_at` is when all of it is free again if no more operations come; `requested_cost` are the
    points reserved for this operation.
    """

    tier: models.AccountTier
    limit: int
    remaining: int
    reset_at: datetime
    cost_limit: int
    cost_remaining: int
    requested_cost: int


def admit_now(context: Context, points: int) -> bool:
    """Count one operation of up to `points` without waiting, which works for most.

    Returns:
        False when `admit` has to be awaited instead.

    Raises:
        RateLimited: the window is used up; nothing was counted.
    """
    limiter = context.runtime.ops.rate_limiter
    if not limiter.is_on:
        return True
    admission = limiter.admit_now(_quota_key(context), points)
    if admission is None:
        return False
    _apply_admission(context, admission)
    return True


async def admit(context: Context, points: int) -> None:
    """Count one operation that may cost up to `points`.

    Raises:
        RateLimited: the window is used up; nothing was counted.
    """
    _apply_admission(
        context, await context.runtime.ops.rate_limiter.admit(_quota_key(context), points)
    )


def _apply_admission(context: Context, admission: Admission) -> None:
    context.admission = admission
    if not admission.is_allowed:
        raise _refusal(admission)


def refuse_exhausted(context: Context) -> None:
    """Refuse a client whose window is used up, before its request is read.

    Does nothing about clients this process has no count of.

    Raises:
        RateLimited: this process knows that the window is used up.
    """
    limiter = context.runtime.ops.rate_limiter
    if not limiter.is_on:
        return
    refusal = limiter.refuse_now(_quota_key(context))
    if refusal is not None and not refusal.is_allowed:
        context.admission = refusal
        raise _refusal(refusal)


def settle(context: Context, actual: int) -> None:
    """Return the reserved points that the operation did not cost."""
    if context.admission is not None:
        context.runtime.ops.rate_limiter.settle(context.admission, actual)


def quota_status(context: Context) -> QuotaStatus | None:
    """The window's status when this operation was admitted; None if it was not counted."""
    admission = context.admission
    if admission is None:
        return None
    tier = context.viewer.tier if context.viewer is not None else models.AccountTier.FREE
    return QuotaStatus(
        tier=tier,
        limit=admission.quota_key.limits.requests,
        remaining=admission.remaining_requests,
        reset_at=reset_at(context, admission),
        cost_limit=admission.quota_key.limits.points,
        cost_remaining=admission.remaining_points,
        requested_cost=admission.requested,
    )


def reset_at(context: Context, admission: Admission) -> datetime:
    """When the whole window is free again."""
    now = datetime.fromtimestamp(context.runtime.clock(), UTC)
    return now + timedelta(seconds=admission.full_seconds)


def _quota_key(context: Context) -> QuotaKey:
    limiter = context.runtime.ops.rate_limiter
    if context.viewer is None:
        return limiter.address_key(context.client_address)
    return limiter.user_key(context.viewer.tier.text, context.viewer.user_id)


def _refusal(admission: Admission) -> RateLimited:
    unit = "operations" if admission.result.refused_by == REQUESTS else "cost points"
    return RateLimited(
        f"Too many {unit} in a short time: wait a little.",
        retry_after_seconds=admission.retry_after_seconds,
    )
