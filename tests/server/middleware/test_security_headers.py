"""What browsers are told with every answer, whatever it is and wherever it comes from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from resolvers.context import Runtime
from services.settings.settings import Environment
from tests.support.api_client import build_silent_app, connect_app, serve_app
from tests.support.titles import film, film_id, store

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
}


def of_security(response: httpx.Response) -> dict[str, str]:
    """A header sent twice would show as two values."""
    names = {*ALWAYS, "strict-transport-security"}
    return {name: value for name, value in response.headers.items() if name in names}


@pytest.fixture
async def strangers(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """Production behind https, with its hosts and origins named; what fails is answered."""
    settings = runtime.settings.model_copy(
        update={
            "environment": Environment.PRODUCTION,
            "public_url": "https://api.marquee.example",
            "trusted_hosts": "api.marquee.example",
            "cors_origin": "https://marquee.example",
            "jwt_secret": SecretStr("a-secret-of-this-test-alone-0123456789"),
        }
    )
    app = build_silent_app(replace(runtime, settings=settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    address = "https://api.marquee.example"
    async with httpx.AsyncClient(transport=transport, base_url=address) as client:
        yield client


@pytest.mark.parametrize(
    "method,path,status",
    [
        ("GET", "/graphql?query={__typename}", 200),
        ("POST", "/graphql", 415),
        ("PUT", "/graphql", 405),
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/.well-known/jwks.json", 200),
    ],
)
async def test_every_answer_runs_nothing_and_is_framed_nowhere(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert of_security(response) == ALWAYS


async def test_art_is_shown_by_other_sites_and_runs_nothing(client: httpx.AsyncClient) -> None:
    # given a film with drawn art
    await store([film(1)])
    # when its poster is fetched
    response = await client.get(f"/art/posters/{film_id(1)}.svg")
    # then any page may show it, and opened as a page it runs nothing
    assert response.status_code == 200
    headers = of_security(response)
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert "script" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_films_are_played_by_other_sites(client: httpx.AsyncClient) -> None:
    response = await client.get("/media/token/movie_1/master.m3u8")
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_in_production_browsers_get_strict_transport_security(
    strangers: httpx.AsyncClient,
) -> None:
    # when an answer is fetched, a preflight is, and a host that is not ours is asked for
    answers = [
        await strangers.get("/graphql?query={__typename}"),
        await strangers.options(
            "/graphql",
            headers={
                "origin": "https://marquee.example",
                "access-control-request-method": "POST",
            },
        ),
        await strangers.get("/health", headers={"host": "evil.example"}),
    ]
    # then each says so, with everything else
    assert [answer.status_code for answer in answers] == [200, 200, 400]
    for answer in answers:
        assert of_security(answer) == {**ALWAYS, "strict-transport-security": "max-age=31536000"}


async def test_without_https_nothing_is_said_of_it(client: httpx.AsyncClient) -> None:
    response = await client.get("/health")
    assert "strict-transport-security" not in response.headers


async def test_a_fault_of_ours_is_closed_too(runtime: Runtime) -> None:
    # given an application in which a route fails
    app = build_silent_app(runtime)

    async def fail(request: object) -> None:
        raise RuntimeError("a fault")

    app.add_route("/fails", fail)  # type: ignore[arg-type]
    async with connect_app(app, raise_app_exceptions=False) as client:
        response = await client.get("/fails")
    assert response.status_code == 500
    assert of_security(response) == ALWAYS


async def test_an_origin_that_is_not_named_reads_nothing(strangers: httpx.AsyncClient) -> None:
    # given another site's script, and a page of no origin (a file, a sandboxed frame)
    for origin in ("https://evil.example", "null", "https://marquee.example.evil.example"):
        answer = await strangers.get(
            "/graphql?query={__typename}", headers={"origin": origin, "cookie": "a=b"}
        )
        # then no header lets it read the answer
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { name } } }",
        '{ __type(name: "Movie") { fields { name } } }',
        "{ a: __schema { queryType { name } } }",
        "query { ...f } fragment f on Query { __schema { types { name } } }",
        "{ ... @include(if: true) { __type(name: $n) { name } } }",
        "query ($n: String!) { __type(name: $n) { name } }",
    ],
)
async def test_in_production_nobody_reads_the_schema(
    strangers: httpx.AsyncClient, query: str
) -> None:
    for method in ("GET", "POST"):
        request = {"query": query, "variables": {"n": "Movie"}}
        if method == "POST":
            response = await strangers.post("/graphql", json=request)
        else:
            response = await strangers.get("/graphql", params={"query": query})
        body = response.json()
        assert body["errors"]
        assert body.get("data") is None


@pytest.mark.parametrize(
    "query,variables",
    [
        ("{ movie { titel } }", {}),
        ('{ movie(idd: "x") { id } }', {}),
        ("{ moviez { nodes { id } } }", {}),
        ("{ movies(category: POPULARR) { nodes { id } } }", {}),
        ("{ ... on Moviee { id } }", {}),
        ("query ($c: MovieCategoryy) { movies(category: $c) { nodes { id } } }", {}),
        (
            "query ($c: MovieCategory) { movies(category: $c) { nodes { id } } }",
            {"c": "POPULARR"},
        ),
        (
            "mutation ($i: LoginInput!) { login(input: $i) { errors { code } } }",
            {"i": {"emial": 1}},
        ),
        ('mutation { login(input: {emial: "x"}) { errors { code } } }', {}),
        ("{ movies @skipp(if: true) { nodes { id } } }", {}),
    ],
)
async def test_in_production_mistakes_are_answered_without_suggestions(
    strangers: httpx.AsyncClient, query: str, variables: dict[str, object]
) -> None:
    response = await strangers.post("/graphql", json={"query": query, "variables": variables})
    assert response.json()["errors"]
    assert "did you mean" not in response.text.lower()


async def test_in_production_nobody_reads_the_schema_over_a_socket_either(
    runtime: Runtime,
) -> None:
    # given production and a socket to it
    settings = runtime.settings.model_copy(update={"environment": Environment.PRODUCTION})
    app = build_silent_app(replace(runtime, settings=settings))
    async with serve_app(app, settings) as server, server.socket() as socket:
        await socket.initialised()
        # when the schema is asked for, and a name is misspelt
        await socket.subscribe("1", "{ __schema { types { name } } }")
        schema = await socket.receive()
        await socket.subscribe("2", "{ moviez { nodes { id } } }")
        misspelt = await socket.receive()
    # then both are refused, and neither tells a name
    assert (schema["type"], misspelt["type"]) == ("error", "error")
    assert "did you mean" not in str(misspelt).lower()
