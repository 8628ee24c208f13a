"""Caches under attack: nothing a client sends decides what another one gets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import httpx
import pytest

from resolvers.context import Runtime
from tests.attacks.payloads import (
    Attack,
    assert_repelled,
    each,
    get_request,
    record_attempt,
    request,
)
from tests.support.api_client import token_for
from tests.support.titles import film, store

FILMS = "{ movies(first: 3) { nodes { id title poster { url } } } }"
NAME = hashlib.sha256(FILMS.encode()).hexdigest()
WRONG = hashlib.sha256(b"{ movies { nodes { id } } }").hexdigest()


def _persisted(query: str | None, sha: object, version: int = 1) -> bytes:
    body: dict[str, object] = {
        "extensions": {"persistedQuery": {"version": version, "sha256Hash": sha}}
    }
    return json.dumps(body | ({"query": query} if query else {})).encode()


def _poisonings() -> Iterator[Attack]:
    row = "cache poisoning"
    for name, sha in {
        "no hash": "",
        "a short hash": "abc",
        "a hash in capitals": NAME.upper(),
        "a hash that is an object": {"$ne": None},
        "a hash that is a number": 1,
        "a key of Redis": "movie:list:*",
        "a hash and a line": NAME + "\n",
    }.items():
        yield request(row, name, _persisted(None, sha), status=400)
        yield request(row, f"{name}, with text", _persisted(FILMS, sha), status=400)
    yield request(row, "an unknown hash", _persisted(None, WRONG), code="PERSISTED_QUERY_NOT_FOUND")
    for name, document_id in {
        "an id of no form": "documents/1",
        "an id that is a list": [NAME],
        "another digest": "md5:" + "0" * 32,
    }.items():
        content = json.dumps({"documentId": document_id}).encode()
        yield request(row, name, content, status=400)


@each(_poisonings())
async def test_a_document_goes_by_its_own_hash_or_none(
    client: httpx.AsyncClient, attack: Attack
) -> None:
    await assert_repelled(client, attack)


async def test_a_text_under_anothers_hash_is_never_given_for_it(client: httpx.AsyncClient) -> None:
    await store([film(1, title="Arrival")])
    record_attempt("cache poisoning", "a text under another's hash")
    evil = "{ __typename }"
    # given somebody registers a text of their own under the hash of what clients ask for
    json_type = {"content-type": "application/json"}
    await client.post("/graphql", content=_persisted(evil, NAME), headers=json_type)
    # when a client asks by that hash
    response = await client.post("/graphql", content=_persisted(None, NAME), headers=json_type)
    # then it does not get the other's text run
    assert response.json().get("data") is None
    answered = await client.post("/graphql", content=_persisted(FILMS, NAME), headers=json_type)
    assert answered.json()["data"]["movies"]["nodes"][0]["title"] == "Arrival"


UNKEYED = {
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "http",
    "x-forwarded-scheme": "nothttps",
    "x-host": "evil.example",
    "x-original-url": "/evil",
    "forwarded": "host=evil.example",
    "x-forwarded-port": "1",
    "accept-language": "evil",
    "user-agent": "evil",
    "x-request-id": "evil-evil-evil",
    "referer": "https://evil.example/",
}
for _header, _value in UNKEYED.items():
    record_attempt("cache poisoning", _header, _value)


@pytest.mark.parametrize("header", UNKEYED)
async def test_no_header_gets_into_what_others_are_given(
    client: httpx.AsyncClient, header: str
) -> None:
    await store([film(1, title="Arrival", poster_path="/art/posters/movie_00001.svg")])
    # given the first to ask sends a header that no cache keys by
    params = {"query": FILMS}
    first = await client.get("/graphql", params=params, headers={header: UNKEYED[header]})
    # then neither its answer nor the next one's shows it
    second = await client.get("/graphql", params=params)
    assert first.content == second.content
    assert "evil" not in second.text + str(second.headers)
    assert "/art/posters/movie_00001.svg" in second.text


def _busters() -> Iterator[Attack]:
    row = "cache poisoning"
    for name, more in {
        "another parameter": {"evil": "1"},
        "a callback": {"callback": "alert"},
        "the query twice": {"operationName": ""},
    }.items():
        yield get_request(row, name, query="{ __typename }", code=None, **more)
    for name, path in {
        "a style sheet": "/graphql/a.css",
        "a style sheet by a semicolon": "/graphql;a.css",
        "an encoded end of path": "/graphql%3fa.css",
        "an encoded hash": "/graphql%23/a.css",
        "a line break": "/graphql%0aa.css",
    }.items():
        yield request(row, name, method="GET", path=path, headers={}, status=404, code="NOT_FOUND")


@each(_busters())
async def test_a_path_that_looks_like_a_file_is_no_other_way_in(
    client: httpx.AsyncClient, attack: Attack
) -> None:
    response = await assert_repelled(client, attack)
    assert "public" not in response.headers.get("cache-control", "")


async def test_errors_and_personal_answers_are_never_cached(
    client: httpx.AsyncClient, hardened: Runtime
) -> None:
    token = {"authorization": f"Bearer {token_for(hardened)}"}
    for query, headers in [
        ("{ nope }", {}),
        ("{ movies(first: 0) { nodes { id } } }", {}),
        ("{ viewer { email } }", {}),
        ("{ viewer { email } }", token),
        ("{ movies(first: 3) { nodes { id onWatchlist } } }", token),
        ("{ nope }", token),
        ("{ viewer { email } }", {"cookie": "a=b", "x-marquee-auth": "1"}),
        ("{ viewer { email } }", {"cookie": "a=b"}),
    ]:
        record_attempt("cache poisoning", query, headers)
        for _ in range(2):
            response = await client.get("/graphql", params={"query": query}, headers=headers)
            assert response.headers["cache-control"] == "no-store"
            assert "Accept" in response.headers["vary"]


async def test_a_public_answer_to_credentials_is_byte_for_byte_a_stranger_s(
    client: httpx.AsyncClient, hardened: Runtime
) -> None:
    """It may be shared, so nothing of whoever asked may be in it: no cookie, limit or words."""
    token = {"authorization": f"Bearer {token_for(hardened)}"}
    stranger = await client.get("/graphql", params={"query": FILMS})
    for headers in (token, {"cookie": "a=b", "x-marquee-auth": "1"}, {"cookie": "a=b"}):
        record_attempt("cache poisoning", FILMS, headers)
        response = await client.get("/graphql", params={"query": FILMS}, headers=headers)
        assert response.content == stranger.content
        assert response.headers["etag"] == stranger.headers["etag"]
        personal = {"set-cookie", "ratelimit", "ratelimit-policy"}
        assert not personal & set(response.headers)
