"""Operations run in this process, by the plan or by graphql-core, without HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.engine.documents import Documents
from graph.engine.operations import Answer, Operations, Request
from graph.schema import CONFIG
from resolvers.context import Context

Send = Callable[..., Awaitable[dict[str, Any]]]


def open_operations(
    schema: strawberry.Schema, executor: str, config: StrawberryConfig = CONFIG
) -> Operations:
    """Open this schema's operations on one executor: "plan" or "core"."""
    documents = Documents(schema, config, introspection=True)
    return Operations(documents, by_plan=executor == "plan", deadline_seconds=5)


async def run_operation(
    operations: Operations, context: Context, query: str, variables: Mapping[str, Any]
) -> dict[str, Any]:
    """Run one operation; a refusal is an answer, too."""
    prepared = operations.prepare(Request(query, dict(variables)), context)
    if isinstance(prepared, Answer):
        return prepared.body()
    return (await operations.run(prepared, context)).body()
