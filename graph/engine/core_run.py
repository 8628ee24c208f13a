"""Running an operation by graphql-core, within its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLSchema
from graphql.execution import experimental_execute_incrementally as execute_by_core

from graph.engine.documents import Operation
from graph.engine.error_behavior import CORE_EXECUTORS, ErrorBehavior
from resolvers.context import Context
from services.errors import OperationTimeout


async def run_by_core(
    schema: GraphQLSchema,
    operation: Operation,
    variables: Mapping[str, Any],
    context: Context,
    *,
    ends_at: float,
    on_error: ErrorBehavior,
    event: Any = None,
) -> tuple[dict[str, Any] | None, Sequence[GraphQLError]]:
    """Run an operation, or one event of a subscription.

    Args:
        variables: as the client sent them.
        ends_at: the deadline in the loop's seconds.
        event: the root value.

    Returns:
        Data and errors.
    """
    try:
        async with asyncio.timeout_at(ends_at):
            result: Any = execute_by_core(
                schema,
                operation.document,
                root_value=event,
                context_value=context,
                variable_values=dict(variables),
                operation_name=operation.name,
                executor_class=CORE_EXECUTORS[on_error],
            )
            if not isinstance(result, ExecutionResult):
                result = await result
    except TimeoutError:
        late = OperationTimeout("The operation's deadline passed.")
        return None, [GraphQLError(late.message, original_error=late)]
    return result.data, result.errors or ()
