"""Circuit breakers for operators: how they stand, held open or closed by hand, and what changes."""

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
POLL_SECONDS = 5.0  # for what the stream did not tell


async def circuit_breakers(context: Context) -> list[BreakerSnapshot]:
    """All of them, by name.

    Raises:
        Unauthenticated, Forbidden.
    """
    context.require(Role.OPERATOR)
    return await context.runtime.breakers.snapshots()


async def breakers_of(
    context: Context, infos: Sequence[ProviderInfo]
) -> list[BreakerSnapshot | None]:
    """Each provider's; None of one that calls nobody. One round trip for all."""
    by_name = {one.name: one for one in await circuit_breakers(context)}
    return [by_name.get(breaker_name(info.key)) for info in infos]


async def find_breakers(
    context: Context, breaker_ids: Collection[str]
) -> dict[str, BreakerSnapshot]:
    """Breakers by their ids, for operators; for others there are none."""
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
    """Holds it open or closed until it is lifted, which None does; it then begins closed.

    Raises:
        ValidationFailed: no reason, too long a one, or a state that cannot be held.
        NotFound, Unauthenticated, Forbidden.
        UpstreamUnavailable: Redis is away; nothing may have changed.
    """
    viewer = context.require(Role.OPERATOR)
    require_kind(id_, "breaker")
    words = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    if not 1 <= len(words) <= MAX_REASON_CHARACTERS:
        message = f"Say why, in 1 to {MAX_REASON_CHARACTERS} characters."
        raise ValidationFailed(message, path=["reason"])
    changed = None
    if id_.startswith(_PREFIX):
        name = id_.removeprefix(_PREFIX)
        changed = await context.runtime.breakers.force(name, state, reason=words, by=viewer.user_id)
    if changed is None:
        raise NotFound("There is no such breaker.", path=["id"])
    held = state.value if state is not None else None
    event = audit.AuditEvent.BREAKER_SET
    await audit.record(context, event, subject=id_, state=held, reason=words)
    return changed


def stream_breakers(context: Context) -> AsyncIterator[BreakerSnapshot]:
    """Those that are not simply closed, as they stand; then each one that changes.

    Raises:
        Unauthenticated, Forbidden: only operators see this.
        TooManyStreams: at the first event: this process serves as many as it may.
    """
    context.require(Role.OPERATOR)
    return _stream_states(context)


async def _stream_states(context: Context) -> AsyncIterator[BreakerSnapshot]:
    """The stream only wakes: what is told is how they stand, so nothing that was missed matters."""
    told: dict[str, tuple[object, ...]] = {}
    with context.runtime.breakers_changed.subscribe() as news:
        while True:
            for one in await context.runtime.breakers.snapshots():
                face = (one.state, one.forced, one.reason, one.opened_at)
                if face != told.get(one.name, _CLOSED):
                    told[one.name] = face
                    yield one
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    if await anext(news, None) is None:
                        return  # the hub has closed: this process stops


_CLOSED = (BreakerState.CLOSED, False, None, None)
