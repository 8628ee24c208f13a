"""What comes back from services outside, what goes into logs, and errors nobody expected."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import CapturingLoggerFactory

import models
from resolvers.context import Runtime
from server.app import build_app
from services.errors import ErrorCode
from services.telemetry.access_log import AccessLog
from tests.attacks.payloads import (
    LEAK_WORDS,
    MASKED,
    answers,
    assert_nothing_leaks,
    record_attempt,
)
from tests.support.api_client import (
    GraphQL,
    build_silent_app,
    connect_app,
    connect_runtime,
    token_for,
)
from tests.support.fake_provider import FakeProvider
from tests.support.runtimes import with_changes
from tests.support.titles import film as a_film
from tests.support.titles import film_id, store
from tests.support.with_providers import json_provider, open_providers

SOURCES = """query ($id: ID!) { movie(by: {id: $id}) { streamingSources {
  sources { url subtitles { url } } attempts { outcome reason } } embed { url } } }"""


async def _read_sources(
    runtime: Runtime, *entries: Any, **changes: Any
) -> tuple[str, dict[str, Any]]:
    """What a viewer is told of a film's sources: as text, and the part itself."""
    await store([a_film(1, title="Arrival", tmdb_id=603)])
    async with open_providers(runtime, *entries, **changes) as changed:
        async with connect_runtime(changed) as client:
            token = token_for(changed)
            _, body = await GraphQL(client)(SOURCES, {"id": film_id(1)}, token)
    text = json.dumps(body)
    assert_nothing_leaks(text)
    assert MASKED not in text
    return text, body["data"]["movie"]


# Answers of a provider that is broken, or no friend.
ANSWERS = [
    "500",
    "429",
    "malformed",
    "wrong_shape",
    "array",
    "latin",
    "huge",
    "redirect",
    "refused",
]
for _switch in ANSWERS:
    record_attempt("SSRF and providers", _switch)


@pytest.mark.parametrize("switch", ANSWERS)
async def test_a_broken_providers_words_are_not_passed_on(
    runtime: Runtime, provider_server: FakeProvider, switch: str
) -> None:
    entry = json_provider("broken", provider_server.url(switch), api_key="marked-key-of-ours")
    text, movie = await _read_sources(runtime, entry)
    assert movie["streamingSources"]["sources"] == []
    for secret in (
        "secret stack trace",
        "marked-key-of-ours",
        "127.0.0.1",
        str(provider_server.port),
    ):
        assert secret not in text
    # and where it sends us, nobody goes
    assert {path.split("/")[1] for path, _, _ in provider_server.seen} <= {switch}


ADDRESSES = [
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/html,<script>",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "//evil.example/a",
    "ftp://evil.example/a",
    "https://",
    "not an address",
    "https://user:secret@evil.example/a\r\nx: y",
    "\x00https://a.example",
    "https://" + "a" * 5_000,
]
for _address in ADDRESSES:
    record_attempt("SSRF and providers", _address)


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda one: ascii(one)[:30])
async def test_an_address_that_is_none_is_not_passed_on(
    runtime: Runtime, provider_server: FakeProvider, address: str
) -> None:
    good = {"url": "https://cdn.example/good.m3u8", "type": "hls", "quality": "720p"}
    body = {"sources": [{"url": address, "type": "hls", "quality": "1080p"}, good]}
    provider_server.bodies["odd/sources"] = (200, json.dumps(body).encode())
    provider_server.bodies["odd"] = (200, b"{}")
    text, movie = await _read_sources(runtime, json_provider("odd", provider_server.url("odd")))
    urls = [source["url"] for source in movie["streamingSources"]["sources"]]
    assert urls in ([good["url"]], [])
    assert json.dumps(address) not in text


