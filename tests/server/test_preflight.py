"""Pages of an allowed origin may send what their clients add to requests by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resolvers.context import Runtime
from services.settings.settings import Environment
from tests.support.api_client import connect_runtime

SITE = "https://app.example"
APOLLO = "apollographql-client-name,apollographql-client-version,content-type"


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (APOLLO, 200),
        ("apollo-require-preflight", 200),
        ("baggage,content-type,traceparent,tracestate,x-marquee-auth", 200),
        ("authorization,x-no-compression", 200),
        ("X-Own-Client,x-release", 200),
        ("x-unknown", 400),
    ],
)
async def test_a_preflight_allows_the_headers_of_clients(
    runtime: Runtime, names: str, status: int
) -> None:
    settings = runtime.settings.model_copy(
        update={"cors_origin": SITE, "cors_headers": "X-Own-Client, x-release"}
    )
    headers = {
        "origin": SITE,
        "access-control-request-method": "POST",
        "access-control-request-headers": names,
    }
    async with connect_runtime(replace(runtime, settings=settings)) as client:
        response = await client.options("/graphql", headers=headers)
    assert response.status_code == status
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert (set(names.lower().split(",")) <= set(allowed)) is (status == 200)


@pytest.mark.parametrize("environment", Environment)
async def test_only_in_development_pages_of_this_machine_read_answers(
    runtime: Runtime, environment: Environment
) -> None:
    settings = runtime.settings.model_copy(update={"environment": environment})
    page = "http://localhost:5173"
    expected = page if environment is Environment.DEVELOPMENT else None
    asks = {"access-control-request-method": "POST", "access-control-request-headers": APOLLO}
    async with connect_runtime(replace(runtime, settings=settings)) as client:
        before = await client.options("/graphql", headers={"origin": page, **asks})
        posted = await client.post(
            "/graphql", json={"query": "{ __typename }"}, headers={"origin": page}
        )
    for response in (before, posted):
        assert response.headers.get("access-control-allow-origin") == expected
    assert (before.status_code == 200) is (expected is not None)
