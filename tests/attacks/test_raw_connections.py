"""Bytes on the wire: requests that two servers would read differently, and clients that dawdle."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.attacks.payloads import assert_nothing_leaks, record_attempt
from tests.support.api_client import LiveServer

BODY = b'{"query": "{ __typename }"}'
HOST = b"host: 127.0.0.1\r\n"
JSON = b"content-type: application/json\r\n"
POST = b"POST /graphql HTTP/1.1\r\n" + HOST + JSON
HIDDEN = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
_PATIENCE_SECONDS = 20.0

# what is sent -> the status of the first answer; None: the connection is closed without one
SMUGGLED: dict[str, tuple[bytes, int | None]] = {
    "a length and chunks": (
        POST + LENGTH + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN, 400),
    "chunks and a length": (
        POST + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n" + HIDDEN, 400),
    "two lengths": (POST + LENGTH + b"content-length: 3\r\n\r\n" + BODY + HIDDEN, 400),
    "two lengths in one line": (POST + b"content-length: 27, 3\r\n\r\n" + BODY, 400),
    "a negative length": (POST + b"content-length: -1\r\n\r\n" + BODY, 400),
    "a length with a sign": (POST + b"content-length: +27\r\n\r\n" + BODY, 400),
    "a length in hexadecimal": (POST + b"content-length: 0x1b\r\n\r\n" + BODY, 400),
    "a length that overflows": (POST + b"content-length: 99999999999999999999\r\n\r\n", 400),
    "an unknown coding": (POST + b"transfer-encoding: xchunked\r\n\r\n" + BODY, 400),
    "a coding twice": (
        POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n" + BODY, 400),
    "a space before the colon": (
        POST + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN, 400),
    "a chunk of another size": (
        POST + b"transfer-encoding: chunked\r\n\r\n5\r\n" + BODY + b"\r\n0\r\n\r\n", None),
    "a chunk with a huge size": (
        POST + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n", None),
    "a chunk with a negative size": (POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n", None),
    "a folded header": (POST + b"x-a: b\r\n c: d\r\n" + LENGTH + b"\r\n" + BODY, 400),
    "a header without a name": (POST + b": a\r\n\r\n", 400),
    "a zero byte in a header": (POST + b"x-a: \x00\r\n\r\n", 400),
    "a line feed alone": (b"GET /health HTTP/1.1\nhost: 127.0.0.1\n\n", None),
    "two hosts": (b"GET /health HTTP/1.1\r\n" + HOST + b"host: evil.example\r\n\r\n", 400),
    "two hosts, ours last": (
        b"GET /health HTTP/1.1\r\nhost: evil.example\r\n" + HOST + b"\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "another version": (b"GET /health HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "no version": (b"GET /health\r\n\r\n", 400),
    "HTTP/2 unasked": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "Redis": (b"*1\r\n$8\r\nFLUSHALL\r\n", 400),
    "a space in the target": (b"GET /health /x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a long target": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    "a long header": (b"GET /health HTTP/1.1\r\nx-a: " + b"a" * 200_000 + b"\r\n\r\n", 431),
}  # fmt: skip
for _name, (_bytes, _) in SMUGGLED.items():
    record_attempt("request smuggling", _name, _bytes)


async def _exchange(server: LiveServer, sent: bytes, *, first_seconds: float = 15.0) -> bytes:
    """All that comes back until the server closes, or is silent for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    received = b""
    with contextlib.suppress(ConnectionError):
        writer.write(sent)
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.5 if received else first_seconds):
                    piece = await reader.read(65536)
                if not piece:
                    break
                received += piece
    writer.close()
    return received


async def _still_answers(server: LiveServer) -> None:
    async with server.client() as client:
        response = await client.post("/graphql", json={"query": "{ __typename }"})
        assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("name", SMUGGLED)
async def test_no_second_request_hides_in_the_first(live_server: LiveServer, name: str) -> None:
    sent, status = SMUGGLED[name]
    received = await _exchange(live_server, sent, first_seconds=1.5 if status is None else 15.0)
    # one answer at most, and none of what was hidden
    assert received.count(b"HTTP/1.1 ") <= 1
    assert b"# HELP" not in received
    assert_nothing_leaks(received.decode("latin-1"), sent.decode("latin-1"))
    if status is not None:
        assert received.startswith(b"HTTP/1.1 %d" % status), received[:200]
    assert not received.startswith(b"HTTP/1.1 5")
    await _still_answers(live_server)


async def test_a_pipelined_request_gets_its_own_answer(live_server: LiveServer) -> None:
    received = await _exchange(live_server, (POST + LENGTH + b"\r\n" + BODY) * 2)
    assert received.count(b"HTTP/1.1 200") == 2


SLOW = {
    "a head that does not end": b"POST /graphql HTTP/1.1\r\nx-a: b\r\n",
    "a body that does not come": POST + LENGTH + b"\r\n",
    "half a body": POST + LENGTH + b"\r\n" + BODY[:10],
    "a chunk that does not come": POST + b"transfer-encoding: chunked\r\n\r\n5\r\n",
    "nothing": b"",
    "half a handshake": b"GET /graphql HTTP/1.1\r\nupgrade: websocket\r\n",
}
for _name, _bytes in SLOW.items():
    record_attempt("slow clients", _name, _bytes)


@pytest.mark.parametrize("name", SLOW)
async def test_a_hundred_slow_clients_hurt_nobody(live_server: LiveServer, name: str) -> None:
    # given a hundred that have begun and go on at their leisure
    opened = [await asyncio.open_connection("127.0.0.1", live_server.port) for _ in range(100)]
    try:
        for _, writer in opened:
            writer.write(SLOW[name])
        # then others are answered as ever
        async with asyncio.timeout(_PATIENCE_SECONDS):
            for _ in range(5):
                await _still_answers(live_server)
    finally:
        for _, writer in opened:
            writer.close()
