"""Pages of an allowed origin may send what their clients add to requests by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resolvers.context import Runtime
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
        ("x-unknown", 400),
    ],
)
async def test_a_preflight_allows_the_headers_of_clients(
    runtime: Runtime, names: str, status: int
) -> None:
    settings = runtime.settings.model_copy(update={"cors_origin": SITE})
    headers = {
        "origin": SITE,
        "access-control-request-method": "POST",
        "access-control-request-headers": names,
    }
    async with connect_runtime(replace(runtime, settings=settings)) as client:
        response = await client.options("/graphql", headers=headers)
    assert response.status_code == status
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert (set(names.split(",")) <= set(allowed)) is (status == 200)
