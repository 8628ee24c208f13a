"""Both doors of /graphql answer every request with the same bytes, and record it alike."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import models
from resolvers.context import Runtime
from server.app import build_app
from services.limits.abuse_watch import AbuseWatch
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from tests.support.api_client import LiveServer, serve_app, token_for
from tests.support.documents import sha256_of
from tests.support.runtimes import with_changes

HOST = "films.test"
ORIGIN = "https://web.test"
QUERY = "{ movies(first: 12) { nodes { title overview } } }"
SMALL = "query Q($n: Int) { movies(first: $n) { nodes { id } } }"
TRUSTED = "query P($n: Int) { movies(first: $n) { nodes { title } } }"
PUBLISHED = sha256_of(TRUSTED)
VARYING = re.compile(
    rb"(x-request-id: )[0-9a-f]{16}|(date: )[^\r]+|(;t=)\d+|(;r=)\d+|(max-age=)\d+|(age: )\d+"
)
LOGGED = re.compile(r'"(request_id|ms|timestamp)":("[^"]*"|[0-9.e-]+)')

BODIES: dict[str, bytes] = {
    "a query": json.dumps({"query": QUERY}).encode(),
    "variables": json.dumps({"query": SMALL, "variables": {"n": 2}}).encode(),
    "an unknown field": b'{"query": "{ nothing }"}',
    "a wrong variable": json.dumps({"query": SMALL, "variables": {"n": "x"}}).encode(),
    "an unknown id": json.dumps({"documentId": "0" * 64}).encode(),
    "no document": b"{}",
    "no JSON": b"{",
    "nothing": b"",
    "a mutation": b'{"query": "mutation { deleteMovie(input: {id: 1}) { errors { code } } }"}',
    "a subscription": b'{"query": "subscription { liveMetrics { cursor } }"}',
    "what needs a sign-in": b'{"query": "{ me { id } }"}',
    "a slow one": b'{"query": "{ sourceProviders { name } }"}',
    "too much": b'{"query": "' + b"#" * 300_000 + b'"}',
}
HEADERS: dict[str, list[str]] = {
    "plain": [],
    "the draft's type": ["accept: application/graphql-response+json"],
    "no type of ours": ["accept: text/html"],
    "zstd": ["accept-encoding: gzip, zstd"],
    "gzip": ["accept-encoding: gzip"],
    "no encoding": ["accept-encoding: identity"],
    "uncompressed": ["accept-encoding: gzip", "x-no-compression: 1"],
    "a named origin": [f"origin: {ORIGIN}", "sec-fetch-site: cross-site", "accept-encoding: br"],
    "another origin": ["origin: https://other.test"],
    "another site": ["origin: https://other.test", "sec-fetch-site: cross-site"],
    "no valid token": ["authorization: Bearer nonsense"],
    "a token": ["authorization: Bearer {token}"],
    "forged cookies": ["cookie: marquee_access={token}"],
    "cookies": ["cookie: marquee_access={token}", "x-marquee-auth: 1"],
    "a refresh cookie": ["cookie: marquee_refresh=x", "x-marquee-auth: 1"],
    "an id": ["x-request-id: client-id-0001"],
    "a compressed body": ["content-encoding: gzip"],
    "two lines": ["accept: text/html", "accept: application/json"],
    "two types": ["content-type: application/json"],
    "an old tag": ['if-none-match: "abc"'],
    "any tag": ["if-none-match: *"],
    "closing": ["connection: close"],
    "a proxy's": ["x-forwarded-for: 192.0.2.7", "x-forwarded-proto: https"],
}


class Doors:
    """A server of each door, on one runtime; `logs` are what they logged."""

    def __init__(self, servers: dict[str, LiveServer], logs: dict[str, io.BytesIO]) -> None:
        self.servers, self._logs = servers, logs

    async def exchange(self, name: str, sent: bytes) -> bytes:
        """What the server answers until it closes, or for a while has no more to say."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.servers[name].port)
        writer.write(sent)
        received = b""
        try:
            while True:
                async with asyncio.timeout(10):
                    head = await reader.readuntil(b"\r\n\r\n")
                received += head
                length = re.search(rb"content-length: (\d+)", head)
                assert length is not None, head
                is_bare = b" 304 " in head or sent.startswith(b"HEAD")
                received += await reader.readexactly(0 if is_bare else int(length[1]))
                if received.count(b"HTTP/1.1 ") >= sent.count(b" HTTP/1.1\r\n"):
                    return received
        except asyncio.IncompleteReadError as error:
            return received + error.partial
        finally:
            writer.close()

    async def assert_alike(self, sent: bytes) -> bytes:
        """Both doors answer the same, byte for byte."""
        answers = {name: _plain(await self.exchange(name, sent)) for name in self.servers}
        assert answers["short"] == answers["asgi"], sent[:400]
        return answers["short"]

    async def keep_answers(self, *requests: bytes) -> None:
        """Ask until public answers are kept, which what is being cached meanwhile delays."""
        for sent, name, _ in itertools.product(requests, self.servers, range(3)):
            await self.exchange(name, sent)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        for log in self._logs.values():
            log.seek(0)
            log.truncate()

    async def assert_logs_alike(self) -> None:
        """Both doors logged the same requests, in the same order."""
        await asyncio.sleep(0.3)  # lines wait for a tenth of a second
        lines = {
            name: [LOGGED.sub("", line) for line in log.getvalue().decode().splitlines()]
            for name, log in self._logs.items()
        }
        assert lines["short"] == lines["asgi"]
        assert lines["short"]


