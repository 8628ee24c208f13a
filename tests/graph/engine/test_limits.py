"""Hostile documents are refused for what they are, in time linear in size, and read nothing."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query

from graph.engine.documents import Documents
from graph.schema import open_documents
from resolvers.context import Runtime
from services.settings.settings import Settings
from tests.conftest import CountCommands
from tests.support.api_client import GraphQL, build_silent_app, connect_runtime, serve_app

COST = "COST_LIMIT_EXCEEDED"
DEEPER = "{ similar { similar { similar { id } } } }"
Write = Callable[[int], str]


@pytest.fixture
def documents() -> Documents:
    return open_documents(Settings(_env_file=None))


def fragments(body: Callable[[int], str], levels: int, last: str = "id") -> str:
    """A query of a film by a chain of fragments, each of which spreads the next one."""
    texts = [f"fragment F{n} on Movie {{ {body(n + 1)} }}" for n in range(levels)]
    texts.append(f"fragment F{levels} on Movie {{ {last} }}")
    return "{ movies { nodes { ...F0 } } } " + " ".join(texts)


def twice(levels: int) -> str:
    return fragments(lambda n: f"...F{n} ...F{n}", levels)


def aliases_twice(levels: int) -> str:
    return fragments(
        lambda n: f"a: similar {{ ...F{n} }} b: similar {{ ...F{n} }}", levels, "id title"
    )


def nothing_twice(levels: int) -> str:
    return fragments(lambda n: f"...F{n} ...F{n}", levels, "...Unknown")


def aliases(many: int) -> str:
    return "{ " + " ".join(f"a{n}: __typename" for n in range(many)) + " }"


def deep(levels: int) -> str:
    return "{ movies { nodes { " + "similar { " * levels + "id" + " }" * (levels + 3)


def deep_in_inline_fragments(levels: int) -> str:
    return "{ " + "... { " * levels + "__typename" + " }" * (levels + 1)


def roots(many: int) -> str:
    return "{ " + "health { status } " * many + "}"


def circle(many: int) -> str:
    texts = [f"fragment F{n} on Movie {{ ...F{(n + 1) % many} }}" for n in range(many)]
    return "{ movies { nodes { ...F0 } } } " + " ".join(texts)


def unused_circle(many: int) -> str:
    return circle(many).replace("...F0 } } }", "id } } }", 1)


def repeats(many: int) -> str:
    return "{ movies { nodes { " + "id " * many + "} } }"


def unused_repeats(many: int) -> str:
    return "{ __typename } fragment F on Movie { " + "id " * many + "}"


def object_repeats(many: int) -> str:
    return "{ movies { nodes { " + "similar { similar { id } } " * many + "} } }"


def inline_repeats(many: int) -> str:
    return "{ movies { nodes { " + "... on Movie { id title year } " * many + "} } }"


def directives(many: int) -> str:
    return "{ __typename " + "@skip " * many + "}"


def directives_everywhere(many: int) -> str:
    return "query($a: Int " + "@x " * many + ") " + "@x " * many + "{ ... @x { __typename @x } }"


def many_fragments(many: int) -> str:
    texts = [f"fragment F{n} on Movie {{ id }}" for n in range(many)]
    return "{ movies { nodes { ...F0 } } } " + " ".join(texts)


def operations(many: int) -> str:
    return " ".join(f"query Q{n} {{ __typename }}" for n in range(many))


def deep_list(levels: int) -> str:
    return "{ movies(first: " + "[" * levels + "]" * levels + ") { nodes { id } } }"


def deep_object(levels: int) -> str:
    return "{ movies(filter: " + "{genres: " * levels + "1" + "}" * levels + ") { nodes { id } } }"


def deep_type(levels: int) -> str:
    return "query($a: " + "[" * levels + "Int" + "]" * levels + ") { __typename }"


def padding(many: int) -> str:
    return "{ __typename } " + "# \n" * many


HOSTILE: list[tuple[Write, int, str]] = [
    (twice, 12, "An operation has at most 1000 fields."),
    (twice, 24, "An operation has at most 1000 fields."),  # 991 bytes
    (twice, 48, "An operation has at most 1000 fields."),
    (aliases_twice, 5, "An operation has at most 30 aliases."),
    (aliases_twice, 24, "An operation has at most 12 levels."),
    (aliases, 31, "An operation has at most 30 aliases."),
    (aliases, 10_000, "A document has at most 15000 characters."),
    (deep, 10, "An operation has at most 12 levels."),
    (deep, 200, "Document is nested too deeply. Parsing aborted."),
    (deep_in_inline_fragments, 240, "Document is nested too deeply. Parsing aborted."),
    (roots, 21, "An operation has at most 20 root fields."),
    (roots, 2_000, "A document has at most 15000 characters."),
    (circle, 1, "The fragment F0 spreads itself."),
    (circle, 40, "The fragment F0 spreads itself."),
    (unused_circle, 40, "The fragment F0 spreads itself."),
    (repeats, 900, "A selection set has at most 200 selections."),
    (repeats, 350_000, "A document has at most 15000 characters."),  # a megabyte
    (unused_repeats, 900, "A selection set has at most 200 selections."),
    (repeats, 150, "The document repeats the same fields too often to be checked."),
    (object_repeats, 110, "The document repeats the same fields too often to be checked."),
    (inline_repeats, 100, "The document repeats the same fields too often to be checked."),
    (directives, 150, "A document has at most 50 directives."),
    (directives, 51, "A document has at most 50 directives."),
    (directives_everywhere, 25, "A document has at most 50 directives."),
    (many_fragments, 51, "A document has at most 50 fragments."),
    (many_fragments, 100, "A document has at most 50 fragments."),
    (many_fragments, 145, "Document contains more than 1000 tokens. Parsing aborted."),
    (operations, 21, "A document has at most 20 operations."),
    (deep_list, 300, "Document is nested too deeply. Parsing aborted."),
    (deep_object, 300, "Document is nested too deeply. Parsing aborted."),
    (deep_type, 300, "Document is nested too deeply. Parsing aborted."),
    (padding, 1_001, "Document contains more than 1000 tokens. Parsing aborted."),
]


@pytest.mark.parametrize(("write", "size", "message"), HOSTILE)
async def test_hostile_documents_are_refused_for_what_they_are(
    graphql: GraphQL, count_commands: CountCommands, write: Write, size: int, message: str
) -> None:
    text = write(size)
    if len(text) > 250_000:  # more than a body may have
        text = text[:200_000]
    status, body = await graphql(text)
    assert status == 200
    (error,) = body.pop("errors")
    assert body == {}
    assert (error["message"], error["extensions"]) == (message, {"code": COST})
    assert count_commands.mongo == []
    assert await count_commands.redis_commands() == {}


def calls(documents: Documents, text: str) -> int:
    """How many Python functions are called until this document is refused."""
    count = 0

    def called(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        prepared = documents.get(text)
    finally:
        sys.setprofile(before)
    assert prepared.errors
    return count


@pytest.mark.parametrize(
    ("write", "size"),
    [
        (twice, 12),
        (twice, 24),
        (aliases_twice, 12),
        (nothing_twice, 12),
        (nothing_twice, 24),
        (aliases, 50),
        (aliases, 160),
        (deep, 40),
        (deep, 90),
        (deep_in_inline_fragments, 240),
        (roots, 25),
        (roots, 100),
        (circle, 20),
        (unused_circle, 20),
        (repeats, 95),
        (repeats, 300),
        (repeats, 450),
        (object_repeats, 50),
        (inline_repeats, 60),
        (directives, 60),
        (directives, 240),
        (many_fragments, 55),
        (operations, 50),
        (deep_list, 60),
        (deep_list, 150),
        (deep_object, 40),
        (padding, 1_001),
    ],
)
def test_a_document_twice_as_long_is_refused_in_twice_the_calls(write: Write, size: int) -> None:
    # counted, not timed: the machine's mood changes no count
    for _ in range(2):  # what is made at the first use is made by then
        once = calls(open_documents(Settings(_env_file=None)), write(size))
        double = calls(open_documents(Settings(_env_file=None)), write(2 * size))
    assert double <= 2.3 * once
    assert double < 100_000  # about 20 ms


@pytest.mark.parametrize(
    "write", [write for write, size, _ in HOSTILE if size >= 10_000], ids=lambda w: w.__name__
)
def test_what_is_too_long_is_not_even_read(documents: Documents, write: Write) -> None:
    assert calls(documents, write(10_000)) < 20
    assert documents.counters.parsed == 0


PRODUCTS: list[tuple[str, dict[str, Any]]] = [
    ("{ movies(first: 100) { nodes " + DEEPER + " } }", {}),
    ("{ movies { nodes " + DEEPER + " } }", {}),
    ("{ movies(first: 100) { edges { node " + DEEPER + " } } }", {}),
    ("query ($n: Int) { movies(first: $n) { nodes " + DEEPER + " } }", {"n": 100}),
    ("query ($n: Int) { movies(first: $n) { nodes " + DEEPER + " } }", {}),
    ("query ($n: Int) { movies(first: $n) { nodes " + DEEPER + " } }", {"n": None}),
    ("query ($n: Int = 100) { movies(first: $n) { nodes " + DEEPER + " } }", {}),
    ("query ($n: Int = 1) { movies(first: $n) { nodes " + DEEPER + " } }", {"n": 2_147_483_647}),
    ("{ movies(first: 2147483647) { nodes " + DEEPER + " } }", {}),
    ("{ movies { nodes { ...F } } } fragment F on Movie " + DEEPER, {}),
    ("{ movies { ...F } } fragment F on MovieConnection { nodes " + DEEPER + " }", {}),
    ("query ($k: ID!) { movie(by: {id: $k}) { similar " + DEEPER + " } }", {"k": "movie_1"}),
    # what is less than nothing pays for nothing else
    (
        "{ a: movies(first: -99999999) { nodes { id } } movies { nodes " + DEEPER + " } }",
        {},
    ),
    ("{ nodes(ids: [" + '"a" ' * 100 + "]) { ... on Movie { similar { similar { id } } } } }", {}),
    (
        "query ($k: [ID!]!) { nodes(ids: $k) { ... on Movie { similar { similar { id } } } } }",
        {"k": ["movie_1"] * 100},
    ),
    (
        "{ " + " ".join(f"a{n}: movies(first: 100) {{ nodes {{ similar(first: 10) {{ id }} }} }}"
                        for n in range(10)) + " }",
        {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("query", "variables"), PRODUCTS)
async def test_products_of_lists_are_refused_before_anything_is_read(
    graphql: GraphQL, count_commands: CountCommands, query: str, variables: dict[str, Any]
) -> None:
    status, body = await graphql(query, variables)
    assert status == 200
    (error,) = body.pop("errors")
    assert body == {}
    assert error["extensions"] == {"code": COST}
    assert error["message"].endswith("10000 are allowed.")
    assert count_commands.mongo == []
    assert await count_commands.redis_commands() == {}


@pytest.mark.parametrize(
    ("query", "variables", "cost"),
    [
        ("{ __typename }", {}, 0),
        ("{ movies(first: 5) { nodes { id title } } }", {}, 1 + 5),
        ("{ movies { nodes { id } } }", {}, 1 + 20),
        ("query ($n: Int) { movies(first: $n) { nodes { id } } }", {"n": 7}, 1 + 7),
        ("query ($n: Int) { movies(first: $n) { nodes { id } } }", {}, 1 + 20),
        ("query ($n: Int) { movies(first: $n) { nodes { id } } }", {"n": -7}, 1),
        ("{ movies(first: 5) { edges { node { id } } } }", {}, 1 + 5 * 2),
        ("{ movies(first: 5) { nodes { genres { id } } } }", {}, 1 + 5 * (1 + 3)),
        ("{ movies(first: 5) { nodes { similar(first: 2) { id } } } }", {}, 1 + 5 * (1 + 2)),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', {}, 3),
        ("query ($k: [ID!]!) { nodes(ids: $k) { id } }", {"k": ["a", "b"]}, 2),
    ],
)
def test_a_cost_is_how_many_things_may_be_answered_with(
    documents: Documents, query: str, variables: dict[str, Any], cost: int
) -> None:
    assert documents.get(query).operation(None).cost.of(variables) == cost


@pytest.mark.parametrize("levels", [100, 500, 1_000])
async def test_deep_variables_are_distinguished_from_good_ones(
    client: httpx.AsyncClient, count_commands: CountCommands, levels: int
) -> None:
    query = "query ($filter: MovieFilter) { movies(filter: $filter) { nodes { id } } }"
    value = '{"genres":' + "[" * levels + "]" * levels + "}"
    body = f'{{"query": "{query}", "variables": {{"filter": {value}}}}}'
    headers = {"content-type": "application/json"}
    response = await client.post("/graphql", content=body, headers=headers)
    assert response.status_code == 200
    assert response.json().keys() == {"errors"}
    for error in response.json()["errors"]:
        assert error["extensions"] == {"code": "VALIDATION_FAILED"}
        assert len(error["message"]) <= 300
    assert count_commands.mongo == []


@pytest.mark.parametrize("levels", [100, 500, 1_000])
async def test_deep_variables_that_nobody_declared_are_left_alone(
    client: httpx.AsyncClient, levels: int
) -> None:
    value = "[" * levels + "]" * levels
    body = f'{{"query": "{{ __typename }}", "variables": {{"a": {value}}}}}'
    headers = {"content-type": "application/json"}
    response = await client.post("/graphql", content=body, headers=headers)
    assert response.json() == {"data": {"__typename": "Query"}}


REAL = "query Page($n: Int) { movies(first: $n) { nodes { ...Card } pageInfo { hasNextPage } } } "


def components(many: int) -> str:
    """A page put together of components, each with the fields it shows."""
    spreads = " ".join(f"...C{n}" for n in range(many))
    text = REAL + f"fragment Card on Movie {{ {spreads} }} "
    shows = "id title poster { url } genres { id name }"
    return text + " ".join(f"fragment C{n} on Movie {{ {shows} }}" for n in range(many))


def test_a_page_of_twenty_components_that_show_the_same_is_fine(documents: Documents) -> None:
    assert documents.get(components(20)).errors == ()


def test_a_whole_introspection_is_answered_in_development(documents: Documents) -> None:
    prepared = documents.get(get_introspection_query(input_value_deprecation=True))
    assert prepared.errors == ()


async def test_introspection_answers_by_its_own_limits(graphql: GraphQL) -> None:
    status, body = await graphql(get_introspection_query())
    assert (status, body.keys()) == (200, {"data"})
    assert body["data"]["__schema"]["queryType"]["name"] == "Query"


@pytest.fixture
def closed(runtime: Runtime) -> Runtime:
    """A process with introspection switched off."""
    changed = runtime.settings.model_copy(update={"graphql_introspection": False})
    return replace(runtime, settings=changed)


@pytest.fixture
async def closed_graphql(closed: Runtime) -> AsyncIterator[GraphQL]:
    async with connect_runtime(closed) as client:
        yield GraphQL(client)


SPELLINGS = [
    "{ __schema { queryType { name } } }",
    '{ __type(name: "Movie") { name } }',
    "{ a: __schema { queryType { name } } }",
    '{ __typename: __type(name: "Movie") { name } }',
    "{ ... { __schema { queryType { name } } } }",
    "{ ... on Query { __schema { queryType { name } } } }",
    "{ ...F } fragment F on Query { __schema { queryType { name } } }",
    "{ ...F } fragment F on Query { ...G } fragment G on Query { a: __schema { description } }",
    "{ __schema @include(if: true) { queryType { name } } }",
    "query ($no: Boolean = false) { __schema @skip(if: $no) { description } }",
    "{ __schema { __typename } }",
    "{ __typename __schema { description } }",
]


@pytest.mark.parametrize("query", SPELLINGS)
async def test_introspection_switched_off_is_refused_in_every_spelling(
    closed_graphql: GraphQL, query: str
) -> None:
    status, body = await closed_graphql(query)
    assert status == 200
    assert body.keys() == {"errors"}
    assert {error["extensions"]["code"] for error in body["errors"]} == {"VALIDATION_FAILED"}
    assert "introspection has been disabled" in body["errors"][0]["message"]


async def test_introspection_switched_off_is_refused_over_the_socket(closed: Runtime) -> None:
    app = build_silent_app(closed)
    async with serve_app(app, closed.settings) as server, server.socket() as socket:
        await socket.initialised()
        for number, query in enumerate(SPELLINGS):
            await socket.subscribe(str(number), query)
            answer = await socket.receive()
            assert (answer["type"], answer["id"]) == ("error", str(number))
            assert "introspection has been disabled" in answer["payload"][0]["message"]


async def test_type_names_are_no_secret(closed_graphql: GraphQL) -> None:
    assert await closed_graphql("{ __typename }") == (200, {"data": {"__typename": "Query"}})


@pytest.mark.parametrize(
    "query",
    [
        "{ movis { nodes { id } } }",
        "{ movies(frst: 1) { nodes { id } } }",
        "{ movies(category: POPULER) { nodes { id } } }",
        "{ movies(filter: {genre: 1}) { nodes { id } } }",
        "query ($a: MovieFiltr) { movies(filter: $a) { nodes { id } } }",
        "{ movies { nodes { ... on Moovie { id } } } }",
        "{ __typename @inclode(if: true) }",
        "{ __typename @include(of: true) }",
        "{ ...Cart } fragment Card on Query { __typename }",
    ],
)
async def test_without_introspection_nothing_is_suggested(
    closed_graphql: GraphQL, query: str
) -> None:
    _, body = await closed_graphql(query)
    assert body.keys() == {"errors"}
    assert "Did you mean" not in str(body)


async def test_variables_get_no_suggestions_either(closed_graphql: GraphQL) -> None:
    query = "query ($a: MovieFilter, $b: MovieCategory) { movies(filter: $a, category: $b) \
        { nodes { id } } }"
    _, body = await closed_graphql(query, {"a": {"genre": "drama"}, "b": "POPULER"})
    assert len(body["errors"]) == 2
    assert "Did you mean" not in str(body)
