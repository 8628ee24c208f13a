"""The application: routes and middleware from top to bottom, like a table of contents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute
from starlette.types import Scope

import workers
from graph.engine.answers import Answers, RenderTags
from graph.engine.operations import Operations
from graph.engine.trusted_documents import keep_compiled
from graph.schema import open_documents
from resolvers.catalog import warming
from resolvers.context import Context, Runtime
from server.door.short_door import Layers, ShortDoor
from server.graphql import cookies
from server.graphql.http import GraphQLOverHTTP
from server.graphql.naming.addresses import DOCUMENTS, ENDPOINT
from server.graphql.negotiation.methods import Methods
from server.graphql.operation_log import OperationLog
from server.graphql.single_connection import SingleConnections
from server.graphql.socket_limits import OpenSockets
from server.graphql.streams.streaming import Streaming
from server.graphql.websocket import GraphQLOverWebSocket
from server.middleware.abuse_guard import AbuseGate, AbuseGuard
from server.middleware.client_address import ClientAddress
from server.middleware.compression import Compression
from server.middleware.cross_site_guard import CrossSiteGuard
from server.middleware.error_boundary import ErrorBoundary
from server.middleware.graphql_fast_path import GraphQLFastPath
from server.middleware.header_lines import HeaderLines
from server.middleware.request_metrics import RequestMetrics, RequestRecorder
from server.middleware.security_headers import SecurityHeaders
from server.middleware.trusted_host import StrictTrustedHost
from server.origins import Origins
from server.routes import art, fallback, media, operations, security_txt
from server.routes.bandwidth import BandwidthTest
from server.routes.jwks import KeySet
from server.routes.prometheus import ReadMetrics, list_metrics_routes, read_own_metrics
from services.cdn.edge import EdgeRefresher
from services.limits.client_address import ClientAddresses
from services.limits.operation_gate import OperationGate
from services.settings.settings import Settings
from services.supervision import SupervisedTask
from services.telemetry.access_log import AccessLog
from services.telemetry.logs import get_logger
from services.telemetry.loop_lag import loop_lag
from services.telemetry.outages import is_store_away

log = get_logger("server")
_STOP_SECONDS = 2.0  # for the workers of API processes
_EXPOSED_HEADERS = [
    "x-request-id",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "content-length",
    "content-range",
]
_CLIENT_HEADERS = [
    "authorization",
    "content-type",
    "x-marquee-auth",
    "range",
    "x-request-id",
    "x-no-compression",
    "last-event-id",
    "x-graphql-event-stream-token",
    # what Apollo's and Hive's clients and OpenTelemetry add to requests by themselves
    "apollographql-client-name",
    "apollographql-client-version",
    "graphql-client-name",
    "graphql-client-version",
    "apollo-require-preflight",
    "traceparent",
    "tracestate",
    "baggage",
]


def build_app(
    runtime: Runtime,
    *,
    access_log: AccessLog | None = None,
    read_metrics: ReadMetrics = read_own_metrics,
) -> Starlette:
    """Build the API on an open Runtime. Its lifespan runs the workers of API processes.

    Args:
        read_metrics: what /metrics answers; those of this process by default.
    """
    settings = runtime.settings
    graphql = _operations(runtime)
    open_sockets, draining = OpenSockets(settings, runtime.accounts.revocations), asyncio.Event()
    streaming = Streaming(graphql, runtime, open_sockets, draining)
    edge = _edge(runtime)
    requests = access_log or AccessLog.of(settings)
    shared = _shared_streams(graphql, runtime, streaming, requests)
    over_http = GraphQLOverHTTP(graphql, runtime, streaming, edge, shared)
    over_socket = GraphQLOverWebSocket(graphql, runtime, log=requests, open_sockets=open_sockets)
    layers = _layers(runtime, requests)
    app = Starlette(
        routes=[
            Route(ENDPOINT, over_http),
            Route(DOCUMENTS + "{address:path}", over_http),
            WebSocketRoute(ENDPOINT, over_socket),
            *_routes(runtime, read_metrics),
        ],
        middleware=_middleware(layers, over_http),
        exception_handlers={HTTPException: fallback.http_error},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would name whatever host was asked for
    app.state.runtime = runtime
    app.state.operations = graphql
    is_short = settings.http_door == "short"
    app.state.door = ShortDoor(over_http, layers, settings.max_body_bytes) if is_short else None
    app.state.draining = draining
    app.state.edge = edge
    return app


def _shared_streams(
    operations: Operations, runtime: Runtime, streaming: Streaming, requests: AccessLog
) -> SingleConnections | None:
    if not runtime.settings.sse_single_connection:
        return None
    log = OperationLog(requests, runtime.ops.live_metrics)
    return SingleConnections(operations, streaming.running, log)


def _middleware(layers: Layers, over_http: GraphQLOverHTTP) -> list[Middleware]:
    """What requests pass, outermost first; the short door asks the same layers in this order."""
    compressed = Compression(over_http)
    return [
        Middleware(ErrorBoundary, security=layers.security, around_answers=layers.cors),
        *_proxies(layers.addresses),
        Middleware(RequestMetrics, recorder=layers.recorder, security=layers.security),
        *layers.hosts,
        *layers.cors,
        Middleware(HeaderLines),
        Middleware(CrossSiteGuard, origins=layers.origins),
        *_abuse_guard(layers),
        Middleware(GraphQLFastPath, endpoint=over_http, compressed=compressed),
        Middleware(Compression),
    ]


def _operations(runtime: Runtime) -> Operations:
    settings = runtime.settings
    return Operations(
        open_documents(settings, runtime.ops.documents.trusted),
        by_plan=settings.graphql_executor == "plan",
        deadline_seconds=settings.graphql_deadline_seconds,
        answers=Answers(runtime.cache, render_tags=_render_tags(runtime)),
        gate=OperationGate(
            settings.operations_in_flight,
            settings.operations_queued,
            settings.operations_queue_seconds,
        ),
    )


def _edge(runtime: Runtime) -> EdgeRefresher | None:
    settings = runtime.settings
    addresses = [one.strip() for one in settings.edge_urls.split(",") if one.strip()]
    if not addresses:
        return None
    key = settings.edge_refresh_key.get_secret_value()
    return EdgeRefresher(addresses, key, runtime.cache)


def _render_tags(runtime: Runtime) -> RenderTags | None:
    cdn = runtime.catalog.cdn
    return cdn.render_tags if cdn.tag_rules is not None else None


def _routes(runtime: Runtime, read_metrics: ReadMetrics) -> list[Route]:
    return [
        Route("/health", operations.health),
        Route("/ready", operations.ready),
        *list_metrics_routes(runtime.settings, read_metrics),
        Route("/.well-known/jwks.json", KeySet(runtime.accounts.access_tokens).answer),
        Route(security_txt.PATH, security_txt.SecurityTxt(runtime.settings, runtime.clock).answer),
        Route("/art/posters/{title_id}.svg", art.poster),
        Route("/art/backdrops/{title_id}.svg", art.backdrop),
        Route("/media/{token}/{title_id}/{path:path}", media.media),
        Route("/bandwidth-test", BandwidthTest(runtime.ops.rate_limiter).answer),
    ]


def _layers(runtime: Runtime, requests: AccessLog) -> Layers:
    watch, settings = runtime.ops.abuse_watch, runtime.settings

    async def find_account(scope: Scope) -> str | None:
        return await cookies.find_account(runtime, scope)

    return Layers(
        SecurityHeaders(settings),
        RequestRecorder(requests, runtime.ops.live_metrics),
        Origins(settings),
        watch.addresses,
        AbuseGate(watch) if watch.is_on else None,
        find_account,
        _origins(settings),
        _hosts(settings),
    )


def _proxies(addresses: ClientAddresses) -> list[Middleware]:
    return [Middleware(ClientAddress, addresses=addresses)] if addresses.trusted else []


def _abuse_guard(layers: Layers) -> list[Middleware]:
    if layers.gate is None:
        return []
    return [Middleware(AbuseGuard, gate=layers.gate, find_account=layers.find_account)]


def _hosts(settings: Settings) -> list[Middleware]:
    names = [name.strip() for name in settings.trusted_hosts.split(",") if name.strip()]
    return [] if names == ["*"] else [Middleware(StrictTrustedHost, allowed_hosts=names)]


def _origins(settings: Settings) -> list[Middleware]:
    """CORS for the configured origins; without any, other sites' scripts read nothing."""
    origins = Origins(settings)
    if not origins.named and origins.pattern is None:
        return []
    further = [name.strip().lower() for name in settings.cors_headers.split(",") if name.strip()]
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins.named,
            allow_origin_regex=origins.pattern,
            allow_methods=Methods(settings).of_pages,
            allow_credentials="*" not in origins.named,
            allow_headers=[*_CLIENT_HEADERS, *further],
            expose_headers=_EXPOSED_HEADERS,
            max_age=86400,
        )
    ]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    stop = asyncio.Event()
    loop_lag.start()
    runtime: Runtime = app.state.runtime
    names = workers.names_for("api")
    task = asyncio.create_task(workers.run_workers(runtime, names, stop))
    warming_up = asyncio.create_task(_warm(runtime))
    try:
        async with _trusted_documents(runtime, app.state.operations), _refreshed(app.state.edge):
            yield
    finally:
        app.state.draining.set()
        stop.set()
        warming_up.cancel()
        loop_lag.stop()
        await asyncio.wait([task, warming_up], timeout=_STOP_SECONDS)
        task.cancel()
        await asyncio.gather(task, warming_up, return_exceptions=True)


@asynccontextmanager
async def _trusted_documents(runtime: Runtime, graphql: Operations) -> AsyncIterator[None]:
    """Keep the documents that operators pushed at hand, and compiled."""
    async with runtime.ops.documents.follow():
        work = partial(keep_compiled, graphql.documents)
        compiling = SupervisedTask("trusted documents", work)
        compiling.start()
        try:
            yield
        finally:
            await compiling.aclose()


@asynccontextmanager
async def _refreshed(edge: EdgeRefresher | None) -> AsyncIterator[None]:
    """Have the edge fetch anew what changes."""
    if edge is None:
        yield
        return
    edge.start()
    try:
        yield
    finally:
        await edge.aclose()


async def _warm(runtime: Runtime) -> None:
    try:
        films = await warming.warm_at_start(Context(runtime))
    except Exception as error:  # a cold cache is slower, nothing else
        if not is_store_away():  # which is logged already
            log.warning("cache_warming_failed", error=repr(error))
    else:
        log.info("cache_warmed", films=films)
