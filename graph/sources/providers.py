"""Providers as clients see them; how they do and what they say is for operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import strawberry

from graph.base.errors import UserError
from graph.base.fields import batched, computed, plain, resolver
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.payloads import capture_user_errors
from graph.base.scalars import DateTime
from graph.sources.breakers import CircuitBreaker
from models import Role
from resolvers.context import Context
from resolvers.sources import breakers, provider_status, providers
from services import errors
from services.breaker.breaker import BreakerSnapshot
from services.providers.base import ProviderInfo

ProviderParent = strawberry.Parent[ProviderInfo]
ProviderParents = strawberry.Parent[list[ProviderInfo]]


@strawberry.type(description="What a provider says about itself.")
class ProviderStatus:
    available: bool = plain("It says that it works.")
    message: str | None = plain("Its own words; if it could not be asked, why, in one of ours.")
    rate_limit_remaining: int | None = plain("How many calls it lets us make still, if it told.")
    checked_at: DateTime = plain("When it was asked: at most 30 seconds ago.")


def _provider_id(provider: ProviderParent) -> str:
    return provider.id


async def _status(
    parents: ProviderParents, info: Info
) -> list[provider_status.ProviderStatus | None]:
    return await provider_status.list_statuses(info.context, parents)


async def _breaker(parents: ProviderParents, info: Info) -> list[BreakerSnapshot | None]:
    return await breakers.breakers_of(info.context, parents)


def _health_score(provider: ProviderParent, info: Info) -> float | None:
    return providers.health_score(info.context, provider)


def _p95_latency_ms(provider: ProviderParent, info: Info) -> int | None:
    return providers.p95_latency_ms(info.context, provider)


@strawberry.type(description="A place that sources come from.")
class Provider(Node):
    id: strawberry.ID = computed(_provider_id, "Identifies the provider everywhere in this API.")
    key: str = plain("Its short name in settings, metrics and logs.")
    name: str = plain("Its name for people.")
    priority: int = plain(
        "Its place in the order of asking: 1 is asked first; 0, no more asked. Among equals, and "
        "against one that does badly, how it did lately decides."
    )
    enabled: bool = plain("It is asked.")
    rollout_percent: int = plain("Of how many viewers in a hundred; always of the same ones.")
    status: ProviderStatus | None = batched(
        _status,
        "What it says about itself; null if it is off or cannot tell.",
        requires=Role.OPERATOR,
        is_private=True,
        is_slow=True,
    )
    breaker: CircuitBreaker | None = batched(
        _breaker,
        "What keeps us from calling it while it fails; null if it needs no calls.",
        requires=Role.OPERATOR,
        is_private=True,
    )
    health_score: float | None = computed(
        _health_score,
        "How well it answered the process that you ask, 0 to 1.",
        requires=Role.OPERATOR,
        is_private=True,
    )
    p95_latency_ms: int | None = computed(
        _p95_latency_ms,
        "19 of 20 answers to the process that you ask took no longer, in milliseconds; null "
        "until it has been asked often enough.",
        requires=Role.OPERATOR,
        is_private=True,
    )

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, ProviderInfo)


@strawberry.input(description="What is to change of a provider; what is left out stays.")
class SetProviderInput:
    id: strawberry.ID = strawberry.field(description="The provider.")
    enabled: bool | None = strawberry.field(default=None, description="Whether it is asked.")
    priority: int | None = strawberry.field(
        default=None, description="Its place in the order of asking: 1 to 1000, 1 first."
    )
    rollout_percent: int | None = strawberry.field(
        default=None, description="Of how many viewers in a hundred it is asked: 0 to 100."
    )


@strawberry.type(description="The provider as it is asked now, or why it was not changed.")
class ProviderPayload:
    provider: Provider | None = plain("The provider; null if it failed.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    provider: ProviderInfo | None
    errors: list[errors.UserError]


async def find_providers(context: Context, requested_ids: Sequence[str]) -> dict[str, ProviderInfo]:
    """Providers by their ids, for `node`."""
    return {
        info.id: info for info in await providers.providers(context) if info.id in requested_ids
    }


async def _providers(info: Info) -> list[ProviderInfo]:
    return await providers.providers(info.context)


async def _set_provider(
    info: Info,
    input: Annotated[SetProviderInput, strawberry.argument(description="Which, and what of it.")],
) -> ProviderAnswer:
    call = providers.set_provider(
        info.context,
        input.id,
        enabled=input.enabled,
        priority=input.priority,
        rollout_percent=input.rollout_percent,
    )
    return ProviderAnswer(*await capture_user_errors(call))


@strawberry.type
class ProvidersQuery:
    providers: list[Provider] = resolver(
        _providers, "All providers, in the order they are asked.", assumed_size=20
    )


@strawberry.type
class ProvidersMutation:
    set_provider: ProviderPayload = resolver(
        _set_provider,
        "Switches a provider on or off, moves it in the order, or gives it to some viewers only; "
        "in force everywhere within a second, and kept.",
        requires=Role.OPERATOR,
    )
