"""Documents that cost their server more than their writer: refused before anything is read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx

from tests.attacks.payloads import Attack, assert_repelled, document, each, get_request, request
from tests.conftest import CountCommands

TOO_MUCH = "COST_LIMIT_EXCEEDED"
_CPU_SECONDS = 2.0  # of this process; a hundredth of it on a machine of its own
LOGIN = 'login(input: {email: "ada@example.org", password: "guess %d"}) { errors { code } }'


def times(many: int, text: str) -> str:
    return " ".join(text.replace("%d", str(number)) for number in range(many))


def nested(levels: int, inner: str = "id") -> str:
    return "{ similar " * levels + "{ " + inner + " }" + " }" * levels


def in_film(selections: str) -> str:
    return f'{{ movie(by: {{id: "movie_1"}}) {selections} }}'


def doubling(levels: int, inner: str, on: str = "Movie") -> str:
    """Fragments that each spread the next one twice."""
    texts = [f"fragment F{n} on {on} {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)] + [
        f"fragment F{levels} on {on} {{ {inner} }}"
    ]
    return " ".join(texts)


def _aliases() -> Iterator[Attack]:
    row = "aliases"
    films = '{ movie(by: {id: "movie_1"}) { %s } }'
    for name, query in {
        "of a root field": "{ " + times(31, "a%d: __typename") + " }",
        "of a film's field": films % times(31, "a%d: id"),
        "in a fragment": films % "...F" + " fragment F on Movie { " + times(31, "a%d: id") + " }",
        "spread over fragments": films % "...F ...G ...H"
        + times(3, " ").join(
            f" fragment {f} on Movie {{ " + times(11, f"{f}%d: id") + " }" for f in "FGH"
        ),
        "in inline fragments": films % times(31, "... { a%d: id }"),
        "doubled by fragments": films % "...F0" + doubling(5, "a: id b: title"),
        "of nested fields": films % ("a: similar { " + times(30, "a%d: id") + " }"),
        "with conditions": films % times(31, "a%d: id @include(if: false)"),
        "brute force of a password": "mutation { " + times(31, "a%d: " + LOGIN) + " }",
        "brute force in a fragment": "mutation { ...F } fragment F on Mutation { "
        + times(31, "a%d: " + LOGIN)
        + " }",
        "of too many root fields": "mutation { " + times(21, "a%d: " + LOGIN) + " }",
        "of introspection": "{ " + times(31, "a%d: __schema { description }") + " }",
    }.items():
        yield document(row, name, query, code=TOO_MUCH)


def _depth() -> Iterator[Attack]:
    row = "depth"
    through = times(11, "fragment F%d on Movie { similar { ...N%d } }")
    for number in range(11):
        through = through.replace(f"...N{number} ", f"...F{number + 1} ")
    for name, query in {
        "films like films": in_film(nested(12)),
        "a hundred levels": in_film(nested(100)),
        "four hundred levels": in_film(nested(400)),
        "in fragments": in_film("{ ...F0 }") + through + " fragment F11 on Movie { id }",
        "in inline fragments": in_film("{ ... on Movie { similar " * 12 + "{ id }" + " } }" * 12),
        "between films and people": in_film(
            "{ " + "credits { person { credits { title { " * 3 + "id" + " } } } }" * 3 + " }"
        ),
        "of introspection": "{ __schema { types { " + "ofType { " * 25 + "name" + " }" * 28,
        "of inline fragments alone": "{ " + "... { " * 240 + "__typename" + " }" * 241,
    }.items():
        yield document(row, name, query, code=TOO_MUCH)


def _cost() -> Iterator[Attack]:
    row = "cost"
    deeper = "{ similar(first: 100) { similar(first: 100) { id } } }"
    sized = "query ($n: Int) { movies(first: $n) { nodes " + deeper + " } }"
    by_ids = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Movie " + deeper + " } }"
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("literal sizes", "{ movies(first: 100) { nodes " + deeper + " } }", {}),
        ("a size in a variable", sized, {"n": 100}),
        ("a size far too big", sized, {"n": 2_147_483_647}),
        ("a size left out", sized, {}),
        ("a default size", sized.replace("$n: Int", "$n: Int = 100"), {}),
        ("in a fragment", "{ movies { nodes { ...F } } } fragment F on Movie " + deeper, {}),
        ("twice", "{ movies { nodes " + deeper + " edges { node " + deeper + " } } }", {}),
        ("in ids", by_ids, {"ids": ["movie_1"] * 100}),
        (
            "through aliases",
            "{ " + times(20, "a%d: movies(first: 100) { nodes { similar { id } } }") + " }",
            {},
        ),
        ("a page below nothing", "{ a: movies(first: -99999) { nodes { id } } movies(first: 100) "
         "{ nodes " + deeper + " } }", {}),
        ("twice as many fields each level", in_film("{ ...F0 }") + doubling(10, "id title"), {}),
        ("of searches", "{ " + times(20, 's%d: search(query: "a", first: 100) '
                                     '{ nodes { ... on Movie { similar { similar { id } } } } }')
         + " }", {}),
    ]  # fmt: skip
    for name, query, variables in cases:
        yield document(row, name, query, variables, code=TOO_MUCH)


def _tokens() -> Iterator[Attack]:
    row = "tokens"
    for name, query in {
        "15,001 characters": "{ __typename }" + " " * 15_001,
        "1,001 tokens": "{ " + "id " * 1_001 + "}",
        "comments": "{ __typename } " + "# x\n" * 3_000,
        "commas": "{ __typename " + "," * 15_000 + "}",
        "a long name": "{ " + "a" * 14_990 + "x" * 20 + " }",
        "a block string": '{ search(query: """' + "x" * 15_000 + '""") { nodes { __typename } } }',
        "a deep list": "{ movies(first: " + "[" * 400 + "]" * 400 + ") { nodes { id } } }",
        "a deep object": "{ movies(filter: "
        + "{a: " * 300
        + "1"
        + "}" * 300
        + ") { totalCount } }",
        "a deep type": "query ($a: " + "[" * 450 + "Int" + "]" * 450 + ") { __typename }",
        "deep selections": "{ a " * 300 + "}" * 300,
        "operations": times(21, "query Q%d { __typename }"),
        "fields of one selection": in_film("{ " + "id " * 201 + "}"),
    }.items():
        yield document(row, name, query, code=TOO_MUCH)
    for name, query in {
        "an unclosed brace": "{ __typename ",
        "an unclosed string": '{ search(query: "a) { totalCount } }',
        "an unclosed block string": '{ search(query: """a) { totalCount } }',
        "a lone surrogate": '{ search(query: "\\uD800") { nodes { __typename } } }',
        "a bad escape": '{ search(query: "\\x41") { nodes { __typename } } }',
        "a zero byte": "{ __typename \u0000 }",
        "a byte order mark inside": "{ __type\ufeffname }",
        "right to left": "{ \u202e__typename }",
        "nothing but a comment": "# nothing",
        "a number that is none": "{ movies(first: 01) { nodes { id } } }",
        "a type definition": "type Query { a: Int }",
        "a schema extension": "extend type Query { a: Int } query { a }",
    }.items():
        yield document(row, name, query)


