"""The fields of analytics on both executors; what they do is tested in tests/resolvers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import strawberry

from graph.engine.operations import Answer, Operations, Request
from graph.ops.analytics import AnalyticsQuery, AnalyticsSubscription, set_schema_text
from graph.schema import CONFIG
from models import AccountTier, Role
from resolvers.context import Context, Runtime, Viewer
from services.redis.hub import Hub
from services.settings.settings import Settings
from services.telemetry.live_metrics import LiveMetrics, SampleReducer
from tests.support.operations import open_operations
from tests.support.runtimes import with_changes
from workers.publish_metrics import publish_metrics


@strawberry.type
class Query(AnalyticsQuery):
    pass


@strawberry.type
class Subscription(AnalyticsSubscription):
    pass


SCHEMA = strawberry.Schema(query=Query, subscription=Subscription, config=CONFIG)
LIVE = """subscription($every: Int! = 1, $after: String) {
  liveMetrics(intervalSeconds: $every, resumeAfter: $after) {
    cursor gap
    points { at requestsPerSecond errorRate p50Ms p95Ms p99Ms databaseP95Ms activeConnections
             activeStreams progressBacklog progressLagSeconds
             cache { level hits misses stale hitRate } }
  }
}"""


@pytest.fixture
async def operator(runtime: Runtime, settings: Settings) -> AsyncIterator[Context]:
    hub = Hub(runtime.redis, "metrics:graph", SampleReducer)
    own = with_changes(runtime, ops={"metrics_hub": hub, "live_metrics": LiveMetrics("one")})
    yield Context(own, Viewer("user_1", Role.OPERATOR, AccountTier.FREE, "login_1"))
    await hub.aclose()


@pytest.fixture(params=["plan", "core"])
def operations(request: pytest.FixtureRequest) -> Operations:
    return open_operations(SCHEMA, request.param)


async def send(operations: Operations, context: Context, query: str) -> dict[str, Any]:
    prepared = operations.prepare(Request(query, {}), context)
    assert not isinstance(prepared, Answer)
    return (await operations.run(prepared, context)).body()


async def first(operations: Operations, context: Context, **variables: Any) -> dict[str, Any]:
    prepared = operations.prepare(Request(LIVE, variables), context)
    assert not isinstance(prepared, Answer)
    async with asyncio.timeout(5), aclosing(operations.subscribe(prepared, context)) as events:  # type: ignore[type-var]
        return (await anext(events)).body()


async def test_live_metrics_reach_an_operator(operations: Operations, operator: Context) -> None:
    operator.runtime.ops.live_metrics.record_request(0.01, failed=True)
    await publish_metrics(operator.runtime.playback.stream, operator.runtime.ops)
    answer = await first(operations, operator)
    assert "errors" not in answer
    event = answer["data"]["liveMetrics"]
    (point,) = event["points"]
    assert event["gap"] is False
    assert point["errorRate"] == 1
    assert point["requestsPerSecond"] > 0
    assert [tier["level"] for tier in point["cache"]] == ["MEMORY", "REDIS", "RESPONSE"]
    # and its cursor is taken back
    await publish_metrics(operator.runtime.playback.stream, operator.runtime.ops)
    again = await first(operations, operator, after=event["cursor"])
    assert again["data"]["liveMetrics"]["cursor"] != event["cursor"]
    assert len(again["data"]["liveMetrics"]["points"]) == 1


async def test_recent_metrics_reach_an_operator(operations: Operations, operator: Context) -> None:
    ask = "{ recentMetrics(seconds: 60) { cursor gap points { requestsPerSecond } } }"
    assert await send(operations, operator, ask) == {"data": {"recentMetrics": None}}
    await publish_metrics(operator.runtime.playback.stream, operator.runtime.ops)
    recent = (await send(operations, operator, ask))["data"]["recentMetrics"]
    assert (recent["gap"], len(recent["points"])) == (False, 1)


@pytest.mark.parametrize(
    ("role", "variables", "code"),
    [
        (None, {}, "UNAUTHENTICATED"),
        (Role.EDITOR, {}, "FORBIDDEN"),
        (Role.OPERATOR, {"every": 0}, "VALIDATION_FAILED"),
        (Role.ADMIN, {"after": "mine"}, "INVALID_CURSOR"),
    ],
)
async def test_live_metrics_are_refused_with_a_code(
    operations: Operations,
    operator: Context,
    role: Role | None,
    variables: dict[str, Any],
    code: str,
) -> None:
    viewer = Viewer("user_2", role, AccountTier.FREE, "login_2") if role else None
    answer = await first(operations, Context(operator.runtime, viewer), **variables)
    assert [error["extensions"]["code"] for error in answer["errors"]] == [code]
    assert not operator.runtime.ops.metrics_hub._subscriptions


async def test_health_is_public(operations: Operations, context: Context) -> None:
    answer = await send(
        operations,
        context,
        "{ health { status timestamp uptimeSeconds version checks { name status detail } } }",
    )
    health = answer["data"]["health"]
    assert (health["status"], health["version"]) == ("HEALTHY", "0.1.0")
    assert [check["name"] for check in health["checks"]] == ["database", "cache"]


async def test_anybody_may_watch_the_health(operations: Operations, context: Context) -> None:
    ask = "subscription { healthChanged { status checks { name status } } }"
    prepared = operations.prepare(Request(ask, {}), context)
    assert not isinstance(prepared, Answer)
    async with asyncio.timeout(5), aclosing(operations.subscribe(prepared, context)) as events:
        health = (await anext(events)).body()["data"]["healthChanged"]
    assert health["status"] == "HEALTHY"
    assert [check["name"] for check in health["checks"]] == ["database", "cache"]
    assert len(context.runtime.ops.health_watch) == 0


async def test_the_service_tells_what_runs(operations: Operations, context: Context) -> None:
    set_schema_text("type Query")
    answer = await send(operations, context, "{ service { version schemaHash services } }")
    assert answer["data"]["service"] == {
        "version": "0.1.0",
        "schemaHash": hashlib.sha256(b"type Query").hexdigest(),
        "services": ["accounts", "catalog", "sources", "playback", "analytics"],
    }


def test_everything_is_described() -> None:
    for name, kind in SCHEMA._schema.type_map.items():
        if name.startswith("__") or name in {"Query", "Subscription"}:
            continue
        assert kind.description, name
        for field in getattr(kind, "fields", {}).values():
            assert field.description, name
