"""The suite graphql-http, which says whether a server speaks GraphQL over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resolvers.context import Runtime
from tests.support import node_packages
from tests.support.api_client import HttpDoor
from tests.support.sockets import serve_runtime

HERE = Path(__file__).parent
AUDITS = 61


@pytest.fixture(params=["asgi", "short"])
def door(request: pytest.FixtureRequest) -> Iterator[None]:
    """The door that requests come in by."""
    HttpDoor.current = request.param
    yield
    HttpDoor.current = None


@pytest.mark.parametrize("further", [{}, {"http_query_method": True, "http_batch_operations": 10}])
async def test_every_audit_passes_without_a_warning(
    runtime: Runtime, door: None, further: dict[str, object]
) -> None:
    await node_packages.install(HERE)
    async with serve_runtime(runtime, **further) as server:
        results = await node_packages.ask(HERE / "audits.mjs", {"url": f"{server.url}/graphql"})
    assert [one for one in results if one["status"] != "ok"] == []
    assert len(results) == AUDITS


async def test_the_draft_profile_differs_where_the_suite_is_older(runtime: Runtime) -> None:
    await node_packages.install(HERE)
    async with serve_runtime(runtime, http_profile="draft") as server:
        results = await node_packages.ask(HERE / "audits.mjs", {"url": f"{server.url}/graphql"})
    # then it differs only where the suite expects the 400 that has become 422
    differing = [one["name"] for one in results if one["status"] != "ok"]
    assert differing
    assert [name for name in differing if "400" not in name] == []
    assert [name for name in differing if name.startswith("MUST")] == []
