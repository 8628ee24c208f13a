"""Breached passwords are refused without the service learning any; its absence stops nobody."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from resolvers.accounts import profile, sign_in
from resolvers.context import Context
from services import http_client
from services.accounts.breached_passwords import BreachedPasswords
from services.errors import ValidationFailed
from tests.support.accounts import EMAIL, NEW_PASSWORD, PASSWORD, next_operation, register_account
from tests.support.fake_server import serve_on_free_port
from tests.support.runtimes import with_changes

BREACHED = "violet harbour tulip"


def digest(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@dataclass
class RangeServer:
    """A range API that knows one password, and misbehaves as it is told."""

    mode: str = "ok"
    port: int = 0
    seen: list[tuple[str, dict[bytes, bytes]]] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.seen.append((scope["path"], dict(scope["headers"])))
        if self.mode == "hangs":
            await asyncio.sleep(30)
        status = {"fails": 503, "moved": 302}.get(self.mode, 200)
        start = {"type": "http.response.start", "status": status, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": self._body()})

    def _body(self) -> bytes:
        ending = digest(BREACHED)[5:]
        match self.mode:
            case "padded":
                return f"{ending}:0\r\n".encode()
            case "endless":
                return b"0" * 2_000_000
            case "binary":
                return bytes(range(128, 256))
            case "lower":
                return f"{ending.lower()}:3\n".encode()
        return f"{'0' * 35}:1\r\n{ending}:42\r\n{'F' * 35}:0\r\n".encode()


@pytest.fixture
async def server() -> AsyncIterator[RangeServer]:
    server = RangeServer()
    async with serve_on_free_port(server) as server.port:
        yield server


@pytest.fixture
async def checker(server: RangeServer) -> AsyncIterator[BreachedPasswords]:
    async with http_client.connect(0.5) as client:
        yield BreachedPasswords(client, f"http://127.0.0.1:{server.port}/", 0.5)


async def is_refused(checker: BreachedPasswords, password: str) -> bool:
    try:
        await checker.refuse_breached(password, ["newPassword"])
    except ValidationFailed as error:
        assert error.path == ["newPassword"]
        return True
    return False


@pytest.mark.parametrize("mode", ["ok", "lower"])
async def test_a_breached_password_is_refused(
    checker: BreachedPasswords, server: RangeServer, mode: str
) -> None:
    server.mode = mode
    assert await is_refused(checker, BREACHED)
    assert not await is_refused(checker, BREACHED + "!")
    # and all that the service learned are five digits
    (path, headers), _ = server.seen
    assert path == f"/range/{digest(BREACHED)[:5]}"
    assert headers[b"add-padding"] == b"true"
    assert BREACHED not in repr(server.seen) and digest(BREACHED) not in repr(server.seen)


@pytest.mark.parametrize("mode", ["padded", "endless", "binary", "fails", "moved"])
async def test_without_a_fit_answer_a_password_passes(
    checker: BreachedPasswords, server: RangeServer, mode: str
) -> None:
    server.mode = mode
    assert not await is_refused(checker, BREACHED)
    assert len(server.seen) == 1


async def test_a_service_that_hangs_is_not_waited_for(
    checker: BreachedPasswords, server: RangeServer
) -> None:
    server.mode = "hangs"
    began = time.monotonic()
    assert not await is_refused(checker, BREACHED)
    assert time.monotonic() - began < 10


async def test_one_that_is_away_stops_nobody() -> None:
    async with http_client.connect(0.5) as client:
        assert not await is_refused(BreachedPasswords(client, "http://127.0.0.1:1", 0.5), BREACHED)


async def test_without_an_address_nothing_is_asked(server: RangeServer) -> None:
    async with http_client.connect(0.5) as client:
        assert not await is_refused(BreachedPasswords(client, "", 0.5), BREACHED)
    assert server.seen == []


async def test_registering_and_changing_ask_and_signing_in_does_not(
    guest: Context, checker: BreachedPasswords, server: RangeServer
) -> None:
    context = Context(with_changes(guest.runtime, accounts={"breached_passwords": checker}))
    with pytest.raises(ValidationFailed):
        await sign_in.register(
            next_operation(context), email=EMAIL, password=BREACHED, display_name="Ada"
        )
    ada = await register_account(context)
    with pytest.raises(ValidationFailed) as refused:
        await profile.change_password(next_operation(ada), PASSWORD, BREACHED)
    assert refused.value.path == ["newPassword"]
    asked = len(server.seen)
    await sign_in.login(next_operation(context), email=EMAIL, password=PASSWORD)
    assert len(server.seen) == asked == 3
    await profile.change_password(next_operation(ada), PASSWORD, NEW_PASSWORD)
    assert len(server.seen) == 4
