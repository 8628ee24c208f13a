"""Rate limits of whoever asks: admitting an operation, settling its cost, and how a window stands.

Who is signed in counts by account and tier, everybody else by address.
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
    """A window as its owner sees it. `reset_at` is when all of it is free again if nothing more is
    asked; `requested_cost` what was reserved for the operation that looks."""

    tier: models.AccountTier
    limit: int
    remaining: int
    reset_at: datetime
    cost_limit: int
    cost_remaining: int
    requested_cost: int


def admit_now(context: Context, points: int) -> bool:
    """Counts one operation that may cost `points` where nothing has to be asked first, as for most;
    False: `admit` has to be waited for.

    Raises:
        RateLimited: the window is used up; nothing was counted.
    """
    limiter = context.runtime.rate_limiter
    if not limiter.is_on:
        return True
    admission = limiter.admit_now(_quota_key(context), points)
    if admission is None:
        return False
    _apply_admission(context, admission)
    return True


async def admit(context: Context, points: int) -> None:
    """
    Raises:
        RateLimited: the window is used up; nothing was counted.
    """
    _apply_admission(context, await context.runtime.rate_limiter.admit(_quota_key(context), points))


def _apply_admission(context: Context, admission: Admission) -> None:
    context.admission = admission
    if not admission.is_allowed:
        raise _refusal(admission)


def refuse_exhausted(context: Context) -> None:
    """For before anything is read of what was asked; says nothing of who is not known here.

    Raises:
        RateLimited: this process knows that the window is used up.
    """
    limiter = context.runtime.rate_limiter
    if not limiter.is_on:
        return
    refused = limiter.refuse_now(_quota_key(context))
    if refused is not None and not refused.is_allowed:
        context.admission = refused
        raise _refusal(refused)


def settle(context: Context, actual: int) -> None:
    """Gives back what the operation cost less than was reserved for it."""
    if context.admission is not None:
        context.runtime.rate_limiter.settle(context.admission, actual)


def quota_status(context: Context) -> QuotaStatus | None:
    """How the window stood when this operation was admitted; None: it was not counted."""
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
    now = datetime.fromtimestamp(context.runtime.clock(), UTC)
    return now + timedelta(seconds=admission.full_seconds)


def _quota_key(context: Context) -> QuotaKey:
    limiter = context.runtime.rate_limiter
    if context.viewer is None:
        return limiter.address_key(context.client_address)
    return limiter.user_key(context.viewer.tier.value, context.viewer.user_id)


def _refusal(admission: Admission) -> RateLimited:
    what = "operations" if admission.result.refused_by == REQUESTS else "cost points"
    return RateLimited(
        f"Too many {what} in a short time: wait a little.",
        retry_after_seconds=admission.retry_after_seconds,
    )
