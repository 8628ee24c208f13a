"""Real clients by their own transports: queries, documents by id, mutations, streams, @defer."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
DEFERRED = """query Deferred {
  movies(first: 2, orderBy: {field: TITLE, direction: ASC}) {
    nodes { id ...Words @defer(label: "words") }
  }
}
fragment Words on Movie { title genres { id name } }"""
FILMS = [{"title": "Quay 0"}, {"title": "Quay 1"}]
DRAMA = {"name": "Drama"}


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


def check(answers: dict[str, Any], name: str) -> None:
    """The answers to a query, a mutation and documents by their ids."""
    assert plain(answers["query"]) == {"movies": {"nodes": FILMS}}
    registered = {"errors": [], "viewer": {"displayName": name}}
    assert plain(answers["mutation"]) == {"register": registered}
    assert plain(answers["trusted"]) == {"genres": [DRAMA]}
    if "persisted" in answers:
        assert plain(answers["persisted"]) == {"movies": {"nodes": FILMS[:1]}}


def check_events(events: list[dict[str, Any]]) -> None:
    cursors = [one["liveMetrics"]["cursor"] for one in events]
    assert len(cursors) == 2
    assert cursors == sorted(set(cursors))


def check_deferred(shown: dict[str, Any]) -> None:
    """First the films without what is deferred, in the end with all of it."""
    assert plain(shown["first"]) == {"movies": {"nodes": [{}, {}]}}
    whole = [{**one, "genres": [DRAMA]} for one in FILMS]
    assert plain(shown["last"]) == {"movies": {"nodes": whole}}


async def test_apollo_client(asked: dict[str, Any]) -> None:
    answers = await node_packages.ask(HERE / "transports_apollo.mjs", asked)
    check(answers, "apollo")
    check_events(answers["overSocket"])
    check_events(answers["overEvents"])
    check_deferred(answers["deferByPath"])
    check_deferred(answers["deferById"])


async def test_urql(asked: dict[str, Any]) -> None:
    answers = await node_packages.ask(HERE / "transports_urql.mjs", asked)
    check(answers, "urql")
    check_events(answers["overSocket"])
    check_events(answers["overEvents"])
    check_deferred(answers["defer"])


async def test_relay_graphql_ws_and_graphql_sse(asked: dict[str, Any]) -> None:
    answers = await node_packages.ask(HERE / "transports_others.mjs", asked)
    assert answers.keys() == {"relay", "ws", "sse", "single"}
    for name, one in answers.items():
        check(
            {
                key: value.get("data", value) if isinstance(value, dict) else value
                for key, value in one.items()
            },
            name,
        )
        check_events(one["subscription"])
