"""HTTP around the documents: bodies, media types, other sites' pages, hosts and paths."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import models
from tests.attacks.conftest import OUR_SITE
from tests.attacks.payloads import (
    GOOD,
    JSON,
    Attack,
    answers,
    assert_nothing_leaks,
    assert_repelled,
    each,
    get_request,
    record_attempt,
    request,
)

ASK = json.dumps(GOOD).encode()
REGISTER = """mutation { register(input: {email: "eve@evil.example", password: "correct horse",
 displayName: "Eve"}) { viewer { id } errors { code } } }"""
CHANGE = json.dumps({"query": REGISTER}).encode()


def _bodies() -> Iterator[Attack]:
    row = "body size and form"
    for name, content, status in [
        ("2 MB", b" " * 2_000_000, 413),
        ("2 MB in a string", b'{"query": "' + b"x" * 2_000_000 + b'"}', 413),
        ("one byte too many", ASK + b" " * (256 * 1024 + 1 - len(ASK)), 413),
        ("nothing", b"", 400),
        ("an open brace", b"{", 400),
        ("a number", b"5", 400),
        ("a string", b'"{ __typename }"', 400),
        ("null", b"null", 400),
        ("true", b"true", 400),
        ("not a number", b'{"query": NaN}', 400),
        ("endless", b'{"query": "{a}", "variables": {"n": 1e999}}', 400),
        ("a big integer", b'{"query": "{a}", "variables": {"n": ' + b"9" * 5_000 + b"}}", 400),
        ("deep lists", b"[" * 100_000 + b"]" * 100_000, 400),
        ("deep objects", b'{"a":' * 40_000, 400),
        ("no UTF-8", b'{"query": "\xff\xfe"}', 400),
        ("overlong UTF-8", b'{"query": "\xc0\xae"}', 400),
        ("half a surrogate", b'{"query": "\\ud800"}', 400),
        ("a byte order mark", b"\xef\xbb\xbf" + ASK, 400),
        ("UTF-16", ASK.decode().encode("utf-16"), 400),
        ("a zero byte", b"\x00", 400),
        ("gzip without saying so", gzip.compress(ASK), 400),
        ("pickled", b"\x80\x04\x95.", 400),
        ("XML", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 400),
        ("a query that is an object", b'{"query": {"$ne": null}}', 400),
        ("a query that is a number", b'{"query": 1}', 400),
        ("a name that is an object", b'{"query": "{__typename}", "operationName": {}}', 400),
        ("variables that are text", b'{"query": "{__typename}", "variables": "{}"}', 400),
        ("extensions that are a list", b'{"query": "{__typename}", "extensions": []}', 400),
    ]:
        yield request(row, name, content, status=status)
    yield request(
        row, "the same key twice", b'{"query": "{ nope }", "query": "{ __typename }"}', code=None
    )
    proto = b'{"query": "{ __typename }", "__proto__": {"role": "ADMIN"}, "constructor": 1}'
    yield request(row, "keys of JavaScript", proto, code=None)
    for coding, content in {
        "gzip": gzip.compress(b" " * 50_000_000),
        "deflate": zlib.compress(b" " * 1_000_000),
        "br": b"\x0b\x02\x80",
        "identity, gzip": gzip.compress(ASK),
    }.items():
        headers = {**JSON, "content-encoding": coding}
        yield request(row, f"encoded: {coding}", content, headers=headers, status=415)


def _media_types() -> Iterator[Attack]:
    row = "CSRF and XS-search"
    form = b"query=mutation%20%7B%20a%20%7D"
    part = b'--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n' + CHANGE
    for kind, content in {
        "": CHANGE,
        "text/plain": CHANGE,
        "text/plain; application/json": CHANGE,
        "text/plain;charset=UTF-8": CHANGE,
        "application/x-www-form-urlencoded": form,
        "application/x-www-form-urlencoded; application/json": CHANGE,
        "multipart/form-data; boundary=x": part + b"\r\n--x--",
        "application/graphql": REGISTER.encode(),
        "application/jsonp": CHANGE,
        "text/json": CHANGE,
        "application/json, text/plain": CHANGE,
        "application/json; charset=utf-7": CHANGE,
        "application/json; charset=utf-16": CHANGE,
    }.items():
        headers = {"content-type": kind, "origin": "https://evil.example"}
        yield request(row, f"posted as {kind!r}", content, headers=headers, status=415)
    yield request(row, "posted as nothing", CHANGE, headers={}, status=415)
    for method in ("GET", "HEAD"):
        yield request(
            row,
            f"a change by {method}",
            method=method,
            path=f"/graphql?{httpx.QueryParams(query=REGISTER)}",
            headers={},
            status=405,
        )
    change = REGISTER.replace("mutation", "mutation A") + " query B { __typename }"
    yield get_request(row, "a change chosen by name", query=change, operationName="A", status=405)
    events = {"accept": "text/event-stream", "origin": "https://evil.example"}
    yield get_request(row, "an event source", query="{ __typename }", headers=events, code=None)
    yield get_request(row, "an event source's change", query=REGISTER, headers=events, status=405)
    for other in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"):
        yield request(row, f"a change by {other}", CHANGE, method=other, status=405)
    for header in ("x-http-method-override", "x-method-override", "x-http-method"):
        yield get_request(row, f"{header}", query=REGISTER, headers={header: "POST"}, status=405)
    yield get_request(row, "_method", query=REGISTER, _method="POST", status=405)


def _hosts() -> Iterator[Attack]:
    row = "Host and path confusion"
    for host in (
        "evil.example",
        "test.evil.example",
        "test@evil.example",
        "eviltest",
        "test:80@evil.example",
        "",
        "localhost",
        "169.254.169.254",
        "[::1]",
        "test, evil.example",
        "test/../evil",
        "TEST.",
    ):
        yield request(
            row, f"host {host!r}", ASK, headers={**JSON, "host": host}, status=400, code=None
        )
    for path in (
        "//graphql",
        "/graphql/",
        "/GRAPHQL",
        "/graphql;a=b",
        "/graphql%2f",
        "/%67raphql%00",
        "/./graphql/../metrics/../nothing",
        "/graphql/../../etc/passwd",
        "/graphql%0d%0aset-cookie:a=b",
        "/admin",
        "/.git/config",
        "/.env",
        "/server/app.py",
        "/art/posters/..%2f..%2f..%2fetc%2fpasswd.svg",
        "/art/posters/%00.svg",
        "/media/x/movie_1/..%2f..%2f..%2fetc%2fpasswd",
        "/media/x/..%2f..%2f/etc/passwd",
    ):
        status = 403 if path.startswith("/media/") else 404
        code = {403: "INVALID_TOKEN"}.get(status, "NOT_FOUND")
        if path.startswith("/art/posters/%00"):
            code = None  # told in words of its own
        yield request(row, path, ASK, method="GET", path=path, headers={}, status=status, code=code)
    for header, value in {
        "x-original-url": "/metrics",
        "x-rewrite-url": "/metrics",
        "x-forwarded-prefix": "/metrics",
        "x-forwarded-host": "evil.example",
        "forwarded": "for=127.0.0.1;host=evil.example;proto=https",
        "x-http-destinationurl": "http://evil.example/",
        "x-forwarded-proto": "javascript",
    }.items():
        yield request(row, header, ASK, headers={**JSON, header: value}, code=None)


@each(_bodies())
async def test_bodies_are_bounded_and_of_one_form(
    client: httpx.AsyncClient, attack: Attack
) -> None:
    await assert_repelled(client, attack)


@each(_media_types())
async def test_what_another_sites_page_can_send_changes_nothing(
    client: httpx.AsyncClient, attack: Attack
) -> None:
    response = await assert_repelled(client, attack)
    assert "access-control-allow-origin" not in response.headers
    assert await models.User.get_pymongo_collection().count_documents({}) == 0


@each(_hosts())
async def test_hosts_and_paths_mean_what_they_say(
    client: httpx.AsyncClient, attack: Attack
) -> None:
    response = await assert_repelled(client, attack)
    assert "evil" not in response.text
    assert "root:" not in response.text
    assert response.headers.get("location") in (None, "http://test/graphql")


# ---- CORS

ORIGINS = [
    "https://evil.example",
    "null",
    "https://app.example.evil.example",
    "https://evilapp.example",
    "http://app.example",
    "https://app.example:444",
    "https://APP.example.",
    "https://app.example, https://evil.example",
    "file://",
    "*",
    "",
]
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,authorization,x-marquee-auth",
}
for _origin in ORIGINS:
    record_attempt("CORS", _origin)


@pytest.mark.parametrize("origin", ORIGINS)
async def test_other_origins_may_read_nothing(client: httpx.AsyncClient, origin: str) -> None:
    posted = await client.post("/graphql", json=GOOD, headers={"origin": origin})
    before = await client.options("/graphql", headers={"origin": origin, **PREFLIGHT})
    for response in (posted, before):
        assert response.headers.get("access-control-allow-origin") is None
        assert response.status_code < 500
        assert_nothing_leaks(response.text)
    await answers(client)


async def test_our_own_origin_may(client: httpx.AsyncClient) -> None:
    response = await client.options("/graphql", headers={"origin": OUR_SITE, **PREFLIGHT})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == OUR_SITE
    assert response.headers["access-control-allow-credentials"] == "true"
    posted = await client.post("/graphql", json=GOOD, headers={"origin": OUR_SITE})
    assert "Origin" in posted.headers["vary"]


# ---- headers that are too much

HEADERS: dict[str, Any] = {
    "a long one": {"x-long": "a" * 60_000},
    "many": {f"x-{number}": "a" for number in range(500)},
    "a long accept": {"accept": "application/json," + ",".join(["a/b;q=0.1"] * 5_000)},
    "a strange weight": {"accept": "application/json;q=nan, */*;q=1e400"},
    "many etags": {"if-none-match": ",".join(['"a"'] * 5_000)},
    "a strange range": {"range": "bytes=" + ",".join(f"{n}-" for n in range(2_000))},
    "a strange length": {"accept-encoding": ",".join(["gzip;q=0.001"] * 2_000)},
    "many cookies": {"cookie": "; ".join(f"a{n}=b" for n in range(2_000))},
}
for _name in HEADERS:
    record_attempt("body size and form", _name)


@pytest.mark.parametrize("name", HEADERS)
async def test_headers_without_sense_are_left_alone(client: httpx.AsyncClient, name: str) -> None:
    response = await client.post("/graphql", json=GOOD, headers=HEADERS[name])
    assert response.status_code in (200, 406)
    assert_nothing_leaks(response.text)
    await answers(client)