def _plain(answer: bytes) -> bytes:
    return VARYING.sub(lambda match: next(group for group in match.groups() if group), answer)


@pytest.fixture
async def doors(runtime: Runtime, tmp_path: Path) -> AsyncIterator[Doors]:
    films = [
        models.Movie(id=f"movie_{n}", title=f"Film {n}", sort_title=f"{n}", overview="text " * n)
        for n in range(20)
    ]
    await models.upsert(models.Movie, films)
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({PUBLISHED: TRUSTED}))
    settings: Settings = runtime.settings.model_copy(
        update={
            "cors_origin": ORIGIN,
            "published_documents": str(manifest),
            "trusted_hosts": HOST,
            "rate_limit_mode": "enforce",
            "abuse_mode": "log",
            "trusted_proxies": "127.0.0.1",
            "rate_limit_anonymous_max_requests": 1_000_000,
            "rate_limit_anonymous_max_cost": 100_000_000,
        }
    )
    servers, logs, now = {}, {}, time.time()
    async with AsyncExitStack() as stack:
        for name in ("asgi", "short"):
            own = settings.model_copy(update={"http_door": name, "redis_key_prefix": name})
            logs[name] = io.BytesIO()
            ops = {
                "abuse_watch": AbuseWatch(own, runtime.redis),
                "rate_limiter": RateLimiter(own, SlidingWindows(runtime.redis, lambda: now)),
            }
            app = build_app(
                with_changes(runtime, settings=own, clock=lambda: now, ops=ops),
                access_log=AccessLog(logs[name]),
            )
            servers[name] = await stack.enter_async_context(serve_app(app, own))
        yield Doors(servers, logs)


def request(
    target: str = "/graphql",
    body: bytes | None = None,
    headers: list[str] | None = None,
    *,
    method: str | None = None,
    host: str = HOST,
) -> bytes:
    """The bytes of a request; a POST where it has a body."""
    lines = [f"{method or ('GET' if body is None else 'POST')} {target} HTTP/1.1", f"host: {host}"]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *(headers or []), "", ""]).encode() + (body or b"")


async def test_posts_are_answered_alike(doors: Doors, runtime: Runtime) -> None:
    await doors.keep_answers(*(request(body=body) for body in BODIES.values()))
    token = token_for(runtime)
    for headers, body in itertools.product(HEADERS.values(), BODIES.values()):
        await doors.assert_alike(
            request(body=body, headers=[one.format(token=token) for one in headers])
        )
    await doors.assert_logs_alike()


async def test_streams_are_answered_alike(doors: Doors, runtime: Runtime) -> None:
    token = token_for(runtime)
    accept = "accept: text/event-stream"
    for headers, body in itertools.product(HEADERS.values(), ("a query", "a subscription")):
        if any(line.startswith("accept: ") for line in headers):
            continue
        sent = [accept, *(one.format(token=token) for one in headers)]
        asked = request(body=BODIES[body], headers=sent)
        answers = {name: _plain(await _read_stream(doors, name, asked)) for name in doors.servers}
        assert answers["short"] == answers["asgi"], asked
    await doors.assert_logs_alike()


async def _read_stream(doors: Doors, name: str, sent: bytes) -> bytes:
    """What the server answers, to the end of its chunks where it sends any."""
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.servers[name].port)
    writer.write(sent)
    try:
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            if length is not None:
                return head + await reader.readexactly(int(length[1]))
            return head + await reader.readuntil(b"\r\n0\r\n\r\n")
    finally:
        writer.close()


