"""Incremental delivery: @defer and @stream, by graphql-core, for clients that take parts.

For all others the directives are taken out of the document, as the specification allows. What is
deferred is made as fast as it can be, however fast the client reads, within the one deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
)
from graphql.execution import (
    ExperimentalIncrementalExecutionResults,
    experimental_execute_incrementally,
)

from graph.base.errors import format_errors, limit_errors
from graph.engine.documents import Operation
from resolvers.context import Context
from services.errors import OperationTimeout
from services.limits.address_prefixes import group_address
from services.limits.operation_gate import OperationGate

Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer in parts: the first, and the others, which have to be iterated or closed."""

    first: Part
    others: AsyncGenerator[Part, None]


async def run_in_parts(
    schema: GraphQLSchema,
    operation: Operation,
    variables: Mapping[str, Any],
    context: Context,
    gate: OperationGate | None,
    ends_at: float,
) -> Delivery | tuple[dict[str, Any] | None, Sequence[GraphQLError]]:
    """Execute an operation up to its first part.

    Args:
        variables: as the client sent them.
        ends_at: the deadline in the loop's seconds.

    Returns:
        The parts; data and errors, where nothing is deferred.

    Raises:
        Overloaded: the process is too busy.
    """
    assert operation.incremental is not None
    try:
        async with asyncio.timeout_at(ends_at), _enter(gate, context):
            result: Any = experimental_execute_incrementally(
                schema,
                operation.incremental,
                context_value=context,
                variable_values=dict(variables),
                operation_name=operation.name,
            )
            if not isinstance(result, ExecutionResult | ExperimentalIncrementalExecutionResults):
                result = await result
    except TimeoutError:
        return None, [_late()]
    if isinstance(result, ExecutionResult):
        return result.data, result.errors or ()
    first = result.initial_result
    parts = _Parts(result.subsequent_results, context, {one.id for one in first.pending})
    return Delivery(parts.format_first(first), parts.run(gate, ends_at))


@asynccontextmanager
async def _enter(gate: OperationGate | None, context: Context) -> AsyncGenerator[None, None]:
    """Take a place among the operations that run."""
    if gate is None:
        yield
        return
    if not gate.try_enter():
        await gate.enter(group_address(context.client_address))
    started = time.perf_counter()
    try:
        yield
    finally:
        gate.leave(time.perf_counter() - started)


def _late() -> GraphQLError:
    late = OperationTimeout("The operation's deadline passed.")
    return GraphQLError(late.message, original_error=late)


class _Parts:
    """The parts behind the first."""

    def __init__(self, results: Any, context: Context, pending: set[str]) -> None:
        self._results = results
        self._context = context
        self._pending = pending
        self._queue: asyncio.Queue[Part | None] = asyncio.Queue()

    def format_first(self, result: Any) -> Part:
        """Format the first part."""
        part = {**self._errors(result.errors), "data": result.data}
        part["pending"] = [one.formatted for one in result.pending]
        return {**part, "hasNext": result.has_next}

    async def run(self, gate: OperationGate | None, ends_at: float) -> AsyncGenerator[Part, None]:
        """Yield the parts; what failed, or came too late, is completed with an error."""
        producer = asyncio.create_task(self._produce(gate, ends_at))
        try:
            while (part := await self._queue.get()) is not None:
                yield part
        finally:
            producer.cancel()
            await asyncio.wait([producer])

    async def _produce(self, gate: OperationGate | None, ends_at: float) -> None:
        try:
            async with asyncio.timeout_at(ends_at), _enter(gate, self._context):
                async for result in self._results:
                    self._queue.put_nowait(self._format(result))
        except TimeoutError:
            self._fail(_late())
        except Exception as error:
            self._fail(GraphQLError(str(error), original_error=error))
        finally:
            await self._results.aclose()
            self._queue.put_nowait(None)

    def _fail(self, error: GraphQLError) -> None:
        """Complete all that is pending with an error."""
        errors = self._errors([error])
        completed = [{"id": id_, **errors} for id_ in sorted(self._pending)]
        self._queue.put_nowait({"completed": completed, "hasNext": False})

    def _format(self, result: Any) -> Part:
        part: Part = {}
        if result.pending:
            part["pending"] = [one.formatted for one in result.pending]
            self._pending |= {one.id for one in result.pending}
        if result.incremental:
            part["incremental"] = [self._format_result(one) for one in result.incremental]
        if result.completed:
            part["completed"] = [
                {"id": one.id, **self._errors(one.errors)} for one in result.completed
            ]
            self._pending -= {one.id for one in result.completed}
        part["hasNext"] = result.has_next
        return part

    def _format_result(self, result: Any) -> Part:
        part: Part = {"id": result.id, **self._errors(result.errors)}
        if result.sub_path is not None:
            part["subPath"] = result.sub_path
        for name in ("data", "items"):
            if hasattr(result, name):
                part[name] = getattr(result, name)
        return part

    def _errors(self, errors: Sequence[GraphQLError] | None) -> Part:
        if not errors:
            return {}
        return {"errors": limit_errors(format_errors(errors, self._context.request_id))}
