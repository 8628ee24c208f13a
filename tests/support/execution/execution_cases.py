"""What the tests of chosen cases share: records to choose, requests to send, errors to read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graph.engine.documents import Documents
from graph.engine.operations import Operations
from resolvers.context import Runtime
from services.cache.cache import Cache
from tests.support.execution.execution_cases_schema import CONFIG, SCHEMA, ChosenContext
from tests.support.operations import Send, run_operation


def add_records(context: ChosenContext, *records: Any) -> None:
    context.store.update({record.id: record for record in records})


def open_case_context(runtime: Runtime) -> ChosenContext:
    """A context without any cache, so that every read is seen."""
    return ChosenContext(replace(runtime, cache=Cache(runtime.redis, tiers="none")))


def open_case_documents() -> Documents:
    return Documents(SCHEMA, CONFIG, introspection=True)


def build_sender(operations: Operations, context: ChosenContext) -> Send:
    async def send(query: str, **variables: Any) -> dict[str, Any]:
        return await run_operation(operations, context, query, variables)

    return send


def read_error_paths(body: dict[str, Any]) -> set[tuple[str, tuple[Any, ...]]]:
    """(code, path) of every error, none of them twice."""
    errors = [(one["extensions"]["code"], tuple(one["path"])) for one in body.get("errors", ())]
    assert len(set(errors)) == len(errors)
    return set(errors)
