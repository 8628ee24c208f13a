"""Circuit breakers for operators: their state, forcing one open or closed, and changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress

from models import Role
from resolvers import audit
from resolvers.context import Context
from resolvers.paging import require_kind
from services.breaker.breaker import BreakerSnapshot, BreakerState
from services.errors import NotFound, ValidationFailed
from services.providers.base import ProviderInfo
from services.providers.chain import breaker_name

MAX_REASON_CHARACTERS = 200
_PREFIX = "breaker_"
POLL_SECONDS = 5.0  # for changes whose message was lost


async def circuit_breakers(context: Context) -> list[BreakerSnapshot]:
    """List all circuit breakers, by name.

    Raises:
        Unauthenticated, Forbidden: only operators see breakers.
    """
    context.require(Role.OPERATOR)
    return await context.runtime.sources.breakers.snapshots()


async def breakers_of(
    context: Context, infos: Sequence[ProviderInfo]
) -> list[BreakerSnapshot | None]:
    """Each provider's breaker, in the order of `infos`; None for one that calls no service.

    One round trip for all.
    """
    by_name = {snapshot.name: snapshot for snapshot in await circuit_breakers(context)}
    return [by_name.get(breaker_name(info.key)) for info in infos]


async def find_breakers(
    context: Context, breaker_ids: Collection[str]
) -> dict[str, BreakerSnapshot]:
    """Breakers by id, for operators; others see none."""
    viewer = context.viewer
    if viewer is None or viewer.role.rank < Role.OPERATOR.rank:
        return {}
    return {
        snapshot.id: snapshot
        for snapshot in await circuit_breakers(context)
        if snapshot.id in breaker_ids
    }


async def set_breaker(
    context: Context, id_: str, state: BreakerState | None, reason: str
) -> BreakerSnapshot:
    """Force a breaker open or closed; `state` None ends that, and the breaker starts closed.

    Raises:
        ValidationFailed: there is no reason, it is too long, or the state cannot be forced.
        NotFound, Unauthenticated, Forbidden.
        UpstreamUnavailable: Redis does not answer; nothing may have changed.
    """
    viewer = context.require(Role.OPERATOR)
    require_kind(id_, "breaker")
    normalized_reason = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    if not 1 <= len(normalized_reason) <= MAX_REASON_CHARACTERS:
        message = f"Say why, in 1 to {MAX_REASON_CHARACTERS} characters."
        raise ValidationFailed(message, path=["reason"])
    snapshot = None
    if id_.startswith(_PREFIX):
        name = id_.removeprefix(_PREFIX)
        snapshot = await context.runtime.sources.breakers.force(
            name, state, reason=normalized_reason, by=viewer.user_id
        )
    if snapshot is None:
        raise NotFound("There is no such breaker.", path=["id"])
    forced_state = state.value if state is not None else None
    event = audit.AuditEvent.BREAKER_SET
    await audit.record(context, event, subject=id_, state=forced_state, reason=normalized_reason)
    return snapshot


def stream_breakers(context: Context) -> AsyncIterator[BreakerSnapshot]:
    """Stream breakers: first all that are not simply closed, then each one that changes.

    Raises:
        Unauthenticated, Forbidden: only operators see breakers.
        TooManyStreams: at the first event, when this process serves as many as it may.
    """
    context.require(Role.OPERATOR)
    return _stream_states(context)


async def _stream_states(context: Context) -> AsyncIterator[BreakerSnapshot]:
    """Send every breaker whose visible state differs from the one sent last.

    The stream only wakes this loop. Each time it reads the current state, so a missed message does
    no harm.
    """
    sent_by_name: dict[str, tuple[object, ...]] = {}
    with context.runtime.sources.breakers_changed.subscribe() as subscription:
        while True:
            for snapshot in await context.runtime.sources.breakers.snapshots():
                visible_state = (
                    snapshot.state,
                    snapshot.forced,
                    snapshot.reason,
                    snapshot.opened_at,
                )
                if visible_state != sent_by_name.get(snapshot.name, _CLOSED):
                    sent_by_name[snapshot.name] = visible_state
                    yield snapshot
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    if await anext(subscription, None) is None:
                        return  # the hub has closed: this process stops


_CLOSED = (BreakerState.CLOSED, False, None, None)
