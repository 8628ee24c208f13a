"""The application: routes and middleware from top to bottom, like a table of contents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route, WebSocketRoute
from starlette_compress import CompressMiddleware

import workers
from graph.answers import Answers
from graph.operations import Operations
from graph.schema import open_documents
from resolvers import warming
from resolvers.context import Context, Runtime
from server.graphql_http import GraphQLOverHTTP
from server.graphql_ws import GraphQLOverWebSocket
from server.middleware.observe import Observe
from server.middleware.shortcut import Shortcut
from server.routes import art, fallback, operations
from services.access_log import AccessLog
from services.logs import get_logger
from services.settings import Settings

log = get_logger("server")
_COMPRESSION: Any = {"zstd_level": 3, "brotli_quality": 4, "gzip_level": 4}


def build_app(runtime: Runtime, *, access_log: AccessLog | None = None) -> Starlette:
    """The API on an open Runtime. Its lifespan runs the workers that belong to API processes."""
    settings = runtime.settings
    graphql = Operations(
        open_documents(settings),
        by_plan=settings.graphql_executor == "plan",
        deadline_seconds=settings.graphql_deadline_seconds,
        answers=Answers(runtime.cache),
    )
    over_http = GraphQLOverHTTP(graphql, runtime)
    requests = access_log or AccessLog()
    app = Starlette(
        routes=[
            Route("/graphql", over_http),
            WebSocketRoute("/graphql", GraphQLOverWebSocket(graphql, runtime, log=requests)),
            Route("/health", operations.health),
            Route("/ready", operations.ready),
            Route("/metrics", operations.prometheus),
            Route("/art/posters/{title_id}.svg", art.poster),
            Route("/art/backdrops/{title_id}.svg", art.backdrop),
        ],
        middleware=[
            Middleware(Observe, log=requests, live=runtime.live_metrics),
            *_hosts(settings),
            *_origins(settings),
            Middleware(
                Shortcut,
                path="/graphql",
                endpoint=over_http,
                compressed=CompressMiddleware(over_http, **_COMPRESSION),
            ),
            Middleware(CompressMiddleware, **_COMPRESSION),
        ],
        exception_handlers={HTTPException: fallback.http_error, Exception: fallback.server_error},
        lifespan=_lifespan,
    )
    app.state.runtime = runtime
    app.state.operations = graphql
    app.state.draining = asyncio.Event()
    return app


def _hosts(settings: Settings) -> list[Middleware]:
    names = [name.strip() for name in settings.trusted_hosts.split(",") if name.strip()]
    return [] if names == ["*"] else [Middleware(TrustedHostMiddleware, allowed_hosts=names)]


def _origins(settings: Settings) -> list[Middleware]:
    """No configured origin, no CORS: other sites' scripts read nothing."""
    origins = [origin.strip() for origin in settings.cors_origin.split(",") if origin.strip()]
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "retry-after"],
            max_age=86400,
        )
    ]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    stop = asyncio.Event()
    names = workers.names_for("api")
    task = asyncio.create_task(workers.run_workers(app.state.runtime, names, stop))
    warming_up = asyncio.create_task(_warm(app.state.runtime))
    try:
        yield
    finally:
        app.state.draining.set()
        stop.set()
        warming_up.cancel()
        await asyncio.gather(task, warming_up, return_exceptions=True)


async def _warm(runtime: Runtime) -> None:
    try:
        films = await warming.warm_at_start(Context(runtime))
    except Exception as error:  # a cold cache is slower, nothing else
        log.warning("warming_failed", error=repr(error))
    else:
        log.info("warmed", films=films)
