"""A process with default settings in which nothing but loopback can be spoken to.

Run as `python -m tests.support.no_network_process`: it does what clients do, over the whole API,
and prints how much of it, as JSON. Speaking to anybody else, or looking up a name, ends it at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any

import httpx

import models
from models import Role
from resolvers.catalog.imports import demo
from resolvers.context import Runtime
from resolvers.opening import open_runtime
from server.app import build_app
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from tests.support.api_client import GraphQL, token_for
from tests.support.operation_files import operations

OUTSIDE = 97  # the exit status of a process that tried to leave
_LOOPBACK = {"127.0.0.1", "::1", "localhost", None}
_NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_FILM = """
query ($id: ID!) { movie(by: {id: $id}) {
  streamingSources(input: {refresh: true}) { origin attempts { provider { key } outcome } }
  embed { url } hls { masterPlaylistUrl }
  poster { url(width: 342) srcSet }
} }"""
_OPERATOR = """{
  providers { key enabled status { available } breaker { state } healthScore p95LatencyMs }
  circuitBreakers { name }
  health { status checks { name status } }
}"""
_EDITOR = """{ providerSearch(query: "nosferatu") { __typename } }"""
_IMPORT = "mutation { importFromTmdb(input: {tmdbIds: [653]}) { job { id } errors { code } } }"


def _seal() -> None:
    """From here on; it cannot be taken off."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NAMES:
            host = arguments[0]
        elif event in {"socket.connect", "socket.sendto"}:
            address = arguments[1]
            host = address[0] if isinstance(address, tuple) else "localhost"  # a file's name
        else:
            return
        if isinstance(host, bytes):
            host = host.decode()
        if host not in _LOOPBACK:
            os.write(2, f"{event} to {host!r}\n".encode())
            os._exit(OUTSIDE)

    sys.addaudithook(hear)


async def _answers(runtime: Runtime, client: httpx.AsyncClient) -> dict[str, Any]:
    """What was asked, in numbers, and the answers that a test looks at."""
    graphql = GraphQL(client)
    answers: dict[str, Any] = {"operations": 0}
    for operation in operations():
        token = token_for(runtime, operation.role) if operation.role else None
        status, _ = await graphql(operation.query, operation.variables, token)
        answers["operations"] += status == 200
    film = (await models.find(models.Movie, models.MovieRecord, {}, limit=1))[0]
    for name, query, role in (
        ("film", _FILM, Role.USER),
        ("operator", _OPERATOR, Role.OPERATOR),
        ("editor", _EDITOR, Role.EDITOR),
        ("import", _IMPORT, Role.EDITOR),
    ):
        _, answers[name] = await graphql(query, {"id": film.id}, token_for(runtime, role))
    for path in ("/health", "/ready", "/metrics", "/"):
        await client.get(path)
    return answers


async def _live() -> None:
    async with open_runtime(Settings(_env_file=None)) as runtime:
        await models.apply_indexes()
        await demo.load(runtime)
        app = build_app(runtime, access_log=AccessLog(enabled=False))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            print(json.dumps(await _answers(runtime, client)))


if __name__ == "__main__":
    _seal()
    if "--leave" in sys.argv:
        socket.getaddrinfo("films.example", 443)
    elif "--connect" in sys.argv:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
    else:
        asyncio.run(_live())
