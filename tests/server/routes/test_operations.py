"""What operators, balancers and browsers ask beside GraphQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from pymongo.errors import OperationFailure
from starlette.applications import Starlette

from models.mongo.guard import DatabaseGuard, guard_database
from resolvers.context import Runtime
from resolvers.ops.health_and_metrics import HEALTH_KEY
from services.redis import pool
from services.settings.settings import Settings
from services.version import VERSION
from tests.support.api_client import (
    GraphQL,
    LiveServer,
    build_silent_app,
    connect_app,
    connect_runtime,
)
from tests.support.fake_provider import free_port


async def test_a_process_that_runs_is_healthy(client: httpx.AsyncClient) -> None:
    response = await client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": VERSION})
    assert response.headers["cache-control"] == "no-store"


async def test_it_is_ready_with_both_stores(client: httpx.AsyncClient) -> None:
    response = await client.get("/ready")
    expected = {"status": "healthy", "checks": {"database": "healthy", "cache": "healthy"}}
    body = response.json()
    tasks = body.pop("tasks")
    assert (response.status_code, body) == (200, expected)
    # and tells of each endless task whether it works
    assert {"cache tracking", "revocations"} <= set(tasks)
    assert set(tasks.values()) == {"running"}


async def test_without_redis_it_is_degraded_and_ready_still(
    runtime: Runtime, settings: Settings
) -> None:
    # given a process whose Redis is away
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    client = pool.connect(away)
    async with connect_runtime(replace(runtime, redis=client)) as ask:
        response = await ask.get("/ready")
    await client.aclose()
    # then no balancer takes it out; the state's Redis is another, and there
    checks = {"database": "healthy", "cache": "unhealthy", "state": "healthy"}
    expected = {"status": "degraded", "checks": checks}
    body = response.json()
    body.pop("tasks")
    assert (response.status_code, body) == (200, expected)


@pytest.mark.parametrize(
    ("settings_changes", "headers", "shows_causes"),
    [
        ({}, {}, True),
        ({"metrics_token": SecretStr("a token of operators")}, {}, False),
        ({"metrics_port": 9464}, {}, False),
        (
            {"metrics_token": SecretStr("a token of operators"), "metrics_port": 9464},
            {"authorization": "Bearer a token of operators"},
            True,
        ),
    ],
)
async def test_why_mongodb_refuses_is_told_to_operators_and_as_a_word_to_strangers(
    runtime: Runtime,
    settings_changes: dict[str, object],
    headers: dict[str, str],
    shows_causes: bool,
) -> None:
    # given a MongoDB that answers pings and refuses a write
    guard = DatabaseGuard(answer_ping, lambda: True)
    guard.record_refusal(OperationFailure("all", 79, {"codeName": "UnknownReplWriteConcern"}))
    settings = runtime.settings.model_copy(update=settings_changes)
    async with connect_runtime(replace(runtime, settings=settings)) as ask:
        with guard_database(guard):
            runtime.ops.health_cache.forget(HEALTH_KEY)
            response = await ask.get("/ready", headers=headers)
    runtime.ops.health_cache.forget(HEALTH_KEY)
    body = response.json()
    assert (response.status_code, body["checks"]["database"]) == (200, "degraded")
    assert ("UnknownReplWriteConcern (79)" in response.text) is shows_causes
    assert ("causes" in body) is shows_causes


async def answer_ping() -> None:
    return


async def test_a_draining_process_takes_no_more(app: Starlette, client: httpx.AsyncClient) -> None:
    app.state.draining.set()
    response = await client.get("/ready")
    assert (response.status_code, response.json()["status"]) == (503, "draining")
    # but lives
    assert (await client.get("/health")).status_code == 200


async def test_metrics_have_the_original_designs_names(
    client: httpx.AsyncClient, graphql: GraphQL, demo_catalog: None
) -> None:
    # given a query that read through the cache, twice
    for _ in range(2):
        await graphql("{ movies(first: 1) { nodes { title } } }")
    response = await client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert families["http_request_duration_seconds"].type == "histogram"
    assert families["http_requests"].type == "counter"  # its samples end in _total
    assert families["active_connections"].type == "gauge"
    for counter in ("cache_hits", "cache_misses"):
        levels = {sample.labels["cache_type"] for sample in families[counter].samples}
        assert levels
        assert levels <= {"memory", "redis", "response"}
    for name in ("http_requests_total", "cache_hits_total", "cache_misses_total"):
        assert f"\n{name}{{" in response.text


async def test_requests_are_counted_by_method_route_and_status(
    client: httpx.AsyncClient, graphql: GraphQL
) -> None:
    labels = ['method="POST",route="/graphql",status_code="200"']
    labels.append('method="GET",route="other",status_code="404"')
    labels.append('method="other",route="/graphql",status_code="405"')
    before = [await counted(client, one) for one in labels]
    await graphql("{ __typename }")
    await client.get("/nowhere-1")
    await client.get("/nowhere-2")
    await client.request("BREW", "/graphql")
    after = [await counted(client, one) for one in labels]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 2, 1]


async def counted(client: httpx.AsyncClient, labels: str) -> float:
    prefix = f"http_requests_total{{{labels}}} "
    lines = (await client.get("/metrics")).text.splitlines()
    return sum(float(line.removeprefix(prefix)) for line in lines if line.startswith(prefix))


@pytest.mark.parametrize("path", ["/", "/nowhere", "/graphql/x", "/art/posters/movie_1", "/%ff"])
async def test_what_is_not_there_is_reported_in_json(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.json() == {
        "errors": [{"message": "Not Found", "extensions": {"code": "NOT_FOUND"}}]
    }


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/art/posters/movie_1.svg"])
async def test_these_are_only_read(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(path)
    allowed = sorted(response.headers["allow"].split(", "))
    assert (response.status_code, allowed) == (405, ["GET", "HEAD"])
    assert response.json()["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"


async def test_art_is_where_the_catalogue_says(
    client: httpx.AsyncClient, graphql: GraphQL, settings: Settings, demo_catalog: None
) -> None:
    query = "{ movies(first: 2) { nodes { poster { url } backdrop { url } } } }"
    _, body = await graphql(query)
    for film in body["data"]["movies"]["nodes"]:
        for address in (film["poster"]["url"], film["backdrop"]["url"]):
            assert address.startswith("/art/")
            response = await client.get(address)
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("image/svg+xml")
            assert response.text.startswith("<svg")


async def test_art_of_nothing_is_not_there(client: httpx.AsyncClient) -> None:
    for path in ("/art/posters/movie_0.svg", "/art/backdrops/x%2F..%2F.svg", "/art/posters/.svg"):
        assert (await client.get(path)).status_code == 404


async def test_other_hosts_are_refused_where_hosts_are_named(
    runtime: Runtime, settings: Settings
) -> None:
    named = settings.model_copy(update={"trusted_hosts": "api.marquee.test, localhost"})
    app = build_silent_app(replace(runtime, settings=named))
    transport = httpx.ASGITransport(app)
    for host, status in (("localhost", 200), ("api.marquee.test:5000", 200), ("evil.test", 400)):
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            assert (await client.get("/health")).status_code == status


async def test_only_named_sites_may_read_answers(runtime: Runtime, settings: Settings) -> None:
    named = settings.model_copy(update={"cors_origin": "https://web.marquee.test"})
    app = build_silent_app(replace(runtime, settings=named))
    preflight = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    async with connect_app(app) as ask:
        for origin, allowed in (("https://web.marquee.test", True), ("https://evil.test", False)):
            headers = {"origin": origin, **preflight}
            response = await ask.options("/graphql", headers=headers)
            assert (response.status_code == 200) is allowed
            answer = await ask.post(
                "/graphql", json={"query": "{ __typename }"}, headers={"origin": origin}
            )
            assert answer.headers.get("access-control-allow-origin") == (
                origin if allowed else None
            )


async def test_a_process_says_that_it_is_draining_as_soon_as_its_stop_begins(
    app: Starlette, live_server: LiveServer, client: httpx.AsyncClient
) -> None:
    # given a request that is still being sent, so that the process cannot end yet
    _, writer = await asyncio.open_connection("127.0.0.1", live_server.port)
    head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: 100\r\n\r\n{{".encode())
    await asyncio.sleep(0.05)
    assert (await client.get("/ready")).status_code == 200
    # when it is asked to stop
    ending = live_server.begin_stop()
    await asyncio.sleep(0.02)
    # then balancers are told before it has begun to close anything
    response = await client.get("/ready")
    assert not ending.done()
    assert (response.status_code, response.json()["status"]) == (503, "draining")
    writer.close()
