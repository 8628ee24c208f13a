"""A provider on loopback. The first part of its path is the switch: /ok, /empty, /hang, ...

It speaks the generic interface (/ok/sources) and VidKing's (/ok/source, /embed, /search, /status).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.support.fake_server import serve_on_free_port

GOOD = {
    "sources": [
        {"url": "https://cdn.example/a.mp4", "type": "direct", "quality": "720p"},
        {
            "url": "https://cdn.example/a.m3u8",
            "type": "hls",
            "quality": "1080p",
            "language": "en",
            "subtitles": [
                {"language": "de", "label": "Deutsch", "url": "https://s.example/de.vtt"}
            ],
        },
    ]
}
VIDKING = {
    "ok/source": {
        "sources": [
            {
                "url": "https://v.example/low",
                "type": "embed",
                "quality": "360p",
                "status": "active",
            },
            {"url": "https://v.example/gone", "type": "hls", "quality": "1080p", "status": "dead"},
            {
                "url": "https://v.example/a.m3u8",
                "type": "hls",
                "quality": "720p",
                "status": "active",
                "language": "en",
                "subtitles": [{"language": "fr", "url": "https://s.example/fr.vtt"}],
            },
        ]
    },
    "ok/embed": {"embed_url": "https://v.example/embed/603"},
    "ok/search": {"results": [{"tmdb_id": 603}, {"tmdb": "604"}, {"id": 603}, {"title": "?"}, 7]},
    "ok/status": {"status": "online", "message": "all is well", "rate_limit": {"remaining": 42}},
}
_BODIES: dict[str, tuple[int, bytes]] = {
    "ok": (200, json.dumps(GOOD).encode()),
    "slow": (200, json.dumps(GOOD).encode()),
    "hang": (200, json.dumps(GOOD).encode()),
    "empty": (200, b'{"sources": []}'),
    "absent": (404, b"{}"),
    "500": (500, b"secret stack trace"),
    "429": (429, b"{}"),
    "malformed": (200, b'{"sources": [{"url": "https://cdn'),
    "wrong_shape": (200, b'{"sources": {"url": "https://cdn.example"}}'),
    "array": (200, b'[1, "two"]'),
    "latin": (200, b'{"sources": "\xff\xfe"}'),
    "huge": (200, b'{"sources": [' + b" " * (300 * 1024) + b"]}"),
    "redirect": (302, b""),
    **{path: (200, json.dumps(body).encode()) for path, body in VIDKING.items()},
}
SLOW_SECONDS = 0.1


@dataclass
class FakeProvider:
    """`seen` are the requests so far: path, query and headers."""

    port: int = 0
    bodies: dict[str, tuple[int, bytes]] = field(default_factory=lambda: dict(_BODIES))
    seen: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    retry_after: bytes = b"7"  # of 429
    hangs: bool = True  # what /hang does; else it answers as /ok
    client_disconnected: asyncio.Event = field(
        default_factory=asyncio.Event
    )  # a client of /hang left

    def reset(self) -> None:
        """Forget the requests and the switches of the test before."""
        vars(self).update(vars(FakeProvider(self.port)))

    def url(self, switch: str) -> str:
        port = free_port() if switch == "refused" else self.port
        return f"http://127.0.0.1:{port}/{switch}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        switch = scope["path"].split("/")[1]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode()))
        self.seen.append((scope["path"], query, headers))
        await receive()
        if switch == "hang" and self.hangs:
            await receive()  # until the client goes away
            self.client_disconnected.set()
            return
        if switch == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        status, body = self.bodies.get(scope["path"][1:], self.bodies[switch])
        more = {
            200: [(b"set-cookie", b"visit=%d; Path=/" % len(self.seen))],
            302: [(b"location", self.url("ok").encode())],
            429: [(b"retry-after", self.retry_after)],
        }
        start = {"type": "http.response.start", "status": status, "headers": more.get(status, [])}
        await send(start)
        await send({"type": "http.response.body", "body": body})


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def run_server() -> AsyncIterator[FakeProvider]:
    fake = FakeProvider()
    async with serve_on_free_port(fake) as fake.port:
        yield fake
