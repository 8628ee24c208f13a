"""Circuit breakers as operators see them: how they stand, held by hand, watched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import strawberry

from graph.base.enums import describe_enum
from graph.base.errors import UserError
from graph.base.fields import computed, plain, resolver, subscription
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.payloads import capture_user_errors
from graph.base.scalars import DateTime
from models import Role
from resolvers.sources import breakers
from services import errors
from services.breaker.breaker import BreakerSnapshot, BreakerState

describe_enum(
    BreakerState,
    "Whether calls are let through.",
    {
        "CLOSED": "All of them.",
        "OPEN": "None: too many failed or were slow.",
        "HALF_OPEN": "A few, to see whether it works again.",
    },
)


def _breaker_id(breaker: strawberry.Parent[BreakerSnapshot]) -> str:
    return breaker.id


def _failure_rate(breaker: strawberry.Parent[BreakerSnapshot]) -> float:
    return breaker.failure_rate


@strawberry.type(
    description="What keeps us from calling a service that fails; shared by all processes."
)
class CircuitBreaker(Node):
    id: strawberry.ID = computed(_breaker_id, "Identifies the breaker everywhere in this API.")
    name: str = plain("What it protects, such as provider-acme.")
    state: BreakerState = plain("Whether calls are let through.")
    calls: int = plain("Calls within its window.")
    failures: int = plain("Calls of these that failed.")
    slow_calls: int = plain("Calls of these that were slow, whether they failed or not.")
    failure_rate: float = computed(_failure_rate, "Failures by calls, 0 to 1.")
    opened_at: DateTime | None = plain("When it opened last; null while it is closed.")
    retry_at: DateTime | None = plain("When calls are let through again; null if not known.")
    forced: bool = plain("An operator holds it in this state.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, BreakerSnapshot)


@strawberry.input(description="How a breaker is to be held.")
class SetBreakerInput:
    id: strawberry.ID = strawberry.field(description="The breaker.")
    state: BreakerState | None = strawberry.field(
        default=None, description="OPEN or CLOSED, until it is lifted; null lifts it."
    )
    reason: str = strawberry.field(description="Why, for the others: 1 to 200 characters.")


@strawberry.type(description="The breaker as it stands now, or why it was not changed.")
class BreakerPayload:
    breaker: CircuitBreaker | None = plain("The breaker; null if it failed.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class BreakerAnswer:
    breaker: BreakerSnapshot | None
    errors: list[errors.UserError]


async def _circuit_breakers(info: Info) -> list[BreakerSnapshot]:
    return await breakers.circuit_breakers(info.context)


async def _set_breaker(
    info: Info,
    input: Annotated[SetBreakerInput, strawberry.argument(description="Which, how and why.")],
) -> BreakerAnswer:
    call = breakers.set_breaker(info.context, input.id, input.state, input.reason)
    return BreakerAnswer(*await capture_user_errors(call))


def _breaker_changed(info: Info) -> AsyncIterator[BreakerSnapshot]:
    return breakers.stream_breakers(info.context)


@strawberry.type
class BreakersQuery:
    circuit_breakers: list[CircuitBreaker] | None = resolver(
        _circuit_breakers,
        "All circuit breakers, by name.",
        requires=Role.OPERATOR,
        is_private=True,
        assumed_size=20,
    )


@strawberry.type
class BreakersMutation:
    set_breaker: BreakerPayload = resolver(
        _set_breaker, "Holds a breaker open or closed, or lets it go.", requires=Role.OPERATOR
    )


@strawberry.type
class BreakersSubscription:
    breaker_changed: CircuitBreaker = subscription(
        _breaker_changed,
        "Breakers that are not simply closed, as they stand; then each one that changes.",
        requires=Role.OPERATOR,
    )
