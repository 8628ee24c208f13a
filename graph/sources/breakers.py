"""Circuit breakers as operators see them: their state, forced states, and changes live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum
from typing import Annotated

import strawberry

from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import plain, resolver, subscription
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation, Query, Subscription
from graph.base.scalars import DateTime
from models import Role
from resolvers.sources import breakers
from services.breaker.breaker import BreakerSnapshot, BreakerState


class ForcedState(Enum):
    """The states that an operator may force."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"


describe_enum(
    ForcedState,
    "State to force on a circuit breaker.",
    {"CLOSED": "All calls pass.", "OPEN": "No call passes."},
    name="BreakerState",
)
describe_enum(
    BreakerState,
    "State of a circuit breaker.",
    {
        "CLOSED": "All calls pass.",
        "OPEN": "No call passes: too many failed or were slow.",
        "HALF_OPEN": "A few trial calls pass to test for recovery.",
    },
    name="CircuitBreakerState",
)


@node_type(
    "breaker",
    BreakerSnapshot,
    breakers.find_breakers,
    "A circuit breaker: it blocks calls to a failing service. Its state is "
    "shared by all processes.",
)
class CircuitBreaker(Node):
    id: strawberry.ID = plain("Opaque global id; accepted by `node` and `setBreaker`.")
    name: str = plain("Name of the protected service, such as provider-acme.")
    state: BreakerState = plain("Current state.")
    calls: int = plain("Number of calls within the breaker's time window.")
    failures: int = plain("Number of failed calls within the window.")
    slow_calls: int = plain("Number of slow calls within the window, failed or not.")
    failure_rate: float = plain("Share of calls that failed, 0 to 1.")
    opened_at: DateTime | None = plain("When the breaker last opened; null while it is closed.")
    retry_at: DateTime | None = plain("When calls may pass again; null if unknown.")
    forced: bool = plain("Whether an operator forced this state.")


@strawberry.input(description="State to force on a circuit breaker.")
class SetBreakerInput:
    id: strawberry.ID = strawberry.field(description="Global id of the breaker.")
    state: ForcedState | None = strawberry.field(
        default=None,
        description="State in force until lifted; null lifts a forced state.",
    )
    reason: str = strawberry.field(
        description="Reason, shown to other operators: 1 to 200 characters."
    )


@payload("Result of changing a breaker; `errors` says why it failed.")
class BreakerPayload:
    breaker: CircuitBreaker | None = plain("The breaker after the change; null on failure.")


async def _circuit_breakers(info: Info) -> list[BreakerSnapshot]:
    return await breakers.circuit_breakers(info.context)


async def _set_breaker(
    info: Info,
    input: Annotated[
        SetBreakerInput, strawberry.argument(description="The breaker, its state and the reason.")
    ],
) -> BreakerPayload:
    state = BreakerState(input.state.value) if input.state is not None else None
    call = breakers.set_breaker(info.context, input.id, state, input.reason)
    return await build_payload(BreakerPayload, call)


def _breaker_changed(info: Info) -> AsyncIterator[BreakerSnapshot]:
    return breakers.stream_breakers(info.context)


@extend(Query)
class BreakersQuery:
    circuit_breakers: list[CircuitBreaker] | None = resolver(
        _circuit_breakers,
        "All circuit breakers, ordered by name.",
        requires=Role.OPERATOR,
        is_private=True,
        assumed_size=20,
    )


@extend(Mutation)
class BreakersMutation:
    set_breaker: BreakerPayload | None = resolver(
        _set_breaker,
        "Forces a circuit breaker open or closed, or lifts a forced state.",
        requires=Role.OPERATOR,
    )


@extend(Subscription)
class BreakersSubscription:
    breaker_changed: CircuitBreaker = subscription(
        _breaker_changed,
        "First each breaker that is not in its normal closed state, then "
        "every breaker that changes.",
        requires=Role.OPERATOR,
    )
