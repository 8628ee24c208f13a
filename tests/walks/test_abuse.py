"""A flood from one place, from end to end: it is slowed down, held to known documents, blocked;
nobody else notices, and an operator can see and lift it.

Down: server/middleware/turn_away → services/abuse_watch → abuse_store (Redis), and for documents
graph/operations → resolvers/abuse. Beside it: server/abuse_commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

import models
from models import AuditEvent
from resolvers.context import Runtime
from server.commands import abuse as abuse_commands
from services.errors import StartupError
from services.limits.abuse_rules import AbuseLevel
from services.limits.abuse_watch import AbuseWatch
from services.settings.settings import Settings
from tests.support.api_client import LiveServer, build_silent_app, serve_app
from tests.support.processes import Process, until
from tests.support.runtimes import with_changes

BAD, OTHER = "127.0.1.2", "127.0.2.3"
PREFIX = "127.0.1.0/24"
# Few and slow requests are a flood already: so is this test on a slow machine.
FLOOD = {
    "abuse_mode": "enforce",
    "abuse_requests_per_second": 2,
    "abuse_slow_score": 25,
    "abuse_documents_score": 50,
    "abuse_block_score": 100,
    "abuse_block_seconds": 600,
}


@asynccontextmanager
async def served(runtime: Runtime) -> AsyncIterator[tuple[LiveServer, AbuseWatch]]:
    """One process of several: its watch runs by itself."""
    settings = runtime.settings.model_copy(update=FLOOD)
    watch = AbuseWatch(settings, runtime.redis)
    await watch.start()
    accounts = {"signal_listeners": [watch.record_signal]}
    own = with_changes(runtime, settings=settings, ops={"abuse_watch": watch}, accounts=accounts)
    app = build_silent_app(own)
    try:
        async with serve_app(app, settings) as server:
            yield server, watch
    finally:
        await watch.aclose()


def client(server: LiveServer, address: str) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(base_url=server.url, transport=transport, timeout=60)


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/graphql", json={"query": "{ __typename }"})


def level(watch: AbuseWatch) -> AbuseLevel:
    status = watch.get_status(BAD)
    return watch.get_level(status) if status is not None else AbuseLevel.NORMAL


async def test_a_flood_is_slowed_down_and_blocked_while_others_are_served(
    runtime: Runtime,
) -> None:
    async with served(runtime) as (server, watch), served(runtime) as (second, second_watch):
        async with client(server, BAD) as bad, client(server, OTHER) as other:
            statuses: set[int] = set()
            levels = [AbuseLevel.NORMAL]
            is_over = asyncio.Event()

            async def flood() -> None:
                while not is_over.is_set():
                    statuses.add((await ask(bad)).status_code)
                    if level(watch) not in levels:
                        levels.append(level(watch))

            # when more connections of one prefix than may wait ask as fast as they can
            flooding = [asyncio.create_task(flood()) for _ in range(40)]
            await until(lambda: 403 in statuses, 120)
            # then it ended in a block, by way of waiting
            assert level(watch) is AbuseLevel.BLOCKED
            assert levels == sorted(levels)
            # and while it goes on, somebody else gets every answer
            for _ in range(20):
                answer = await ask(other)
                assert (answer.status_code, answer.json()["data"]) == (200, {"__typename": "Query"})
            is_over.set()
            await asyncio.gather(*flooding)
        # and the other process blocks it too
        await until(lambda: level(second_watch) is AbuseLevel.BLOCKED)
        async with client(second, BAD) as bad:
            assert (await ask(bad)).status_code == 403


async def test_an_operator_blocks_sees_and_lifts(
    runtime: Runtime, settings: Settings, tmp_path: Path
) -> None:
    environment = {
        "MONGODB_URI": str(settings.mongodb_uri),
        "MONGODB_DATABASE": settings.mongodb_database,
        "REDIS_URL": str(settings.redis_url),
    }

    async def abuse(*arguments: str) -> str:
        folder = tmp_path / arguments[0]
        with Process(folder, "abuse", *arguments, environment=environment) as process:
            assert await process.ended() == 0, process.output
            return process.output

    async with served(runtime) as (server, watch), client(server, BAD) as bad:
        assert (await ask(bad)).status_code == 200
        # when an operator blocks the address's prefix
        output = await abuse("block", BAD, "--minutes", "5", "--reason", "scraping")
        assert output.startswith(f"{PREFIX}: blocked until ")
        # then the running server refuses it soon
        await until(lambda: level(watch) is AbuseLevel.BLOCKED)
        assert (await ask(bad)).status_code == 403
        # and it is in the list, with the reason
        output = await abuse("list")
        assert PREFIX in output
        assert "blocked" in output
        assert output.rstrip().endswith("scraping\n1 prefixes.")
        # when it is lifted
        assert await abuse("lift", PREFIX) == f"{PREFIX}: lifted.\n"
        await until(lambda: level(watch) is AbuseLevel.NORMAL)
        assert (await ask(bad)).status_code == 200
    # then the audit log has both, with what was said
    lifted, blocked = await models.audit_entries(10, of=PREFIX)
    assert (blocked.event, blocked.facts) == (
        AuditEvent.ADDRESS_BLOCKED,
        {"minutes": 5, "reason": "scraping"},
    )
    assert (lifted.event, lifted.actor) == (AuditEvent.ADDRESS_LIFTED, None)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
    ],
)
def test_a_prefix_is_named_by_itself_or_an_address_in_it(text: str, prefix: str) -> None:
    assert abuse_commands.parse_prefix(text) == prefix


@pytest.mark.parametrize("text", ["", "0.0.0.0/0", "203.0.113.0/25", "2001:db8::/47", "everybody"])
def test_nothing_wider_or_narrower_is_a_prefix(text: str) -> None:
    with pytest.raises(StartupError):
        abuse_commands.parse_prefix(text)
