"""Clients of event streams, as browsers read them (HTML, 9.2.6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

from tests.support.api_client import LiveServer

EVENTS = {"accept": "text/event-stream"}


class Event(NamedTuple):
    """One event; `data` is decoded JSON, None without any."""

    name: str
    data: Any
    id: str | None = None


class EventReader:
    """Reads a response's events; every wait ends after 8 s."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments = 0
        self._lines = response.aiter_lines()

    async def receive(self) -> Event | None:
        """The next event; None at the end of the response."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(8):
            async for line in self._lines:
                name, _, value = line.partition(":")
                if line and not name:
                    self.comments += 1
                elif line:
                    fields[name] = value.removeprefix(" ")
                elif fields:
                    data = json.loads(fields["data"]) if fields["data"] else None
                    return Event(fields["event"], data, fields.get("id"))
        assert not fields, "the stream ended inside an event"
        return None

    async def receive_all(self) -> list[Event]:
        """All further events."""
        events = []
        while (event := await self.receive()) is not None:
            events.append(event)
        return events


@asynccontextmanager
async def open_events(
    server: LiveServer,
    query: str,
    token: str | None = None,
    *,
    by_get: bool = False,
    **headers: str,
) -> AsyncIterator[EventReader]:
    """Open an operation's event stream; headers' names have `_` for `-`."""
    sent = EVENTS | {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["authorization"] = f"Bearer {token}"
    operation = {"params": {"query": query}} if by_get else {"json": {"query": query}}
    async with server.client() as client:
        method = "GET" if by_get else "POST"
        async with client.stream(method, "/graphql", headers=sent, **operation) as response:  # type: ignore[arg-type]
            yield EventReader(response)
