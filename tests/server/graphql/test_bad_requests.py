"""Requests that are no GraphQL over HTTP: each gets a coded error in GraphQL JSON, never a 500."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

import models
from resolvers.context import Runtime
from services.accounts.tokens import AccessTokens, Key
from tests.support.api_client import LiveServer, token_for

JSON = {"content-type": "application/json"}
MEGABYTE = 1024 * 1024
TOO_LARGE = "A body has at most 262144 bytes."


def refused(response: httpx.Response, status: int, code: str = "VALIDATION_FAILED") -> str:
    """Checks the form of a refusal; answers with its message."""
    assert response.status_code == status, response.text[:300]
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.json().keys() == {"errors"}
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == code
    assert "Traceback" not in response.text
    assert len(error["message"]) < 200
    return str(error["message"])


@pytest.mark.parametrize("body", [b'"abc"', b"5", b"[1]", b'[{"query":"{a}"}]', b"null", b"true"])
async def test_a_body_is_an_object(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/graphql", content=body, headers=JSON)
    expected = "The body must be a JSON object; batches are not taken."
    assert refused(response, 400) == expected


async def test_a_body_is_needed(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", content=b"", headers=JSON)
    assert refused(response, 400) == "The body is empty."


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"query": "{a}"} x',
        b'{"query": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"query": "\xff\xfe"}',
        b'{"query": "\\ud800"}',
        b"\x00",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 5_000,
        b'{"query": "{a}", "variables": {"n": ' + b"9" * 5_000 + b"}}",
        b'{"query": "{a}", "variables": {"n": 1e999}}',
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_a_body_is_json(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/graphql", content=body, headers=JSON)
    assert refused(response, 400) == "The body is not valid JSON."


@pytest.mark.parametrize("query", [..., None, "", 1, ["{a}"], {"a": 1}], ids=str)
async def test_a_query_is_text(client: httpx.AsyncClient, query: object) -> None:
    body = {} if query is ... else {"query": query}
    response = await client.post("/graphql", json=body)
    assert refused(response, 400) == "`query` must be a GraphQL document."


@pytest.mark.parametrize("part", ["variables", "extensions"])
@pytest.mark.parametrize("value", [[1], "{}", 0, 1.5, False, True], ids=str)
async def test_variables_and_extensions_are_objects(
    client: httpx.AsyncClient, part: str, value: object
) -> None:
    response = await client.post("/graphql", json={"query": "{ __typename }", part: value})
    assert refused(response, 400) == f"`{part}` must be an object."


@pytest.mark.parametrize("value", ["null", "", "ABORT", None, 1, ["NULL"], {"a": 1}], ids=str)
async def test_an_error_behavior_is_one_of_three(client: httpx.AsyncClient, value: object) -> None:
    response = await client.post("/graphql", json={"query": "{ __typename }", "onError": value})
    assert refused(response, 400) == "`onError` must be NULL, PROPAGATE or HALT."


@pytest.mark.parametrize("value", ["NULL", "PROPAGATE", "HALT"])
async def test_an_error_behavior_comes_by_body_and_by_address(
    client: httpx.AsyncClient, value: str
) -> None:
    sent = {"query": "{ __typename }", "onError": value}
    for response in (
        await client.post("/graphql", json=sent),
        await client.get("/graphql", params=sent),
    ):
        assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("name", [5, ["A"], {}, True], ids=str)
async def test_an_operations_name_is_text(client: httpx.AsyncClient, name: object) -> None:
    body = {"query": "query A { __typename }", "operationName": name}
    response = await client.post("/graphql", json=body)
    assert refused(response, 400) == "`operationName` must be a string."


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "text/plain; application/json",
    ],
)
async def test_only_json_is_taken(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"content-type": content_type}
    response = await client.post("/graphql", content=b'{"query": "{a}"}', headers=headers)
    assert refused(response, 415) == "The body must be application/json."


async def test_a_content_type_is_needed(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", content=b'{"query": "{ __typename }"}')
    assert refused(response, 415) == "The body must be application/json."


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", '"latin1"'])
async def test_only_utf_8_is_taken(client: httpx.AsyncClient, charset: str) -> None:
    headers = {"content-type": f"application/json; charset={charset}"}
    body = b'{"query": "{ __typename }"}'
    response = await client.post("/graphql", content=body, headers=headers)
    assert refused(response, 415) == "The body must be in UTF-8."


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "identity, gzip", "zstd", "unknown"])
async def test_a_compressed_body_is_an_unsupported_type(
    client: httpx.AsyncClient, coding: str
) -> None:
    body = gzip.compress(b'{"query": "{ __typename }"}')
    headers = {**JSON, "content-encoding": coding}
    response = await client.post("/graphql", content=body, headers=headers)
    assert refused(response, 415) == "The body must not be compressed."
    assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_in_the_identity_coding_is_taken(
    client: httpx.AsyncClient, coding: str
) -> None:
    headers = {**JSON, "content-encoding": coding}
    response = await client.post(
        "/graphql", content=b'{"query": "{ __typename }"}', headers=headers
    )
    assert response.json() == {"data": {"__typename": "Query"}}


async def test_a_megabyte_is_refused(client: httpx.AsyncClient) -> None:
    body = json.dumps({"query": " " * MEGABYTE}).encode()
    response = await client.post("/graphql", content=body, headers=JSON)
    assert refused(response, 413) == TOO_LARGE
    assert response.headers["connection"] == "close"


async def in_pieces(many: int) -> AsyncIterator[bytes]:
    for _ in range(many):
        yield b" " * (MEGABYTE // 64)


@pytest.mark.parametrize("content", [b" " * MEGABYTE, None], ids=["declared", "in pieces"])
async def test_over_the_network_a_megabyte_gets_its_answer_too(
    live_server: LiveServer, content: bytes | None
) -> None:
    async with live_server.client() as client:
        for _ in range(5):
            body = content or in_pieces(64)
            response = await client.post("/graphql", content=body, headers=JSON)
            assert refused(response, 413) == TOO_LARGE


async def test_a_declared_megabyte_with_expect_continue_is_not_waited_for(
    live_server: LiveServer,
) -> None:
    # given a client that waits for "100 Continue"
    reader, writer = await asyncio.open_connection("127.0.0.1", live_server.port)
    head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {MEGABYTE}\r\nexpect: 100-continue\r\n\r\n".encode())
    # when it has sent nothing but the head
    async with asyncio.timeout(0.5):
        answer = await reader.readline()
    # then it is told at once that it need not send more
    assert answer.startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_body_that_never_ends_does_not_hold_us(live_server: LiveServer) -> None:
    # given a body that is too large already and of which the rest does not come
    reader, writer = await asyncio.open_connection("127.0.0.1", live_server.port)
    head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {MEGABYTE}\r\n\r\n".encode() + b" " * 300_000)
    # then it is refused after a second of waiting
    async with asyncio.timeout(3):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


@pytest.mark.parametrize(
    ("query_string", "message"),
    [
        ("", "`query` must be a GraphQL document."),
        ("variables=%7B%7D", "`query` must be a GraphQL document."),
        ("query", "`query` must be a GraphQL document."),
        ("&&&", "`query` must be a GraphQL document."),
        ("query=%ff%fe", "The query string is not valid."),
        ("query=%7Ba%7D&variables=%7B", "`variables` is not valid JSON."),
        ("query=%7Ba%7D&variables=[]", "`variables` must be an object."),
        ("query=%7Ba%7D&extensions=1", "`extensions` must be an object."),
    ],
)
async def test_bad_addresses_are_refused(
    client: httpx.AsyncClient, query_string: str, message: str
) -> None:
    response = await client.get(f"/graphql?{query_string}")
    assert refused(response, 400) == message


def forged(_runtime: Runtime) -> str:
    key = Key.from_secret(b"another-secret-of-at-least-32-bytes")
    tokens = AccessTokens([key], lifetime_seconds=900)
    return tokens.issue(user_id="user_1", role="ADMIN", tier="FREE", login_id="l", now=time.time())


def edited(runtime: Runtime) -> str:
    head, claims, signature = token_for(runtime).split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    raised = json.dumps({**decoded, "role": "ADMIN"}).encode()
    return ".".join([head, base64.urlsafe_b64encode(raised).decode().rstrip("="), signature])


def unsigned(runtime: Runtime) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    return f"{head}.{token_for(runtime).split('.')[1]}."


def expired(runtime: Runtime) -> str:
    return token_for(runtime, now=time.time() - 901)


def none_at_all(_runtime: Runtime) -> str:
    return "abc"


@pytest.mark.parametrize("made", [forged, edited, unsigned, expired, none_at_all])
async def test_bad_tokens_are_unauthorized_and_all_the_same(
    client: httpx.AsyncClient, runtime: Runtime, made: Callable[[Runtime], str]
) -> None:
    headers = {"authorization": f"Bearer {made(runtime)}"}
    response = await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert refused(response, 401, "INVALID_TOKEN") == "The token is not valid: sign in again."
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("header", ["Basic dTpw", "Bearer", "Bearer ", "x" * 5000, "Bearer é"])
async def test_other_authorization_is_unauthorized(client: httpx.AsyncClient, header: str) -> None:
    headers = {"authorization": header.encode()}
    response = await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    refused(response, 401, "INVALID_TOKEN")


async def test_a_refused_mutation_has_changed_nothing(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    register = """
    mutation { register(input: {email: "a@b.test", password: "velvet cactus lamp",
      displayName: "A"}) {
      viewer { id } } }"""
    headers = {"authorization": f"Bearer {expired(runtime)}"}
    refused(
        await client.post("/graphql", json={"query": register}, headers=headers),
        401,
        "INVALID_TOKEN",
    )
    refused(await client.get("/graphql", params={"query": register}), 405)
    assert await models.User.get_pymongo_collection().count_documents({}) == 0
