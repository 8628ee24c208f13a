"""What the abuse watch does to requests, and what it hears of them, at the front door."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

import models
from models.mongo import ids
from resolvers.context import Runtime
from server.app import build_app
from server.middleware.abuse_guard import AbuseGate, AbuseGuard
from services.limits.abuse_rules import AbuseLevel, Signal
from services.limits.abuse_watch import AbuseWatch
from services.redis.pool import Client
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from services.telemetry.metrics import REGISTRY
from tests.support.api_client import LiveServer, serve_app, token_for
from tests.support.processes import until
from tests.support.runtimes import with_changes

BAD, OTHER = "127.0.1.2", "127.0.2.3"  # of two prefixes
PREFIX = "127.0.1.0/24"
QUERY = "{ __typename }"
REFUSED_POST = {"method": "POST", "route": "other", "status_code": "403"}
ID = hashlib.sha256(QUERY.encode()).hexdigest()


class Door:
    """A live server with an abuse watch whose turns the test takes."""

    def __init__(self, server: LiveServer, watch: AbuseWatch, log: io.BytesIO) -> None:
        self.server = server
        self.watch = watch
        self.log = log

    @asynccontextmanager
    async def client(self, address: str) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.AsyncHTTPTransport(local_address=address)
        url = self.server.url
        async with httpx.AsyncClient(base_url=url, transport=transport, timeout=30) as client:
            yield client

    async def suspect(self, points: int, address: str = BAD) -> None:
        self.watch.record_signal(address, Signal.FAILED_SIGN_IN, points // 10)
        await self.watch.sync()

    async def score(self, address: str = BAD) -> float:
        """With what was noted since."""
        await self.watch.sync()
        place = self.watch._place_of(address)
        assert place is not None
        return await self.score_of(place.prefix)

    async def score_of(self, subject: str) -> float:
        """As `score`, of an account or a prefix."""
        await self.watch.sync()
        score = await self.watch.store._redis.hget(self.watch.store._keys(subject)[0], "score")
        return round(float(score or 0))


@asynccontextmanager
async def opened(runtime: Runtime, **changed: Any) -> AsyncIterator[Door]:
    settings = runtime.settings.model_copy(update={"abuse_mode": "enforce", **changed})
    watch, log = AbuseWatch(settings, runtime.redis), io.BytesIO()
    accounts = {"signal_listeners": [watch.record_signal]}
    own = with_changes(runtime, settings=settings, ops={"abuse_watch": watch}, accounts=accounts)
    async with serve_app(build_app(own, access_log=AccessLog(log)), settings) as server:
        yield Door(server, watch, log)


@pytest.fixture
async def door(runtime: Runtime) -> AsyncIterator[Door]:
    async with opened(runtime) as door:
        yield door


async def ask(client: httpx.AsyncClient, query: str | None = QUERY, **more: Any) -> httpx.Response:
    return await client.post("/graphql", json={"query": query, **more} if query else more)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def code(response: httpx.Response) -> str:
    value: str = response.json()["errors"][0]["extensions"]["code"]
    return value


# ---- blocked


async def test_a_blocked_prefix_gets_403_and_others_their_answers(door: Door) -> None:
    await door.suspect(400)
    refused = sample("abuse_refused_total", why="blocked")
    counted = sample("http_requests_total", **REFUSED_POST)
    async with door.client(BAD) as bad, door.client("127.0.1.77") as neighbour:
        for client in (bad, neighbour):
            answer = await ask(client)
            # then
            assert answer.status_code == 403
            assert 0 < int(answer.headers["retry-after"]) <= 60
            (error,) = answer.json()["errors"]
            assert error["extensions"]["code"] == "FORBIDDEN"
            assert 0 < error["extensions"]["retryAfterSeconds"] <= 60
            assert answer.headers["x-request-id"]
        assert sample("http_requests_total", **REFUSED_POST) == counted + 2
        assert (await bad.get("/art/posters/movie_1.svg")).status_code == 403
        assert (await bad.head("/graphql")).status_code == 403
        # health checks pass
        assert (await bad.get("/health")).status_code == 200
        assert (await bad.get("/ready")).status_code == 200
    assert sample("abuse_refused_total", why="blocked") == refused + 4
    async with door.client(OTHER) as other:
        assert (await ask(other)).json() == {"data": {"__typename": "Query"}}


async def test_a_blocked_prefix_opens_no_socket_but_to_sign_in(
    door: Door, runtime: Runtime
) -> None:
    await door.suspect(400)
    async with door.server.socket(local_addr=(BAD, 0)) as socket:
        await socket.send({"type": "connection_init"})
        assert (await socket.closed()).code == 4403
    async with door.server.socket(local_addr=(BAD, 0)) as socket:
        await socket.initialised(token_for(runtime))
        assert await socket.answer("1", QUERY) == {"data": {"__typename": "Query"}}


async def test_a_prefix_that_an_operator_blocked_opens_no_socket_at_all(
    door: Door, runtime: Runtime
) -> None:
    now = time.time()
    await door.watch.store.block(PREFIX, now + 60, now, "by hand")
    await door.watch.refresh()
    with pytest.raises(InvalidStatus) as refused:
        async with door.server.socket(local_addr=(BAD, 0)):
            pass
    assert refused.value.response.status_code == 403
    async with door.server.socket(local_addr=(OTHER, 0)) as socket:
        await socket.initialised()


async def test_an_open_socket_of_a_blocked_prefix_runs_nothing_new(door: Door) -> None:
    async with door.server.socket(local_addr=(BAD, 0)) as socket:
        await socket.initialised()
        await socket.answer("1", QUERY)
        # when
        await door.suspect(400)
        await socket.subscribe("2", QUERY)
        # then
        message = await socket.receive()
        assert (message["type"], message["id"]) == ("error", "2")
        assert message["payload"][0]["extensions"]["code"] == "FORBIDDEN"


# ---- slowed down


async def test_a_suspicious_prefix_waits(door: Door) -> None:
    await door.suspect(150)
    async with door.client(BAD) as client:
        began = time.monotonic()
        answer = await ask(client)
    assert answer.json() == {"data": {"__typename": "Query"}}
    assert time.monotonic() - began >= 0.2


async def test_only_so_many_wait_at_once(door: Door) -> None:
    """Of one prefix twenty; those who come on top are told to come back."""
    await door.suspect(390)  # for nearly a second each
    delayed, passed, statuses = sample("abuse_delayed_total"), 0, []

    async def app(*_: Any) -> None:
        nonlocal passed
        passed += 1

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append((message["status"], dict(message["headers"])[b"retry-after"]))

    gate = AbuseGuard(app, AbuseGate(door.watch))
    scope = {"type": "http", "method": "GET", "path": "/graphql", "client": (BAD, 1)}
    # when sixty come at once
    await asyncio.gather(*(gate(scope, receive_nothing, send) for _ in range(60)))
    # then
    assert passed == 20
    assert statuses == [(429, b"1")] * 40
    assert sample("abuse_delayed_total") == delayed + 20
    # and nobody waits any more: the next one may
    await gate(scope, receive_nothing, send)
    assert passed == 21


async def receive_nothing() -> Any:
    raise AssertionError("a request that waits is not read")


# ---- known documents only


async def test_a_very_suspicious_prefix_runs_only_published_documents(
    runtime: Runtime, tmp_path: Path
) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({f"sha256:{ID}": QUERY}))
    async with opened(runtime, published_documents=str(manifest)) as door:
        await check_published_documents(door)


async def test_a_document_that_somebody_registered_is_not_a_published_one(door: Door) -> None:
    by_id: dict[str, Any] = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": ID}}}
    async with door.client(BAD) as client:
        assert (await ask(client, **by_id)).json() == {"data": {"__typename": "Query"}}
        await door.suspect(300)
        assert code(await ask(client, None, **by_id)) == "PERSISTED_QUERY_REQUIRED"


async def check_published_documents(door: Door) -> None:
    by_id: dict[str, Any] = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": ID}}}
    await door.suspect(300)
    async with door.client(BAD) as client:
        # then what the operator published runs, with its text or without
        assert (await ask(client, None, **by_id)).json() == {"data": {"__typename": "Query"}}
        assert (await ask(client, **by_id)).json() == {"data": {"__typename": "Query"}}
        # and nothing else, not even registered in passing
        answer = await ask(client, "{ __typename a: __typename }")
        assert code(answer) == "PERSISTED_QUERY_REQUIRED"
        new = hashlib.sha256(b"{ a: __typename }").hexdigest()
        more: dict[str, Any] = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": new}}}
        assert code(await ask(client, "{ a: __typename }", **more)) == "PERSISTED_QUERY_REQUIRED"
    async with door.client(OTHER) as other:
        assert code(await ask(other, None, **more)) == "PERSISTED_QUERY_NOT_FOUND"


async def test_the_same_holds_on_sockets(door: Door) -> None:
    await door.suspect(300)
    async with door.server.socket(local_addr=(BAD, 0)) as socket:
        await socket.initialised()
        await socket.subscribe("1", QUERY)
        message = await socket.receive()
    assert message["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_REQUIRED"


# ---- what is heard


@pytest.mark.parametrize(
    ("body", "points"),
    [
        ({"query": QUERY}, 0),
        ({"query": "{ nope }"}, 2),
        ({"query": "{"}, 2),
        ({"query": "query ($a: Int!) { __typename @skip(if: $b) }"}, 2),
        ({"query": "{ __typename }", "operationName": "Missing"}, 2),
        ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "a" * 64}}}, 2),
        ({"query": "{ a" + "{ a" * 500 + "}" * 501}, 5),
        ({"query": 7}, 2),
    ],
)
async def test_refused_documents_are_suspicious(
    door: Door, body: dict[str, Any], points: float
) -> None:
    async with door.client(BAD) as client:
        await client.post("/graphql", json=body)
    assert await door.score() == points


async def test_many_new_documents_are_suspicious_and_known_ones_are_not(door: Door) -> None:
    texts = [f"{{ name{n}: __typename }}" for n in range(40)]
    async with door.client(BAD) as bad, door.client(OTHER) as other:
        for text in texts:
            await ask(bad, text)
            await ask(other, text)
    assert (await door.score(), await door.score(OTHER)) == (2 * (40 - 20), 0)


async def test_a_body_that_is_none_is_suspicious(door: Door) -> None:
    async with door.client(BAD) as client:
        headers = {"content-type": "application/json"}
        assert (await client.post("/graphql", content=b"{", headers=headers)).status_code == 400
        assert (await client.post("/graphql", content=b"{")).status_code == 415
    assert await door.score() == 4


async def test_wrong_passwords_are_suspicious(door: Door) -> None:
    login = (
        'mutation { login(input: {email: "a@example.com", password: "wrong"})'
        " { tokens { accessToken } errors { code } } }"
    )
    async with door.client(BAD) as client:
        for _ in range(2):
            answer = (await ask(client, login)).json()
            assert answer["data"]["login"]["errors"] == [{"code": "INVALID_CREDENTIALS"}]
    assert await door.score() == 20


async def test_failures_of_ours_are_not_suspicious(runtime: Runtime) -> None:
    """Nor is what a signed-in person may not do."""
    async with opened(runtime) as door, door.client(BAD) as client:
        token = token_for(runtime, models.Role.USER)
        delete = 'mutation { deleteMovie(input: {id: "movie_1"}) { errors { code } } }'
        headers = {"authorization": f"Bearer {token}"}
        answer = await client.post("/graphql", json={"query": delete}, headers=headers)
        assert code(answer) == "FORBIDDEN"
        assert await door.score() == 0


async def test_operations_on_a_socket_count_as_requests(door: Door) -> None:
    door.watch._uncounted = 1.0
    async with door.server.socket(local_addr=(BAD, 0)) as socket:
        await socket.initialised()
        for n in range(80):
            await socket.answer(str(n), QUERY)
            if n % 40 == 39:
                await socket.subscribe("x", "{ nope }")
                assert (await socket.receive())["type"] == "error"
    assert await door.score() == 4
    free = await door.watch.store._redis.hget(door.watch.store._keys(PREFIX)[0], "free")
    assert float(free or 0) < 200


# ---- modes


async def test_in_log_mode_nobody_is_refused(runtime: Runtime) -> None:
    async with opened(runtime, abuse_mode="log") as door, door.client(BAD) as client:
        await door.suspect(400)
        status = door.watch.get_status(BAD)
        assert status is not None
        assert door.watch.get_level(status) is AbuseLevel.BLOCKED
        assert (await ask(client)).json() == {"data": {"__typename": "Query"}}


# ---- behind proxies


async def addresses(door: Door, most: int) -> list[str]:
    """Of the first requests in the access log, which is written behind."""
    await until(lambda: door.log.getvalue().count(b"\n") >= most)
    return [json.loads(line)["address"] for line in door.log.getvalue().splitlines()]


async def test_a_spoofed_header_from_outside_is_ignored(runtime: Runtime) -> None:
    async with opened(runtime, trusted_proxies="127.0.9.0/24") as door:
        await door.suspect(400, "203.0.113.9")
        for address in (BAD, "127.0.0.1"):
            async with door.client(address) as client:
                # a stranger can neither pretend to be somebody else nor get him blocked
                headers = {"x-forwarded-for": "203.0.113.9"}
                answer = await client.post("/graphql", json={"query": QUERY}, headers=headers)
                assert answer.status_code == 200
        assert await addresses(door, 2) == [BAD, "127.0.0.1"]


async def test_without_trusted_proxies_even_loopback_is_not_believed(door: Door) -> None:
    async with door.client("127.0.0.1") as client:
        await client.post(
            "/graphql", json={"query": QUERY}, headers={"x-forwarded-for": "203.0.113.9"}
        )
    assert await addresses(door, 1) == ["127.0.0.1"]


@pytest.mark.parametrize("forwarded", ["203.0.113.9", "6.6.6.6, 203.0.113.9, 127.0.9.2"])
async def test_through_proxies_the_client_is_blocked_and_not_the_proxy(
    runtime: Runtime, forwarded: str
) -> None:
    async with opened(runtime, trusted_proxies="127.0.9.0/24") as door:
        await door.suspect(400, "203.0.113.9")
        async with door.client("127.0.9.1") as proxy:
            headers = {"x-forwarded-for": forwarded}
            answer = await proxy.post("/graphql", json={"query": QUERY}, headers=headers)
            assert answer.status_code == 403
            # what else comes through the proxy is answered
            headers = {"x-forwarded-for": "198.51.100.7:4711"}
            answer = await proxy.post("/graphql", json={"query": QUERY}, headers=headers)
            assert answer.status_code == 200
        assert await addresses(door, 2) == ["203.0.113.9", "198.51.100.7"]


async def test_a_wrong_setting_stops_the_start(settings: Settings, redis: Client) -> None:
    for name in ("trusted_proxies", "abuse_exempt"):
        wrong = settings.model_copy(update={name: "everybody"})
        with pytest.raises(Exception, match=f"^{name.upper()}: "):
            AbuseWatch(wrong, redis)


# ---- who is signed in


async def test_a_signed_in_viewer_is_not_judged_by_the_network(
    door: Door, runtime: Runtime
) -> None:
    # given a network that is blocked, and one that is slowed down
    await door.suspect(400)
    await door.suspect(150, OTHER)
    headers = {"authorization": f"Bearer {token_for(runtime)}"}
    for address in (BAD, OTHER):
        async with door.client(address) as client:
            # when a viewer of it asks, then at once and in full
            delayed = sample("abuse_delayed_total")
            answer = await client.post("/graphql", json={"query": QUERY}, headers=headers)
            assert answer.json() == {"data": {"__typename": "Query"}}
            assert sample("abuse_delayed_total") == delayed
            # but a token that is none helps nobody
            wrong = {"authorization": "Bearer eyJ.none.of-ours"}
            answer = await client.post("/graphql", json={"query": QUERY}, headers=wrong)
            assert answer.status_code == (403 if address == BAD else 401)


async def test_what_an_account_does_counts_for_the_account_alone(
    door: Door, runtime: Runtime
) -> None:
    headers = {"authorization": f"Bearer {token_for(runtime)}"}
    account = ids.derive("user", "test", models.Role.USER.value)
    async with door.client(BAD) as client:
        # when it sends nonsense until it is blocked
        for _ in range(3):
            await client.post("/graphql", json={"query": "{ nope }"}, headers=headers)
            await client.post("/graphql", content=b"{", headers=headers)
        assert (await door.score_of(account), await door.score()) == (12, 0)
        door.watch.record_signal(BAD, Signal.FAILED_SIGN_IN, 40, account)
        await door.watch.sync()
        # then it is blocked wherever it is, and its neighbours are not
        for address in (BAD, OTHER):
            async with door.client(address) as own:
                refused = await own.post("/graphql", json={"query": QUERY}, headers=headers)
                assert (refused.status_code, code(refused)) == (403, "FORBIDDEN")
        assert (await ask(client)).json() == {"data": {"__typename": "Query"}}


async def test_tokens_that_are_none_and_things_that_are_not_there_are_suspicious(
    door: Door,
) -> None:
    async with door.client(BAD) as client:
        wrong = {"authorization": "Bearer eyJ.none.of-ours"}
        await client.post("/graphql", json={"query": QUERY}, headers=wrong)
        assert await door.score() == 2
        for path in ("/art/posters/movie_1.svg", "/media/token/movie_1/a.m3u8", "/wp-login.php"):
            assert (await client.get(path)).status_code in (403, 404)
        assert await door.score() >= 4


# ---- other sites' pages

CROSS = {"sec-fetch-site": "cross-site"}


async def test_another_site_s_page_can_make_nobody_suspicious(door: Door) -> None:
    # given a page that makes its visitor's browser send what is suspicious
    refused = sample("abuse_refused_total", why="cross_site")
    async with door.client(BAD) as client:
        for _ in range(40):
            text = {**CROSS, "content-type": "text/plain", "origin": "https://evil.example"}
            answer = await client.post("/graphql", content=b"{", headers=text)
            assert (answer.status_code, code(answer)) == (403, "FORBIDDEN")
            image = {**CROSS, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
            assert (await client.get("/graphql?query={nope}", headers=image)).status_code == 403
            # pictures are shown elsewhere, and those that are not there are the page's fault
            picture = await client.get("/art/posters/movie_1.svg", headers=image)
            assert picture.status_code == 404
    assert await door.score() == 0
    assert sample("abuse_refused_total", why="cross_site") == refused + 80


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", None])
async def test_pages_of_our_own_and_clients_without_pages_are_answered(
    door: Door, site: str | None
) -> None:
    async with door.client(BAD) as client:
        headers = {"sec-fetch-site": site} if site else {}
        answer = await client.post("/graphql", json={"query": QUERY}, headers=headers)
        assert answer.status_code == 200


async def test_a_page_that_cors_allows_is_answered_and_counted(runtime: Runtime) -> None:
    page = "https://web.example"
    async with opened(runtime, cors_origin=page) as door, door.client(BAD) as client:
        headers = {**CROSS, "origin": page}
        answer = await client.post("/graphql", json={"query": "{ nope }"}, headers=headers)
        assert answer.headers["access-control-allow-origin"] == page
        assert await door.score() == 2
        for origin in ("https://web.example.evil.example", "http://web.example", "null"):
            headers = {**CROSS, "origin": origin}
            answer = await client.post("/graphql", json={"query": QUERY}, headers=headers)
            assert answer.status_code == 403


async def test_another_site_s_page_opens_no_socket_and_is_not_counted(door: Door) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with door.server.socket(local_addr=(BAD, 0), additional_headers=CROSS):
            pass
    assert refused.value.response.status_code == 403
    assert len(door.watch) == 0
