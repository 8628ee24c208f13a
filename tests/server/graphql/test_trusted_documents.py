"""Who may send documents that nobody pushed: off, log and enforce, by role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from models import Role
from resolvers.context import Runtime
from services.documents.modes import ROLES, DocumentMode, parse_modes
from services.settings.settings import Settings
from services.telemetry.metrics import REGISTRY
from tests.support.api_client import build_silent_app, connect_runtime, serve_app, token_for
from tests.support.documents import NOT_FOUND, REQUIRED, by_hash, code_of, push, sha256_of
from tests.support.runtimes import with_changes

PUSHED, FREE = "query Pushed { __typename }", "query Free { __typename }"
KIND = {"data": {"__typename": "Query"}}


def in_mode(runtime: Runtime, mode: str) -> Runtime:
    settings = runtime.settings.model_copy(update={"trusted_documents": mode})
    return with_changes(runtime, settings=settings)


@asynccontextmanager
async def connect(runtime: Runtime, mode: str) -> AsyncIterator[httpx.AsyncClient]:
    async with connect_runtime(in_mode(runtime, mode)) as client:
        yield client


def counted(mode: str) -> float:
    return REGISTRY.get_sample_value("untrusted_documents_total", {"mode": mode}) or 0.0


async def test_enforced_only_pushed_documents_run(runtime: Runtime) -> None:
    # given one that was pushed under a name and its hash, and one that a client registered before
    await push(runtime, {"pushed": PUSHED, sha256_of(PUSHED): PUSHED})
    async with connect(runtime, "off") as before:
        await before.post("/graphql", json=by_hash(FREE, with_text=True))
    async with connect(runtime, "enforce") as client:
        # then it runs in every form, also by its text
        for body in ({"documentId": "pushed"}, by_hash(PUSHED), {"query": PUSHED}):
            assert (await client.post("/graphql", json=body)).json() == KIND
        assert (await client.get("/graphql/d/pushed/Pushed")).json() == KIND
        # and no other does, by its text, by its hash, or while it is being registered
        refused: tuple[dict[str, Any], ...] = (
            {"query": FREE},
            {"query": PUSHED + " "},
            {"query": "{ __schema { types { name } } }"},
            by_hash(FREE),
            by_hash(FREE, with_text=True),
            by_hash("{ new: __typename }", with_text=True),
        )
        for body in refused:
            assert code_of(await client.post("/graphql", json=body)) == REQUIRED
        # while what nobody knows is just not there
        assert code_of(await client.post("/graphql", json=by_hash("{ unknown }"))) == NOT_FOUND


async def test_roles_may_have_modes_of_their_own(runtime: Runtime) -> None:
    async with connect(runtime, "enforce,OPERATOR=off") as client:
        runs = {}
        for role in Role:
            token = {} if role is Role.ANONYMOUS else {"authorization": ""}
            if token:
                token["authorization"] = f"Bearer {token_for(runtime, role)}"
            answer = await client.post("/graphql", json={"query": FREE}, headers=token)
            runs[role.value] = answer.json() == KIND
    assert runs == {
        "ANONYMOUS": False,
        "USER": False,
        "EDITOR": False,
        "OPERATOR": True,
        "ADMIN": True,
    }


async def test_it_holds_on_sockets(runtime: Runtime) -> None:
    await push(runtime, {"pushed": PUSHED})
    own = in_mode(runtime, "enforce")
    async with serve_app(build_silent_app(own), own.settings) as server:
        async with server.socket() as socket:
            await socket.initialised()
            await socket.subscribe("1", FREE)
            message = await socket.receive()
            assert message["payload"][0]["extensions"]["code"] == REQUIRED
            await socket.send({"type": "subscribe", "id": "2", "payload": {"documentId": "pushed"}})
            assert (await socket.receive())["payload"] == KIND


async def test_logged_all_run_and_each_is_told_once(runtime: Runtime) -> None:
    await push(runtime, {"pushed": PUSHED})
    before = counted("log")
    with capture_logs() as logged:
        await run_both_thrice(runtime)
    assert counted("log") == before + 3
    lines = [line for line in logged if line["event"] == "untrusted_document_run"]
    assert [(line["sha256"], line["client"]) for line in lines] == [(sha256_of(FREE), "web")]


async def run_both_thrice(runtime: Runtime) -> None:
    async with connect(runtime, "log") as client:
        for _ in range(3):
            headers = {"apollographql-client-name": "web"}
            body = {"query": FREE}
            assert (await client.post("/graphql", json=body, headers=headers)).json() == KIND
            answer = await client.post("/graphql", json={"documentId": "pushed"})
            assert answer.json() == KIND


def test_modes_are_read_by_role() -> None:
    assert set(parse_modes("off").values()) == {DocumentMode.OFF}
    modes = parse_modes("enforce, EDITOR=log,ADMIN=off")
    assert [modes[role].value for role in ROLES] == ["enforce", "enforce", "log", "log", "off"]
    assert tuple(role.value for role in Role) == ROLES


@pytest.mark.parametrize("setting", ["", "on", "enforce,off", "enforce,NOBODY=off", "OPERATOR=off"])
def test_other_modes_are_refused(setting: str) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, trusted_documents=setting)
