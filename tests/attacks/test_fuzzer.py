"""Requests made from the schema and bent at random: none fails, whatever it says.

The whole, 20,000 requests: MARQUEE_FUZZ_REQUESTS=20000 python -m pytest -n 0 <this file>. A seed in
a failure's message names its request for ever; MARQUEE_FUZZ_FROM=<seed> begins there.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import httpx
import pytest
from graphql import Undefined
from starlette.applications import Starlette

import models
from graph.schema import schema
from models.mongo import ids
from resolvers.catalog.imports import synthetic
from resolvers.context import Runtime
from services.accounts.passwords import Passwords
from tests.attacks.fuzzing import Fuzzer, HttpRequest
from tests.attacks.payloads import MASKED, assert_nothing_leaks
from tests.support.api_client import build_silent_app, connect_app, token_for
from tests.support.execution.document_generator import Generator
from tests.support.runtimes import with_changes
from tests.support.thoroughness import share_of
from tests.support.titles import store

REQUESTS = int(os.environ.get("MARQUEE_FUZZ_REQUESTS") or share_of(1800))
FROM = int(os.environ.get("MARQUEE_FUZZ_FROM", "0"))
PARTS = 2  # the application as developed, and as in production
SECONDS = 30.0  # of one request; more is a request that hangs
SHOWN = 20
IDS = ["movie_1", "genre_drama", "user_1", "nonsense", ""]


def _value(dice: Random, type_: str, name: str) -> Any:
    """Values that get further into the code than random ones."""
    if type_ == "ID":
        return dice.choice((*IDS, synthetic.movie_id(dice.randrange(12)), "episode_1.1.1"))
    if name in ("first", "last"):
        return dice.choice((1, 2, 3, 3, 0, 101))
    if name == "after":
        return dice.choice(("", "nonsense", "AAAA", "eyJhIjoxfQ"))
    return Undefined


@pytest.fixture
def cheap(hardened: Runtime) -> Iterator[Runtime]:
    """Production's settings with passwords that cost little."""
    passwords = Passwords(memory_kib=64, passes=1)
    yield with_changes(hardened, accounts={"passwords": passwords})
    passwords.close()


@pytest.fixture
async def tokens(cheap: Runtime) -> list[str | None]:
    """Nobody's, a viewer's and an administrator's, who exist."""
    await synthetic.load(cheap, 12, 15)
    roles = (models.Role.USER, models.Role.ADMIN)
    await store(_user(role) for role in roles)
    return [None, None, *(token_for(cheap, role) for role in roles)]


def _user(role: models.Role) -> models.User:
    """The account that `token_for` gives tokens of."""
    return models.User(
        id=ids.derive("user", "test", role.value),
        email=f"{role.value.lower()}@example.org",
        password_hash="-",
        display_name="Ada",
        role=role,
    )


def _assert_answered(response: httpx.Response, sent: HttpRequest) -> None:
    """An answer of ours that tells a client what is wrong with what it sent, or the data."""
    assert response.status_code < 500, response.text[:500]
    assert_nothing_leaks(response.text + repr(response.headers.raw), sent.text)
    assert MASKED not in response.text
    if sent.method == "HEAD":
        assert response.content == b""
        return
    body = response.json()
    assert body.get("errors") != [], body
    assert "data" in body or body["errors"], body
    for error in body.get("errors", ()):
        assert error["message"], body
        assert error["extensions"]["code"] != "INTERNAL_SERVER_ERROR", body


async def _send(client: httpx.AsyncClient, sent: HttpRequest, token: str | None) -> httpx.Response:
    headers = {**sent.headers, **({"authorization": f"Bearer {token}"} if token else {})}
    async with asyncio.timeout(SECONDS):
        response = await client.request(
            sent.method, sent.target, headers=headers, content=sent.content
        )
    _assert_answered(response, sent)
    return response


async def _run(
    client: httpx.AsyncClient, tokens: list[str | None], seeds: range
) -> tuple[Counter[str], list[str]]:
    """Send the requests of these seeds: their answers by kind, and what failed."""
    fuzzer = Fuzzer(Generator(schema._schema, _value))
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for seed in seeds:
        sent = fuzzer.request(seed)
        try:
            response = await _send(client, sent, tokens[seed // PARTS % len(tokens)])
        except Exception as error:  # whatever an application may raise ends the connection
            failures.append(f"seed {seed}: {error!r}\n{sent.text[:4000]}")
            continue
        counts[sent.method] += 1
        counts[str(response.status_code)] += 1
        counts["with data"] += b'"data":{' in response.content
    return counts, failures


@pytest.fixture(params=["developed", "production"])
async def fuzzed(
    request: pytest.FixtureRequest, cheap: Runtime, runtime: Runtime
) -> AsyncIterator[tuple[httpx.AsyncClient, int]]:
    """A client of one of the two, and the number of its part."""
    part = ["developed", "production"].index(request.param)
    settings = (
        cheap.settings
        if part
        else cheap.settings.model_copy(
            update={"environment": runtime.settings.environment, "graphql_introspection": True}
        )
    )
    app: Starlette = build_silent_app(with_changes(cheap, settings=settings))
    async with connect_app(app) as client:
        yield client, part


async def test_no_request_of_the_fuzzer_fails(
    fuzzed: tuple[httpx.AsyncClient, int], tokens: list[str | None]
) -> None:
    client, part = fuzzed
    # when thousands of bent requests come in, by POST and by GET, of each kind of viewer
    seeds = range(FROM + part, FROM + REQUESTS, PARTS)
    counts, failures = await _run(client, tokens, seeds)
    print(dict(counts))  # shown by -rP
    # then none failed, and they were neither all refused nor all answered
    assert not failures, f"{len(failures)} failed: " + "\n".join(failures[:SHOWN])
    most = sum(counts[method] for method in ("GET", "HEAD", "POST"))
    assert min(counts["GET"], counts["POST"]) > most // 5, counts
    assert counts["200"] > most // 3, counts
    assert counts["with data"] > most // 10, counts
    assert counts["400"] > 0, counts
