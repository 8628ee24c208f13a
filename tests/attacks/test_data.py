"""What is meant for the database: operators, patterns, cursors, ids, and fields nobody may set."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import models
from models.mongo import ids
from resolvers.context import Runtime
from services import cursors
from tests.attacks.payloads import (
    Attack,
    assert_nothing_leaks,
    assert_repelled,
    codes_of,
    document,
    each,
    record_attempt,
    send,
)
from tests.support.api_client import GraphQL, token_for
from tests.support.titles import film, film_id, store

OPERATORS: list[Any] = [
    {"$ne": None},
    {"$gt": ""},
    {"$regex": ".*"},
    {"$where": "sleep(5000)"},
    {"$in": ["a", "b"]},
    [{"$ne": 1}],
    {"": ""},
    {"__proto__": {"a": 1}},
]
AS_TEXT = [
    '{"$ne": null}',
    "$where: sleep(5000)",
    "'; return true; var a='",
    "' || '1'=='1",
    "\\u0000",
    "a\x00b",
    "$movie_id",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "*\r\nFLUSHALL\r\n",
    "<script>alert(1)</script>",
    "%s%s%s%n",
    "../../etc/passwd",
    "\u202e\u0000\ufeff",
    "\U0001f4a9" * 50,
]
PATTERNS = [
    "(a+)+$",
    ".*",
    "^",
    "[",
    "(((((",
    "a{1000000}",
    "(?i)(?:a|a)*b",
    "\\",
    "\\u{110000}",
    '"unclosed',
    "-everything",
    '-"a" -"b"',
    "a" * 10_000,
    " ",
    "\u0300" * 200,
]
LOGIN = "mutation ($e: EmailAddress!, $p: String!) { login(input: {email: $e, password: $p}) \
{ viewer { id } errors { code } } }"
BY_ID = (
    "query ($id: ID!) { movie(by: {id: $id}) { id } person(id: $id) { id } tvShow(by: {id: $id})\
 { id } }"
)
NODE = "query ($id: ID!) { node(id: $id) { id } }"
SEARCH = "query ($q: String!) { search(query: $q) { nodes { __typename } } }"
FILTER = "query ($f: MovieFilter) { movies(filter: $f) { nodes { id } } tvShows(filter: $f) \
{ nodes { id } } }"
PAGE = "query ($after: String) { movies(first: 2, after: $after) { nodes { id } } }"


def _operators() -> Iterator[Attack]:
    row = "NoSQL operators"
    for number, operator in enumerate(OPERATORS):
        for name, query, variables in [
            ("an address", LOGIN, {"e": operator, "p": "x"}),
            ("a password", LOGIN, {"e": "a@b.test", "p": operator}),
            ("an id", NODE, {"id": operator}),
            ("a search", SEARCH, {"q": operator}),
            ("a filter", FILTER, {"f": {"genres": operator}}),
            ("a language", FILTER, {"f": {"language": operator}}),
            ("a cursor", PAGE, {"after": operator}),
        ]:
            if (name, operator) == ("a filter", OPERATORS[4]):
                continue
            yield document(row, f"{number} as {name}", query, variables)


@each(_operators())
async def test_an_operator_is_of_the_wrong_type(
    client: httpx.AsyncClient, attack: Attack, count_commands: Any
) -> None:
    await assert_repelled(client, attack)
    assert count_commands.mongo == []


async def _one_film(**fields: Any) -> None:
    await store([film(1, title="Arrival", **fields)])


for _text in AS_TEXT:
    record_attempt("NoSQL operators", "text", _text)


@pytest.mark.parametrize("text", AS_TEXT, ids=lambda text: ascii(text)[:30])
async def test_an_operator_in_a_text_is_text(client: httpx.AsyncClient, text: str) -> None:
    # given one film, and one account
    await _one_film()
    for query, variables in [
        (SEARCH, {"q": text}),
        (FILTER, {"f": {"genres": [text], "personId": text}}),
        (BY_ID, {"id": text}),
        ("query ($i: String!) { movie(by: {imdbId: $i}) { id } }", {"i": text}),
        (LOGIN, {"e": f"{text}@example.org", "p": text}),
    ]:
        # when it is sent as every kind of text
        response = await client.post("/graphql", json={"query": query, "variables": variables})
        # then nothing is found by it, and nothing breaks
        assert response.status_code == 200, response.text
        assert_nothing_leaks(response.text, text)
        assert codes_of(response) <= {"VALIDATION_FAILED"}, response.text
        assert "movie_" not in response.text
        assert "user_" not in response.text


for _text in PATTERNS:
    record_attempt("regex search", _text)


@pytest.mark.parametrize("text", PATTERNS, ids=lambda text: ascii(text)[:30])
async def test_a_pattern_is_searched_as_text(client: httpx.AsyncClient, text: str) -> None:
    await _one_film()
    response = await client.post("/graphql", json={"query": SEARCH, "variables": {"q": text}})
    assert response.status_code == 200
    assert_nothing_leaks(response.text, text)
    assert codes_of(response) <= {"VALIDATION_FAILED"}, response.text
    page = (response.json().get("data") or {}).get("search")
    assert page is None or page["nodes"] == []


# ---- cursors


def _signed_by_another(order: str = "popularity:desc") -> str:
    return cursors.encode(b"another secret, of 32 bytes or more", order, cursors.Position(1, "a"))


def _cursors() -> Iterator[Attack]:
    good = base64.urlsafe_b64encode(b"\x00" * 8 + b"\x94\x01\xa1a\x01\xa1b").decode()
    for name, cursor in {
        "nothing": "",
        "a word": "abc",
        "an offset": base64.b64encode(b"arrayconnection:1").decode(),
        "forged": good,
        "of another secret": _signed_by_another(),
        "of another type": base64.b64encode(b"\x00" * 8 + b"\xc1").decode(),
        "operators inside": base64.b64encode(b'{"$gt": ""}').decode(),
        "very long": "A" * 4_096,
        "not base64": "!!!!",
        "not ASCII": "ÄÖÜ",
        "zero bytes": "\x00" * 16,
        "deep inside": base64.b64encode(b"\x00" * 8 + b"\x91" * 2_000).decode(),
        "a huge array": base64.b64encode(b"\x00" * 8 + b"\xdd\xff\xff\xff\xff").decode(),
    }.items():
        yield document("cursors", name, PAGE, {"after": cursor}, code="INVALID_CURSOR")


@each(_cursors())
async def test_a_cursor_that_is_not_ours_is_refused(
    client: httpx.AsyncClient, attack: Attack
) -> None:
    await _one_film()
    await assert_repelled(client, attack)


async def test_every_bit_of_a_cursor_counts(client: httpx.AsyncClient, graphql: GraphQL) -> None:
    # given a cursor of ours
    await store([film(number) for number in range(3)])
    query = "{ movies(first: 1) { pageInfo { endCursor } } }"
    cursor = (await graphql(query))[1]["data"]["movies"]["pageInfo"]["endCursor"]
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(raw)):
        # when one bit of it is another
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        attack = document("cursors", f"bit of byte {place}", PAGE, {"after": text})
        # then it is refused
        assert codes_of(await send(client, attack)) == {"INVALID_CURSOR"}


# ---- ids


def _ids() -> Iterator[Attack]:
    row = "ids and ownership"
    for id_ in (
        "",
        "movie",
        "movie_",
        "movie_" + "a" * 10_000,
        "movie_1\x00",
        "movie_1\n",
        "MOVIE_1",
        "movie_../../1",
        "movie_*",
        "movie_1 or 1=1",
        "__proto__",
        "user:1:session",
        "purge_1\u0000user_1",
        "TW92aWU6MQ==",
        "1",
        "-1",
        "movie_ä",
        "\u202emovie_1",
    ):
        yield document(row, f"node {id_[:20]!r}", NODE, {"id": id_})
    for id_ in ("movie_1", "user_1", "login_1", "job_1", "purge_1", "progress_1", "apikey_1",
                "session_1", "viewing_1", "breaker_1", "provider_1"):  # fmt: skip
        yield document(row, f"nobody's {id_}", NODE, {"id": id_}, code=None)
    yield document(
        row, "101 of them", "query ($i: [ID!]!) { nodes(ids: $i) { id } }",
        {"i": ["movie_1"] * 101},
    )  # fmt: skip
    yield document(row, "a great number", NODE.replace("$id)", "99999999999999999999)")
                   .replace("($id: ID!)", ""))  # fmt: skip
    for number in (0, -1, 2_147_483_648, -2_147_483_649, 1.5, "1", True):
        query = "query ($n: Int!) { movie(by: {tmdbId: $n}) { id } }"
        code = None if number in (0, -1) and number is not True else "VALIDATION_FAILED"
        yield document(row, f"tmdbId {number!r}", query, {"n": number}, code=code)


@each(_ids())
async def test_an_id_names_a_thing_or_nothing(client: httpx.AsyncClient, attack: Attack) -> None:
    await _one_film()
    response = await assert_repelled(client, attack)
    data = response.json().get("data") or {}
    assert not any(data.values())


# ---- values that strain their type


def _values() -> Iterator[Attack]:
    row = "values at their limits"
    instants = "query ($d: DateTime) { viewer { history(from: $d) { nodes { id } } } }"
    for text in (
        "",
        "yesterday",
        "2026-13-45T99:99:99Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+99:99",
        "1" * 5_000,
        "2026-W01-1",
        "\u0661\u0662\u0663\u0664-01-01T00:00:00Z",
        "2026-01-01T00:00:00.00000000000001Z\x00",
    ):
        yield document(row, f"an instant {ascii(text)[:24]}", instants, {"d": text})
    for literal in ('"0001-01-01T00:00:00+14:00"', '"soon"', "1", "{a: 1}", "[1]", "null x"):
        query = "{ viewer { history(from: " + literal + ") { nodes { id } } } }"
        yield document(row, f"an instant written {literal}", query)
    dates = 'mutation ($d: Date) { upsertMovie(input: {title: "a", releaseDate: $d}) \
{ errors { code } } }'
    for text in ("", "2026-02-30", "0000-00-00", "1e9", "2026-01-01T00:00:00Z", "\x00"):
        yield document(row, f"a day {text!r}", dates, {"d": text})
    urls = 'mutation ($u: URL) { upsertMovie(input: {title: "a", posterUrl: $u}) \
{ errors { code } } }'
    for text in (
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//evil.example",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "data:text/html,a",
        "https://" + "a" * 2_000,
        "",
    ):
        yield document(row, f"an address {text[:24]!r}", urls, {"u": text})
    for name, type_, use, value in [
        ("an infinite speed", "Float!", "recommendedQuality(bandwidthMbps: $v) { quality }", "1e5"),
        ("a language", "LanguageTag", "movies(filter: {language: $v}) { totalCount { value } }",
         "en" + "-a" * 100),
        ("a mail address", "EmailAddress!", "__typename", "not an address"),
        ("a long mail address", "EmailAddress!", "__typename", "a" * 400 + "@example.org"),
        ("a page", "Int", "movies(first: $v) { nodes { id } }", 2_147_483_648),
    ]:  # fmt: skip
        query = f"query ($v: {type_}) {{ {use} }}"
        yield document(row, name, query, {"v": value})


@each(_values())
async def test_a_value_that_is_none_of_its_type_is_described_in_our_words(
    client: httpx.AsyncClient, hardened: Runtime, attack: Attack
) -> None:
    await assert_repelled(client, attack, authorization=f"Bearer {_editor(hardened)}")
    assert await models.Movie.get_pymongo_collection().count_documents({}) == 0


def _editor(runtime: Runtime) -> str:
    return token_for(runtime, models.Role.EDITOR)


# ---- fields nobody may set


SELF = "errors { code }"


def _assignments() -> Iterator[Attack]:
    row = "mass assignment and secret fields"
    register = 'email: "eve@evil.example", password: "correct horse battery", displayName: "Eve"'
    for assignment in (
        "role: ADMIN",
        "tier: PREMIUM",
        'id: "user_1"',
        "emailVerified: true",
        'passwordHash: "x"',
        'deletedAt: "2026-01-01T00:00:00Z"',
    ):
        yield document(
            row, f"register {assignment}",
            f"mutation {{ register(input: {{{register}, {assignment}}}) {{ {SELF} }} }}",
        )  # fmt: skip
        yield document(
            row, f"updateProfile {assignment}",
            f"mutation {{ updateProfile(input: {{displayName: \"Eve\", {assignment}}}) "
            f"{{ {SELF} }} }}",
        )  # fmt: skip
        name, _, value = assignment.partition(": ")
        profile = json.loads(value) if value[0] in '"t' else value
        query = f"mutation ($i: UpdateProfileInput!) {{ updateProfile(input: $i) {{ {SELF} }} }}"
        yield document(row, f"updateProfile by variable {name}", query, {"i": {name: profile}})
    for assignment in ('userId: "user_1"', "role: ADMIN", 'viewerId: "user_1"', "tier: API"):
        yield document(
            row, f"a key with {assignment}",
            f'mutation {{ createApiKey(input: {{name: "k", password: "p", {assignment}}}) '
            f"{{ {SELF} }} }}",
        )  # fmt: skip
        yield document(
            row, f"a position with {assignment}",
            f'mutation {{ reportProgress(input: {{sessionId: "session_1", sequence: 1, '
            f"positionSeconds: 1, {assignment}}}) {{ {SELF} }} }}",
        )  # fmt: skip
    for field in ("passwordHash", "password", "password_hash", "tokenHash", "refreshToken",
                  "secretHash", "deletedAt", "__dict__", "_id", "userId"):  # fmt: skip
        yield document(row, f"read {field}", f"{{ viewer {{ {field} }} }}")


@each(_assignments())
async def test_rights_cannot_be_granted_to_oneself_nor_secrets_queried(
    client: httpx.AsyncClient, hardened: Runtime, attack: Attack
) -> None:
    # given somebody signed in
    user_id = ids.derive("user", "test", models.Role.USER.value)
    ada = models.User(id=user_id, email="ada@example.org", password_hash="-", display_name="Ada")
    await ada.insert()
    before = await models.User.get_pymongo_collection().find().to_list(None)
    # when
    await assert_repelled(client, attack, authorization=f"Bearer {token_for(hardened)}")
    # then nothing changed and nobody was made
    assert await models.User.get_pymongo_collection().find().to_list(None) == before
    assert await models.ApiKey.get_pymongo_collection().count_documents({}) == 0


async def test_an_id_of_another_kind_opens_nothing(client: httpx.AsyncClient) -> None:
    await _one_film()
    query = "query ($id: ID!) { person(id: $id) { id } tvShow(by: {id: $id}) { id } }"
    body = {"query": query, "variables": {"id": film_id(1)}}
    response = await client.post("/graphql", json=body)
    assert not any((response.json().get("data") or {}).values())
    assert_nothing_leaks(response.text)
