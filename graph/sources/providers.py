"""Providers as clients see them; their status and health are for operators."""

from __future__ import annotations

from typing import Annotated

import strawberry

from graph.base.extension import extend
from graph.base.fields import batched, computed, plain, resolver
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation, Query
from graph.base.scalars import DateTime, Long
from graph.sources.breakers import CircuitBreaker
from models import Role
from resolvers.sources import breakers, provider_status, providers
from services.breaker.breaker import BreakerSnapshot
from services.providers.base import ProviderInfo

ProviderParent = strawberry.Parent[ProviderInfo]
ProviderParents = strawberry.Parent[list[ProviderInfo]]


@strawberry.type(description="Status that a provider reports about itself.")
class ProviderStatus:
    available: bool = plain("Whether the provider reports itself as available.")
    message: str | None = plain(
        "The provider's own message, or a reason code if the request failed; "
        "null if there is neither."
    )
    rate_limit_remaining: Long | None = plain(
        "Calls remaining in the provider's quota; null if not reported."
    )
    checked_at: DateTime = plain("When the status was fetched, at most 30 seconds ago.")


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


@node_type("provider", ProviderInfo, providers.find_providers, "A provider of streaming sources.")
class Provider(Node):
    id: strawberry.ID = computed(
        _provider_id, "Opaque global id; accepted by `node` and `setProvider`."
    )
    key: str = plain("Short name used in settings, metrics and logs, such as acme.")
    name: str = plain("Display name.")
    priority: int = plain(
        "Position in the order in which providers are called: 1 is first, 0 "
        "is never called. Recent health decides between equals and demotes a "
        "failing provider."
    )
    enabled: bool = plain("Whether the provider is called.")
    rollout_percent: int = plain(
        "Percentage of viewers the provider is called for: 0 to 100. A viewer is "
        "always in the same group."
    )
    status: ProviderStatus | None = batched(
        _status,
        "Status that the provider reports; null if it is disabled or reports none.",
        requires=Role.OPERATOR,
        is_private=True,
        is_slow=True,
    )
    breaker: CircuitBreaker | None = batched(
        _breaker,
        "Circuit breaker of the provider; null if using it makes no network calls.",
        requires=Role.OPERATOR,
        is_private=True,
    )
    health_score: float | None = computed(
        _health_score,
        "Health measured by the process that serves this request, 0 to 1; "
        "null if the provider is not configured.",
        requires=Role.OPERATOR,
        is_private=True,
    )
    p95_latency_ms: int | None = computed(
        _p95_latency_ms,
        "95th percentile of response time in milliseconds, measured by the "
        "process that serves this request; null until there are enough calls.",
        requires=Role.OPERATOR,
        is_private=True,
    )


@strawberry.input(description="Provider settings to change. An omitted field stays as it is.")
class SetProviderInput:
    id: strawberry.ID = strawberry.field(description="Global id of the provider.")
    enabled: bool | None = strawberry.field(
        default=None, description="Whether to call the provider."
    )
    priority: int | None = strawberry.field(
        default=None,
        description="Position in the order in which providers are called: 1 to 1000, 1 first.",
    )
    rollout_percent: int | None = strawberry.field(
        default=None, description="Percentage of viewers to call the provider for: 0 to 100."
    )


@payload("Result of changing a provider; `errors` says why it failed.")
class ProviderPayload:
    provider: Provider | None = plain("The provider after the change; null on failure.")


async def _providers(info: Info) -> list[ProviderInfo]:
    return await providers.providers(info.context)


async def _set_provider(
    info: Info,
    input: Annotated[
        SetProviderInput, strawberry.argument(description="The provider and its new settings.")
    ],
) -> ProviderPayload:
    call = providers.set_provider(
        info.context,
        input.id,
        enabled=input.enabled,
        priority=input.priority,
        rollout_percent=input.rollout_percent,
    )
    return await build_payload(ProviderPayload, call)


@extend(Query)
class ProvidersQuery:
    providers: list[Provider] | None = resolver(
        _providers, "All providers, in the order in which they are called.", assumed_size=20
    )


@extend(Mutation)
class ProvidersMutation:
    set_provider: ProviderPayload | None = resolver(
        _set_provider,
        "Enables, disables, reorders or partly rolls out a provider. Stored, "
        "and in force everywhere within a second.",
        requires=Role.OPERATOR,
    )
