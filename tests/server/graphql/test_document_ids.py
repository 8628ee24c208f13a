"""Documents by an id: every form that clients send, and what is refused with a code, uncached."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from resolvers.context import Runtime
from tests.support.api_client import LiveServer, connect_runtime
from tests.support.documents import (
    NOT_FOUND,
    by_hash,
    code_of,
    encode_parts,
    push,
    sha256_of,
)
from tests.support.runtimes import with_changes
from tests.support.titles import film, store

TEXT = "query Films($n: Int = 1) { movies(first: $n) { nodes { title } } }"
PAIR = "query One { __typename } query Two { health { status } }"
CHANGE = "mutation End { logout(input: {}) { errors { code } } }"
SHA, NAME = sha256_of(TEXT), "films-v1"
MD5 = "0123456789abcdef" * 2
ARRIVAL = {"data": {"movies": {"nodes": [{"title": "Arrival"}]}}}
IDS: dict[str, dict[str, Any]] = {
    "a hash": by_hash(TEXT),
    "documentId": {"documentId": f"sha256:{SHA}"},
    "documentId without its prefix": {"documentId": SHA},
    "a name": {"documentId": NAME},
    "a private form": {"documentId": "x-build:films"},
    "doc_id": {"doc_id": MD5},
    "an id beside an empty text": {"query": "", "documentId": NAME},
    "a digest of another kind as a hash": {"extensions": {"persistedQuery": {"sha256Hash": MD5}}},
    "the same twice": by_hash(TEXT, documentId=f"sha256:{SHA}"),
}


@pytest.fixture
async def pushed(runtime: Runtime) -> Runtime:
    """Documents of the client `web`, and one film."""
    await store([film(1, title="Arrival")])
    texts = dict.fromkeys((SHA, NAME, MD5, "x-build:films"), TEXT)
    await push(runtime, {**texts, sha256_of(PAIR): PAIR, "end": CHANGE})
    return runtime


@pytest.mark.parametrize("form", IDS)
async def test_each_form_of_an_id_runs_the_document(
    pushed: Runtime, client: httpx.AsyncClient, form: str
) -> None:
    # when it is asked for by POST and by GET, twice, with variables
    body = IDS[form] | {"variables": {"n": 1}}
    answers = [
        await client.request(method, "/graphql", **how)
        for how, method in (({"json": body}, "POST"), ({"params": encode_parts(body)}, "GET"))
        for _ in range(2)
    ]
    # then all answers are the document's
    assert [answer.json() for answer in answers] == [ARRIVAL] * 4


@pytest.mark.parametrize("form", IDS)
async def test_each_form_of_an_id_runs_on_sockets(
    pushed: Runtime, live_server: LiveServer, form: str
) -> None:
    async with live_server.socket() as socket:
        await socket.initialised()
        await socket.send({"type": "subscribe", "id": "1", "payload": IDS[form]})
        assert await socket.receive() == {"type": "next", "id": "1", "payload": ARRIVAL}
        assert await socket.receive() == {"type": "complete", "id": "1"}


@pytest.mark.parametrize(
    "path",
    [
        f"sha256:{SHA}/Films",
        f"sha256%3A{SHA}/Films",
        f"{SHA}/Films",
        f"{NAME}/Films",
        "x-build:films/Films",
        f"{MD5}/Films",
        SHA,
    ],
)
async def test_a_document_has_an_address_of_its_own(
    pushed: Runtime, client: httpx.AsyncClient, path: str
) -> None:
    address = f"/graphql/d/{path}?variables=%7B%22n%22%3A1%7D"
    answers = [await client.get(address) for _ in range(3)]
    assert [answer.json() for answer in answers] == [ARRIVAL] * 3
    head = await client.head(address)
    assert (head.status_code, head.content) == (200, b"")


async def test_addresses_that_differ_in_the_path_alone_are_other_documents(
    runtime: Runtime, client: httpx.AsyncClient
) -> None:
    # given two documents of which answers are stored
    await store([film(1, title="Arrival")])
    texts = {
        name: f"query Q {{ {name}: movies(first: 1) {{ nodes {{ title }} }} }}" for name in "ab"
    }
    await push(runtime, texts)
    # then each address has its own, however often both are asked for
    for _ in range(3):
        for name in texts:
            answer = await client.get(f"/graphql/d/{name}/Q")
            assert answer.json() == {"data": {name: ARRIVAL["data"]["movies"]}}


REFUSED: dict[str, tuple[str, int, str]] = {
    "another operation's name": (f"d/{SHA}/Others", 200, "VALIDATION_FAILED"),
    "no name where there are two": (f"d/{sha256_of(PAIR)}", 200, "VALIDATION_FAILED"),
    "an unknown id": (f"d/{'0' * 64}/Films", 200, NOT_FOUND),
    "an unknown name": ("d/others-v1/Films", 200, NOT_FOUND),
    "a mutation": ("d/end/End", 405, "VALIDATION_FAILED"),
    "a mutation's parameter": ("?documentId=end", 405, "VALIDATION_FAILED"),
    "variables that are a list": (f"d/{SHA}/Films?variables=[1]", 400, "VALIDATION_FAILED"),
    "variables that are a number": (f"d/{SHA}/Films?variables=1", 400, "VALIDATION_FAILED"),
    "variables that are no JSON": (f"d/{SHA}/Films?variables=x", 400, "VALIDATION_FAILED"),
    "variables of another type": (
        f"d/{SHA}/Films?variables=%7B%22n%22:%22x%22%7D",
        200,
        "VALIDATION_FAILED",
    ),
    "a text besides": (f"d/{SHA}/Films?query=%7B__typename%7D", 400, "VALIDATION_FAILED"),
    "another id besides": (f"d/{SHA}/Films?documentId={NAME}", 400, "VALIDATION_FAILED"),
    "another hash besides": (
        f"d/{SHA}/Films?extensions=%7B%22persistedQuery%22:%7B%22sha256Hash%22:%22{MD5}%22%7D%7D",
        400,
        "VALIDATION_FAILED",
    ),
    "20 KB of variables": (
        f"d/{SHA}/Films?variables=%7B%22a%22:%22{'x' * 20_000}%22%7D",
        414,
        "VALIDATION_FAILED",
    ),
    "20 KB of text": (f"?query=%7B__typename%20%23{'x' * 20_000}%7D", 414, "VALIDATION_FAILED"),
    "20 KB of a path": (f"d/{'x' * 20_000}/Films", 414, "VALIDATION_FAILED"),
    "an id that is none": ("d/md5:abc/Films", 404, "NOT_FOUND"),
    "an id of 200 letters": (f"d/{'x' * 200}/Films", 404, "NOT_FOUND"),
    "no id": ("d/", 404, "NOT_FOUND"),
    "a name that is none": (f"d/{SHA}/Fil-ms", 404, "NOT_FOUND"),
    "one part more": (f"d/{SHA}/Films/more", 404, "NOT_FOUND"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_is_refused_by_get_has_a_code_and_is_not_stored(
    pushed: Runtime, client: httpx.AsyncClient, what: str
) -> None:
    rest, status, code = REFUSED[what]
    address = "/graphql" + rest if rest.startswith("?") else f"/graphql/{rest}"
    for _ in range(2):
        answer = await client.get(address)
        assert (answer.status_code, code_of(answer)) == (status, code)


async def test_a_document_s_address_takes_get_alone(
    pushed: Runtime, client: httpx.AsyncClient
) -> None:
    for body in (b"{}", b"[]"):
        headers = {"content-type": "application/json"}
        answer = await client.post("/graphql/d/end/End", content=body, headers=headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert code_of(answer) == "VALIDATION_FAILED"


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": NAME, "doc_id": SHA},
        by_hash(TEXT, documentId=NAME),
        {"documentId": ["x"]},
        {"documentId": ""},
        {"documentId": "x" * 129},
        {"documentId": "sha256:abc"},
        {"documentId": "a b"},
        {"doc_id": 7},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": SHA}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": NAME}}},
        {"documentId": NAME, "variables": [1]},
    ],
    ids=str,
)
async def test_ids_that_are_none_or_several_are_refused(
    pushed: Runtime, client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await client.post("/graphql", json=body)
    assert (answer.status_code, code_of(answer)) == (400, "VALIDATION_FAILED")


async def test_a_text_under_another_id_is_refused(
    pushed: Runtime, client: httpx.AsyncClient
) -> None:
    for document_id in (NAME, SHA, MD5, "0" * 64, "others-v1"):
        body = {"documentId": document_id, "query": "{ __typename }"}
        assert code_of(await client.post("/graphql", json=body)) == "VALIDATION_FAILED"
    # but its own may come with it
    answer = await client.post("/graphql", json={"documentId": NAME, "query": TEXT})
    assert answer.json() == ARRIVAL


@pytest.mark.parametrize("header", ["apollographql-client-name", "graphql-client-name"])
async def test_a_client_has_no_documents_of_another_one(
    pushed: Runtime, client: httpx.AsyncClient, header: str
) -> None:
    await push(pushed, {NAME: TEXT, "own": "{ __typename }"}, client="tv")
    get = "/graphql/d/{}/Films"
    # given documents of both, of one, and of the other
    assert (await client.get(get.format(NAME), headers={header: "tv"})).json() == ARRIVAL
    # then who says what it is gets its own alone
    for name in (SHA, MD5):
        answer = await client.get(get.format(name), headers={header: "tv"})
        assert code_of(answer) == NOT_FOUND
        answer = await client.get(get.format(name), headers={header: "web"})
        assert answer.json() == ARRIVAL
    assert code_of(await client.get("/graphql/d/own", headers={header: "web"})) == NOT_FOUND
    # and who says nothing, or nothing that can be a name, gets all
    for more in ({}, {header: "x" * 65}, {header: "\t%"}):
        assert (await client.get("/graphql/d/own", headers=more)).json() == {
            "data": {"__typename": "Query"}
        }


async def test_a_socket_s_client_tells_its_name_when_it_begins(
    pushed: Runtime, live_server: LiveServer
) -> None:
    async with live_server.socket() as socket:
        payload = {"graphql-client-name": "tv"}
        await socket.send({"type": "connection_init", "payload": payload})
        await socket.receive()
        await socket.send({"type": "subscribe", "id": "1", "payload": {"documentId": NAME}})
        message = await socket.receive()
    assert message["payload"][0]["extensions"]["code"] == NOT_FOUND


async def test_published_files_belong_to_every_client(runtime: Runtime, tmp_path: Any) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({f"sha256:{SHA}": TEXT, NAME: TEXT}))
    await store([film(1, title="Arrival")])
    changed = runtime.settings.model_copy(update={"published_documents": str(manifest)})
    from_files = with_changes(runtime, settings=changed)
    async with connect_runtime(from_files, {"apollographql-client-name": "tv"}) as client:
        for document_id in (SHA, NAME):
            answer = await client.get(f"/graphql/d/{document_id}/Films")
            assert answer.json() == ARRIVAL