def _directives() -> Iterator[Attack]:
    row = "directives and quadratic validation"
    for name, query in {
        "51 on one field": "{ __typename " + "@skip(if: false) " * 51 + "}",
        "unknown ones": "{ __typename " + "@a " * 51 + "}",
        "on variables": "query ($a: Int " + "@a " * 51 + ") { __typename }",
        "everywhere": "query " + "@a " * 20 + "{ ... " + "@a " * 20 + "{ __typename @a " * 11,
        "fields that overlap": in_film("{ " + "similar { similar { id } } " * 110 + "}"),
        "fields repeated in fragments": in_film(
            "{ " + "... on Movie { id title year } " * 100 + "}"
        ),
        "fields repeated": in_film("{ " + "id " * 150 + "}"),
    }.items():
        code = "VALIDATION_FAILED" if name == "everywhere" else TOO_MUCH
        yield document(row, name, query, code=code)
    yield document(row, "one twice", "{ __typename @skip(if: false) @skip(if: false) }")
    yield document(row, "200 unknown fields", "{ " + times(20, "unknown%d") + " }")
    yield document(
        row, "a hundred wrong arguments", "{ movies(" + times(100, "a%d: 1") + ") { totalCount } }"
    )
    yield document(
        row,
        "a hundred wrong variables",
        "query (" + times(100, "$a%d: Nope") + ") { __typename }",
    )


