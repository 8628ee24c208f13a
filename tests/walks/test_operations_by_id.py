"""What a web client sends gets the same answers by an id as by its text."""

from __future__ import annotations

import re
from typing import Any

import pytest

from resolvers.context import Runtime
from tests.support import library
from tests.support.api_client import build_silent_app, connect_app, token_for
from tests.support.documents import by_hash, push, sha256_of
from tests.support.operation_files import Operation, operations


@pytest.fixture(scope="module")
async def catalogue(_runtime: Runtime) -> None:
    await library.fill(_runtime, movies=200, people=30)


# What tells the time, counts itself, or says which cache had it.
_MOVING = {"latencyMs", "resetAt", "remaining", "uptimeSeconds", "at", "checkedAt", "origin"}


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
async def test_what_the_web_client_sends_runs_by_id_as_by_text(
    operation: Operation, catalogue: None, _runtime: Runtime
) -> None:
    # given the operation pushed under a name and under its hash
    texts = {operation.name.replace("_", "-"): operation.query}
    texts[sha256_of(operation.query)] = operation.query
    await push(_runtime, texts)
    role = operation.role
    headers = {"authorization": f"Bearer {token_for(_runtime, role)}"} if role else {}
    answers = []
    async with connect_app(build_silent_app(_runtime), headers) as client:
        # when it is sent by its text, by both ids, and again
        for named in (
            {"query": operation.query},
            *({"documentId": id_} for id_ in texts),
            by_hash(operation.query),
        ):
            body = {**named, "variables": operation.variables}
            answers.append((await client.post("/graphql", json=body)).json())
    # then all answers are the same; of a mutation, which changes something, their form is
    is_mutation = re.search(r"^mutation\b", operation.query, re.MULTILINE) is not None
    first, *others = (shape(answer) if is_mutation else still(answer) for answer in answers)
    assert "data" in answers[0]
    assert others == [first] * 3


def still(answer: Any) -> Any:
    """The answer without what moves by itself."""
    if isinstance(answer, dict):
        return {name: still(part) for name, part in answer.items() if name not in _MOVING}
    return [still(part) for part in answer] if isinstance(answer, list) else answer


def shape(answer: Any) -> Any:
    """The names of an answer's fields, at the top of each payload."""
    payloads = (answer.get("data") or {}).items()
    return {name: sorted(payload) if payload else None for name, payload in payloads}
