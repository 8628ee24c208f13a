"""How tests serve sockets with other settings, and sign in to them as somebody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import models
from models.mongo import ids
from resolvers.context import Runtime
from services.telemetry import metrics
from tests.support.api_client import LiveServer, Socket, build_silent_app, serve_app
from tests.support.clock import Clock

ASK = "{ __typename }"
LIVE = "subscription { liveMetrics { cursor } }"


@asynccontextmanager
async def serve_runtime(
    runtime: Runtime, *, clock: Clock | None = None, **changes: Any
) -> AsyncIterator[LiveServer]:
    """Our server with other settings."""
    settings = runtime.settings.model_copy(update=changes)
    changed = replace(runtime, settings=settings, clock=clock or runtime.clock)
    app = build_silent_app(changed)
    async with serve_app(app, settings) as server:
        yield server


@asynccontextmanager
async def open_client_sockets(
    server: LiveServer, count: int, token: str | None
) -> AsyncIterator[list[Socket]]:
    """So many, each with the hello answered."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(server.socket()) for _ in range(count)]
        yield [await socket.initialised(token) for socket in opened]


def issue_token(
    runtime: Runtime,
    *,
    now: float | None = None,
    user: str = "ada",
    login: str = "login_ada",
    role: models.Role = models.Role.OPERATOR,
) -> str:
    """An access token; it lives for 900 s."""
    return runtime.accounts.access_tokens.issue(
        user_id=ids.derive("user", "sockets", user),
        role=role.value,
        tier=models.AccountTier.FREE.value,
        login_id=login,
        now=runtime.clock() if now is None else now,
    )


def count_open_sockets() -> float:
    return metrics.REGISTRY.get_sample_value("active_connections") or 0.0


def count_open_streams() -> float:
    return metrics.REGISTRY.get_sample_value("active_streams") or 0.0


def count_closed(code: int) -> float:
    value = metrics.REGISTRY.get_sample_value("sockets_closed_total", {"code": str(code)})
    return value or 0.0