def _fragments() -> Iterator[Attack]:
    row = "circular and exponential fragments"
    ring = times(20, "fragment F%d on Movie { ...N%d }")
    for number in range(20):
        ring = ring.replace(f"...N{number} ", f"...F{(number + 1) % 20} ")
    for name, query in {
        "itself": in_film("{ ...F }") + " fragment F on Movie { ...F }",
        "itself below a field": in_film("{ ...F }") + " fragment F on Movie { similar { ...F } }",
        "each other": in_film("{ ...F }")
        + " fragment F on Movie { ...G } fragment G on Movie { ...F }",
        "a ring of twenty": in_film("{ ...F0 }") + ring,
        "an unused ring": in_film("{ id }") + ring,
        "in an inline fragment": in_film("{ ...F }") + " fragment F on Movie { ... { ...F } }",
        "24 levels, doubled": in_film("{ ...F0 }") + doubling(24, "id"),
        "45 levels, doubled": in_film("{ ...F0 }") + doubling(45, "id"),
        "aliases, doubled": in_film("{ ...F0 }") + doubling(24, "a: id"),
        "24 levels in the root": "{ ...F0 } " + doubling(24, "__typename", "Query"),
        "51 of them": in_film("{ ...F0 }") + times(51, "fragment F%d on Movie { id }"),
    }.items():
        yield document(row, name, query, code=TOO_MUCH)
    yield document(row, "unknown", in_film("{ ...Nope }"))
    yield document(row, "on a type that cannot be", in_film("{ ... on Viewer { email } }"))
    yield document(row, "twice the name", "{ ...F } " + "fragment F on Query { __typename } " * 2)


def _batches() -> Iterator[Attack]:
    row = "batching"
    one = {"query": "mutation { " + LOGIN % 1 + " }"}
    many = [{"query": "mutation { " + LOGIN % number + " }"} for number in range(100)]
    for name, body in {
        "of one": [one],
        "of a hundred sign-ins": many,
        "of nothing": [],
        "in a list in a list": [[one]],
    }.items():
        yield request(row, name, json.dumps(body).encode(), status=400)
    yield request(row, "two bodies", (json.dumps(one) * 2).encode(), status=400)
    yield request(row, "one a line", b"\n".join(json.dumps(o).encode() for o in many), status=400)
    yield document(row, "queries in a list", "{ __typename }", status=200, code=None)
    yield request(
        row, "a list of queries", json.dumps({"query": ["{ __typename }"] * 2}).encode(), status=400
    )
    yield request(
        row,
        "a list of variables",
        json.dumps({"query": "{ __typename }", "variables": [{}, {}]}).encode(),
        status=400,
    )
    two = "query A { __typename } query B { __typename }"
    yield document(row, "two operations and no name", two)
    yield get_request(row, "by GET", query="[{__typename}]")


def _introspection() -> Iterator[Attack]:
    row = "introspection and suggestions"
    for number, query in enumerate(
        [
            "{ __schema { types { name } } }",
            '{ __type(name: "Viewer") { fields { name } } }',
            "{ a: __schema { queryType { name } } }",
            "{ ... { __schema { description } } }",
            "{ ... on Query { __schema { description } } }",
            "{ ...F } fragment F on Query { __schema { description } }",
            "{ ...F } fragment F on Query { ...G } fragment G on Query { b: __schema { a } }",
            "{ __schema @include(if: true) { description } }",
            "query ($no: Boolean = false) { __schema @skip(if: $no) { description } }",
            "query IntrospectionQuery { __schema { directives { name } } }",
            "{ __schema\n{ description } }",
            "{ __typename __schema { __typename } }",
            "{,__schema,{,description,},}",
            "mutation { __schema { description } }",
            "{ __Schema { types { name } } }",
            "{ _service { sdl } }",
            "{ _entities(representations: []) { __typename } }",
            "{ movis { nodes { id } } }",
            "{ movies(frst: 1) { nodes { id } } }",
            "{ viewr { email } }",
            "{ viewer { emali passwrd } }",
            "{ node(id: 1) { ... on Viewr { id } } }",
            "{ movies(category: POPULER) { nodes { id } } }",
            "query ($a: LoginInptu) { __typename }",
        ]
    ):
        yield document(row, f"{number}: {query[:40]}", query)
    yield get_request(row, "by GET", query="{ __schema { types { name } } }")
    yield get_request(row, "the whole by GET", query="query IntrospectionQuery { __schema { types {"
                 " name kind fields { name } } } }")  # fmt: skip


@each([*_aliases(), *_depth(), *_cost(), *_tokens(), *_directives(), *_fragments()])
async def test_hostile_documents_are_refused_quickly_and_before_anything_is_read(
    client: httpx.AsyncClient, count_commands: CountCommands, attack: Attack
) -> None:
    before = time.process_time()
    await assert_repelled(client, attack)
    assert time.process_time() - before < _CPU_SECONDS
    assert count_commands.mongo == []


@each(_batches())
async def test_batches_are_not_taken(client: httpx.AsyncClient, attack: Attack) -> None:
    await assert_repelled(client, attack)


@each(_introspection())
async def test_production_tells_nothing_of_its_schema(
    client: httpx.AsyncClient, attack: Attack
) -> None:
    response = await assert_repelled(client, attack)
    assert "data" not in response.json()
    assert "Did you mean" not in response.text