TARGETS: dict[str, str] = {
    "a query": "/graphql?query=%7Bmovies(first:12)%7Bnodes%7Btitle%20overview%7D%7D%7D",
    "plain characters": "/graphql?query={__typename}",
    "a fragment": "/graphql?query=%7B__typename%7D#part",
    "two question marks": "/graphql?query=%7B__typename%7D&x=?",
    "variables": "/graphql?query=query(%24n:Int)%7Bmovies(first:%24n)%7BtotalCount%7D%7D"
    "&variables=%7B%22n%22:1%7D",
    "an unknown id": f"/graphql?documentId={'a' * 64}",
    "a document's address": f"/graphql/d/{PUBLISHED}/P?variables=%7B%22n%22:2%7D",
    "an address of no document": f"/graphql/d/{'a' * 64}/P",
    "another operation's name": f"/graphql/d/{PUBLISHED}/Q",
    "an id that is none": "/graphql/d/md5:x",
    "an escaped address": f"/graphql/d/sha256%3A{PUBLISHED}/P",
    "a long address": f"/graphql/d/{PUBLISHED}/P?variables=%7B%22x%22:%22{'x' * 20_000}%22%7D",
    "a mutation": "/graphql?query=mutation%7Blogout%7Berrors%7Bcode%7D%7D%7D",
    "no valid text": "/graphql?query=%ff",
    "a space": "/graphql?query=+",
    "nothing": "/graphql",
    "an empty query": "/graphql?",
    "another path": "/graphql/",
    "escaped": "/%67raphql?query=%7B__typename%7D",
    "a whole address": f"http://{HOST}/graphql?query=%7B__typename%7D",
}


async def test_gets_are_answered_alike(doors: Doors, runtime: Runtime) -> None:
    await doors.keep_answers(*(request(target) for target in TARGETS.values()))
    token = token_for(runtime)
    for headers, target in itertools.product(HEADERS.values(), TARGETS.values()):
        sent = [one.format(token=token) for one in headers]
        await doors.assert_alike(request(target, headers=sent))
    await doors.assert_logs_alike()


async def test_other_methods_hosts_and_versions_are_answered_alike(doors: Doors) -> None:
    await doors.keep_answers(request(TARGETS["a query"]))
    body = BODIES["a query"]
    preflight = [f"origin: {ORIGIN}", "access-control-request-method: POST"]
    for sent in (
        request(TARGETS["a query"], method="HEAD"),
        request(method="OPTIONS", headers=preflight),
        request(body=body, method="PUT"),
        request(body=body, method="DELETE"),
        request(body=body, host="other.test"),
        request(body=body, host=HOST.upper() + ":80"),
        request(body=body, host=""),
        request(body=body).replace(b"HTTP/1.1", b"HTTP/1.0"),
        request(body=body).replace(b"content-length: ", b"content-length: 0"),
        request(body=body).replace(b"content-length", b"Content-LENGTH"),
        request(headers=["content-length: 2"]) + b"{}",
        request(headers=["transfer-encoding: chunked"], method="POST") + b"2\r\n{}\r\n0\r\n\r\n",
    ):
        await doors.assert_alike(sent)
    await doors.assert_logs_alike()


async def test_a_kept_answer_is_304_through_both(doors: Doors) -> None:
    await doors.keep_answers(request(TARGETS["a query"]))
    answer = await doors.assert_alike(request(TARGETS["a query"]))
    tag = re.search(rb"\r\netag: ([^\r]+)", answer)
    assert tag is not None
    for headers in ([], ["accept-encoding: zstd"], [f"origin: {ORIGIN}"]):
        conditional = [f"if-none-match: {tag[1].decode()}", *headers]
        answer = await doors.assert_alike(request(TARGETS["a query"], headers=conditional))
        assert answer.startswith(b"HTTP/1.1 304 ")


async def test_what_comes_at_once_is_answered_in_its_order(doors: Doors) -> None:
    # given requests behind one another, one of them slow
    bodies = ["a query", "a slow one", "variables", "an unknown field", "a query"]
    together = b"".join(request(body=BODIES[name]) for name in bodies)
    get = request(TARGETS["plain characters"])
    # then
    for sent in (together, get + together, together + get):
        answers = await doors.assert_alike(sent)
        assert answers.count(b"HTTP/1.1 ") == sent.count(b" HTTP/1.1\r\n")


@pytest.mark.parametrize("size", [1, 7, 150])
async def test_what_comes_in_pieces_is_answered_alike(doors: Doors, size: int) -> None:
    sent = request(body=BODIES["variables"], headers=["accept-encoding: gzip"])
    answers = {}
    for name in doors.servers:
        reader, writer = await asyncio.open_connection("127.0.0.1", doors.servers[name].port)
        for start in range(0, len(sent), size):
            writer.write(sent[start : start + size])
            await asyncio.sleep(0)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        answers[name] = _plain(head + await reader.readexactly(int(length[1])))
        writer.close()
    assert answers["short"] == answers["asgi"]


async def test_what_is_cut_off_is_recorded_alike(doors: Doors) -> None:
    # given requests whose clients go away within the body, or half of the connection
    whole = request(body=BODIES["variables"])
    for sent in (whole[:-5], whole[: whole.index(b"{")], whole):
        for name in doors.servers:
            reader, writer = await asyncio.open_connection("127.0.0.1", doors.servers[name].port)
            writer.write(sent)
            await asyncio.sleep(0.05)
            writer.write_eof()
            async with asyncio.timeout(5):
                await reader.read()  # until the server closes, too
            writer.close()
    await doors.assert_logs_alike()
