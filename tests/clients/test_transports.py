"""Real clients by their own transports: queries, documents by id, mutations, streams, @defer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from models import Role
from resolvers.context import Runtime
from tests.support import node_packages
from tests.support.api_client import token_for
from tests.support.documents import push, sha256_of
from tests.support.sockets import serve_runtime
from tests.support.titles import film, genre, store

HERE = Path(__file__).parent
ORDER = "orderBy: {field: TITLE, direction: ASC}"
QUERY = f"query Films {{ movies(first: 2, {ORDER}) {{ nodes {{ id title }} }} }}"
PERSISTED = f"query Hashed {{ movies(first: 1, {ORDER}) {{ nodes {{ id title }} }} }}"
TRUSTED = "query Pushed { genres { id name } }"
REGISTER = """mutation Register { register(input: {
  email: "NAME@example.org", password: "velvet cactus lamp", displayName: "NAME"
}) { errors { code } viewer { id displayName } } }"""
SUBSCRIPTION = "subscription Live { liveMetrics { cursor gap } }"
# the label is as Relay's compiler makes them
DEFERRED = """query Deferred {
  movies(first: 2, orderBy: {field: TITLE, direction: ASC}) {
    nodes { id ...Words @defer(label: "Deferred$defer$Words") }
  }
}
fragment Words on Movie { title genres { id name } }"""
FILMS = [{"title": "Quay 0"}, {"title": "Quay 1"}]
DRAMA = {"name": "Drama"}
WHOLE = {"movies": {"nodes": [{**one, "genres": [DRAMA]} for one in FILMS]}}


@pytest.fixture
async def asked(runtime: Runtime) -> AsyncIterator[dict[str, Any]]:
    """What the scripts are to ask of a server with all protocols."""
    await node_packages.install(HERE)
    films = [film(n, title=f"Quay {n}", genre_ids=["genre_drama"]) for n in range(2)]
    await store([genre("drama"), *films])
    await push(runtime, {sha256_of(TRUSTED): TRUSTED})
    async with serve_runtime(
        runtime, incremental_delivery=True, sse_single_connection=True
    ) as server:
        yield {
            "url": f"{server.url}/graphql",
            "authorization": f"Bearer {token_for(runtime, Role.OPERATOR)}",
            "query": QUERY,
            "persisted": PERSISTED,
            "trusted": TRUSTED,
            "trustedId": sha256_of(TRUSTED),
            "register": REGISTER,
            "subscription": SUBSCRIPTION,
            "deferred": DEFERRED,
        }


def plain(value: Any) -> Any:
    """Without what clients add and what is made anew each time."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name not in ("__typename", "id")}
    return value


def check_query(answer: Any, _: str) -> None:
    assert plain(answer) == {"movies": {"nodes": FILMS}}


def check_mutation(answer: Any, name: str) -> None:
    registered = {"errors": [], "viewer": {"displayName": name}}
    assert plain(answer) == {"register": registered}


def check_persisted(answer: Any, _: str) -> None:
    """The hash is sent first, then the text with it, once."""
    assert plain(answer["data"]) == {"movies": {"nodes": FILMS[:1]}}
    assert answer["sent"] == ["hash", "text", "hash"]


def check_trusted(answer: Any, _: str) -> None:
    assert plain(answer) == {"genres": [DRAMA]}


def check_events(events: Any, _: str) -> None:
    cursors = [one["liveMetrics"]["cursor"] for one in events]
    assert len(cursors) == 2
    assert cursors == sorted(set(cursors))


def check_deferred(formats: Any, _: str) -> None:
    """First the films without what is deferred, in the end with all of it."""
    assert formats
    for shown in formats:
        assert plain(shown["first"]) == {"movies": {"nodes": [{}, {}]}}
        assert plain(shown["last"]) == WHOLE


def check_whole(results: Any, _: str) -> None:
    """One result has everything, and promises no further one."""
    (result,) = results
    assert result.keys() == {"data"}
    assert plain(result["data"]) == WHOLE


Check = Callable[[Any, str], None]
ABILITIES: dict[str, Check | str] = {
    "query": check_query,
    "persisted": check_persisted,
    "trusted": check_trusted,
    "mutation": check_mutation,
    "socket": check_events,
    "events": check_events,
    "defer": check_deferred,
}
EVENTS_ALONE: dict[str, Check | str] = {
    "socket": "graphql-sse opens event streams alone",
    "defer": check_whole,  # event streams have no parts
}
# what each client can do: how it is checked, or why the client has no such ability
CLIENTS: dict[str, dict[str, Check | str]] = {
    "apollo": ABILITIES,
    "urql": ABILITIES,
    "relay": ABILITIES,
    "ws": {
        **ABILITIES,
        "events": "graphql-ws is no HTTP client, it opens sockets alone",
        "defer": check_whole,  # sockets have no parts
    },
    "sse": {**ABILITIES, **EVENTS_ALONE},
    "single": {**ABILITIES, **EVENTS_ALONE},
}
STREAMS = ("ws", "sse", "single")


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_does_all_that_it_can(asked: dict[str, Any], client: str) -> None:
    script = f"transports_{'streams' if client in STREAMS else client}.mjs"
    answers = await node_packages.ask(HERE / script, {**asked, "client": client})
    cells = CLIENTS[client]
    # then it did whatever is not ruled out, and nothing else
    checks = {name: cell for name, cell in cells.items() if not isinstance(cell, str)}
    assert cells.keys() == ABILITIES.keys()
    assert answers.keys() == checks.keys()
    for name, check in checks.items():
        check(answers[name], client)