async def test_no_address_of_a_client_is_ever_fetched(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    # given an editor who names an address of our own network as artwork
    address = provider_server.url("ok")
    record_attempt("SSRF and providers", "artwork of our own network")
    app = build_silent_app(runtime)
    mutation = """mutation ($url: URL) { upsertMovie(input: {title: "A", posterUrl: $url}) {
      movie { id poster { url(width: 300) } } errors { code } } }"""
    async with connect_app(app) as client:
        token = token_for(runtime, models.Role.EDITOR)
        for url in (address, "http://169.254.169.254/latest", "http://[::1]:6379/"):
            status, _ = await GraphQL(client)(mutation, {"url": url}, token)
            assert status == 200
    # then the server went nowhere: only browsers follow it
    assert provider_server.seen == []


# ---- logs

FORGED = {
    "x-request-id": 'a"}\n{"event": "forged"',
    "user-agent": '\n{"event": "forged", "status": 200}',
    "x-forwarded-for": '1.2.3.4\n{"event": "forged"}',
    "referer": "\x1b[2J\x1b[1;1H forged",
}
for _header, _value in FORGED.items():
    record_attempt("secrets and forged lines in logs", _header, _value)


async def test_no_client_writes_a_line_of_the_log(hardened: Runtime) -> None:
    stream = io.BytesIO()
    log = AccessLog(stream)
    transport = httpx.ASGITransport(build_app(hardened, access_log=log))
    secret = "marked-password-of-somebody"
    requests = 0
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for header, value in FORGED.items():
            headers = [(header.encode(), value.encode())]
            await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
            requests += 1
        for query in (
            'query Forged { __typename } # \n{"event": "forged"}',
            f'mutation Sign {{ login(input: {{email: "a@b.test", password: "{secret}"}}) '
            "{ errors { code } } }",
            "query " + "N" * 500 + " { __typename }",
        ):
            record_attempt("secrets and forged lines in logs", query)
            authorization = {"authorization": f"Bearer {token_for(hardened)}"}
            await client.post("/graphql", json={"query": query}, headers=authorization)
            requests += 1
        await client.get("/graphql", params={"query": "{ __typename }", "secret": secret})
        await client.get("/no/such/path%0aforged")
        requests += 2
    log.flush()
    lines = stream.getvalue().splitlines()
    # one line a request, each of them ours and whole
    assert len(lines) == requests
    for line in lines:
        assert json.loads(line)["event"] == "request"
    text = stream.getvalue().decode()
    assert secret not in text
    assert "Bearer" not in text
    assert "eyJ" not in text
    assert all(len(line) < 1000 for line in lines)


# ---- errors nobody expected


class _Broken:
    """A cache whose every use fails with a text that must stay inside."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(self._text)


@pytest.mark.parametrize("transport_name", ["post", "get"])
async def test_an_unexpected_error_is_one_sentence_and_a_number(
    hardened: Runtime, transport_name: str
) -> None:
    # given a part of the server that fails with all that must not be told
    secret = f"KeyError in /work/main/x.py at mongodb://host: {LEAK_WORDS}"
    record_attempt("error masking", transport_name)
    broken = with_changes(
        hardened, sources={"breakers": _Broken(secret)}, catalog={"tmdb": _Broken(secret)}
    )
    app = build_silent_app(broken)
    query = "{ circuitBreakers { id state } }"
    headers = {"authorization": f"Bearer {token_for(broken, models.Role.OPERATOR)}"}
    before = structlog.get_config()
    structlog.configure(logger_factory=CapturingLoggerFactory())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            if transport_name == "post":
                response = await client.post("/graphql", json={"query": query}, headers=headers)
            else:
                response = await client.get("/graphql", params={"query": query}, headers=headers)
            # then the client sees neither its text nor its kind
            (error,) = response.json()["errors"]
            assert error["message"] == MASKED
            assert error["extensions"]["code"] == ErrorCode.INTERNAL_SERVER_ERROR.value
            assert error["extensions"]["requestId"] == response.headers["x-request-id"]
            assert_nothing_leaks(response.text + str(response.headers))
            await answers(client)
    finally:
        structlog.configure(**before)
