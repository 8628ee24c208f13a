"""What the tests of chosen cases share: records to choose, requests to send, errors to read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from graph.engine.operations import Answer, Operations, Request
from tests.support.execution.execution_cases_schema import ChosenContext

Send = Callable[..., Awaitable[dict[str, Any]]]


def add_records(context: ChosenContext, *records: Any) -> None:
    context.store.update({record.id: record for record in records})


def build_sender(operations: Operations, context: ChosenContext) -> Send:
    async def send(query: str, **variables: Any) -> dict[str, Any]:
        prepared = operations.prepare(Request(query, variables), context)
        answer = (
            prepared if isinstance(prepared, Answer) else await operations.run(prepared, context)
        )
        return answer.body()

    return send


def read_error_paths(body: dict[str, Any]) -> set[tuple[str, tuple[Any, ...]]]:
    """(code, path) of every error, none of them twice."""
    errors = [(one["extensions"]["code"], tuple(one["path"])) for one in body.get("errors", ())]
    assert len(set(errors)) == len(errors)
    return set(errors)
