"""What is asked of every server: the same operations with the same variables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from bench.dataset import Dataset
from bench.targets import CACHED, MEMORY, UNCACHED

Variables = dict[str, Any]

# Always ten digits, so that a request's length stays the same while the number grows.
FIRST_SEQUENCE = 1_000_000_000
SEQUENCE_MARK = "8888888888"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: str = ""

    def at(self, sequence: int) -> Request:
        return Request(
            self.method, self.path, self.headers, self.body.replace(SEQUENCE_MARK, str(sequence))
        )


@dataclass(frozen=True)
class Session:
    """A started playback; peers take any id and no token."""

    id: str = "session_bench"
    movie_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    name: str
    about: str
    text: str
    variables: Callable[[Dataset], list[Variables]]
    groups: tuple[str, ...] = (UNCACHED, CACHED, MEMORY)
    is_conditional: bool = False  # a GET with If-None-Match, answered 304
    is_persisted: bool = False  # its text is sent once, then its hash


BROWSE = """query Browse($first: Int!) { movies(category: POPULAR, first: $first) { nodes { \
id title year rating voteCount poster { url(width: 342) } genres { id name } } \
pageInfo { hasNextPage } } }"""
DEEP = """query Deep($first: Int!) { movies(category: POPULAR, first: $first) { nodes { \
id title year genres { id name } credits(first: 5) { character person { id name } } \
similar(first: 5) { id title year genres { id name } } } } }"""
ONE = """query One($id: ID!) { movie(by: {id: $id}) { \
id title overview year runtimeSeconds rating voteCount genres { id name } } }"""
REPORT = """mutation Report($input: ReportProgressInput!) { reportProgress(input: $input) { \
progress { positionSeconds percent } applied errors { code } } }"""


def _page(dataset: Dataset) -> list[Variables]:
    return [{"first": 20}]


def _zipf(dataset: Dataset) -> list[Variables]:
    return [{"id": movie_id} for movie_id in dataset.zipf_ids(20_000)]


def _nothing(dataset: Dataset) -> list[Variables]:
    return []  # its requests are made from started sessions, by reports()


ITEMS: tuple[Item, ...] = (
    Item("browse", "20 films with poster and genres", BROWSE, _page),
    Item("deep", "20 films x 5 credits, 5 similar films and their genres", DEEP, _page),
    Item("one", "one film, ids by Zipf(1.0)", ONE, _zipf),
    Item("progress", "reportProgress on a started session", REPORT, _nothing, (UNCACHED,)),
    Item("persisted", "browse by its hash", BROWSE, _page, (CACHED,), is_persisted=True),
    Item("etag", "GET of browse, answered 304", BROWSE, _page, (CACHED,), is_conditional=True),
)


def requests(item: Item, dataset: Dataset) -> list[Request]:
    make = _get if item.is_conditional else _post
    hashed = sha256(item.text) if item.is_persisted else None
    return [make(item.text, variables, {}, hashed) for variables in item.variables(dataset)]


def reports(dataset: Dataset, sessions: Sequence[Session]) -> list[Request]:
    return [_post(REPORT, _report(dataset, session), session.headers) for session in sessions]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def registration(item: Item, dataset: Dataset) -> Request:
    """Tells a server the text behind the hash (automatic persisted queries)."""
    operation = _operation(item.text, item.variables(dataset)[0], sha256(item.text))
    return Request("POST", "/graphql", _JSON, json.dumps({"query": item.text, **operation}))


_JSON = {"content-type": "application/json", "accept": "application/json"}


def _operation(text: str, variables: Variables, hashed: str | None) -> dict[str, Any]:
    if hashed is None:
        return {"query": text, "variables": variables}
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hashed}}
    return {"variables": variables, "extensions": extensions}


def _post(
    text: str, variables: Variables, headers: dict[str, str], hashed: str | None = None
) -> Request:
    body = json.dumps(_operation(text, variables, hashed), separators=(",", ":"))
    return Request("POST", "/graphql", {**_JSON, **headers}, body)


def _get(
    text: str, variables: Variables, headers: dict[str, str], hashed: str | None = None
) -> Request:
    parts = _operation(text, variables, hashed)
    query = {key: part if key == "query" else json.dumps(part) for key, part in parts.items()}
    # A content type or this header shows that no plain cross-site form sent it (Apollo asks).
    shown = {**_JSON, "apollo-require-preflight": "true", **headers}
    return Request("GET", f"/graphql?{urlencode(query)}", shown)


def _report(dataset: Dataset, session: Session) -> Variables:
    duration = float(dataset.runtime_seconds[session.movie_id])
    report: Variables = {
        "sessionId": session.id,
        "sequence": int(SEQUENCE_MARK),
        "positionSeconds": duration / 4,
        "durationSeconds": duration,
        "state": "PLAYING",  # said although it is the default: graphql-jit asks for it
        "seeked": False,
    }
    return {"input": report}
