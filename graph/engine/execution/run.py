"""Running a plan: level by level, one call per loader and level, equal children shared.

A level waits for all of its relations before the next begins, so siblings' timing never splits a
batch. Nothing of graphql-core is called on the way unless a value is not plainly right.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from graphql import GraphQLError

from graph.base.fields import FieldKind
from graph.engine.error_behavior import ErrorBehavior
from graph.engine.execution.completion import complete, complete_one, complete_pending
from graph.engine.execution.deadline import Deadline
from graph.engine.execution.failures import ErrorBubbler
from graph.engine.execution.gather import Pending, call_one, gather_level
from graph.engine.execution.plan import FieldPlan, GroupPlan, Plan
from graph.engine.execution.state import Batch, Run
from resolvers.context import Context


class Outcome(NamedTuple):
    data: dict[str, Any] | None
    errors: Sequence[GraphQLError]
    cost: int  # what it came to, in points


async def execute(
    plan: Plan,
    context: Context,
    variables: Any,
    deadline: Deadline | None = None,
    on_error: ErrorBehavior = ErrorBehavior.PROPAGATE,
) -> Outcome:
    """Run a query or mutation and return data, errors and cost.

    Past the deadline the missing fields fail with OperationTimeout and the others are answered.
    """
    if plan.kind == "mutation":
        return await _execute_serially(plan, context, variables, deadline, on_error)
    run = Run(context, variables, deadline)
    data = await _run_root(run, plan.root)
    return _finish(run, plan.root, data, on_error)


async def execute_event(
    plan: Plan,
    context: Context,
    variables: Any,
    event: Any,
    deadline: Deadline | None = None,
    on_error: ErrorBehavior = ErrorBehavior.PROPAGATE,
) -> Outcome:
    """Run one event of a subscription, whose root field's value is the event."""
    run = Run(context, variables, deadline)
    (field,) = plan.root.fields
    data: dict[str, Any] = {field.key: None}
    run.batches.append(Batch(plan.root, [None], [data]))
    await _run_levels(run, complete(run, field, [event], [data]))
    return _finish(run, plan.root, data, on_error)


async def _execute_serially(
    plan: Plan,
    context: Context,
    variables: Any,
    deadline: Deadline | None,
    on_error: ErrorBehavior,
) -> Outcome:
    """Run mutations in order, each with its whole selection before the next begins."""
    if len(plan.steps) == 1:
        (step,) = plan.steps
        run = Run(context, variables, deadline)
        return _finish(run, step, await _run_root(run, step), on_error)
    data: dict[str, Any] = {}
    errors: list[GraphQLError] = []
    cost = 0
    for step in plan.steps:
        run = Run(context, variables, deadline)
        part, step_errors, points = _finish(run, step, await _run_root(run, step), on_error)
        errors.extend(step_errors)
        cost += points
        if part is None:
            return Outcome(None, errors, cost)
        data.update(part)
    return Outcome(data, errors, cost)


async def _run_root(run: Run, root: GroupPlan) -> dict[str, Any]:
    (data,) = root.build([None], run)
    batch = Batch(root, [None], [data])
    run.batches.append(batch)
    if len(root.relations) == 1 and root.relations[0].spec.kind is FieldKind.RESOLVER:
        (field,) = root.relations
        below = complete_one(run, field, await call_one(run, field, None), data)
        if below:
            await _run_levels(run, below)
    else:
        await _run_levels(run, [batch])
    return data


async def _run_levels(run: Run, level: list[Batch]) -> None:
    while level:
        level = await _run_level(run, level)


async def _run_level(run: Run, level: list[Batch]) -> list[Batch]:
    """Fill in the relations of these parents; return the children that have relations."""
    pending: list[Pending] = []
    below: list[Batch] = []
    for group, rows, outs in level:
        for field in group.relations:
            if field.waits:
                pending.append(Pending(field, rows, outs))
            else:
                below += complete(run, field, _values(run, field, rows), outs)
    if pending:
        await gather_level(run, pending)
        for entry in pending:
            below += complete_pending(run, entry)
    return below


def _values(run: Run, field: FieldPlan, rows: Sequence[Any]) -> list[Any]:
    """Return the attribute or computed value per parent, or the exception it raised."""
    if field.spec.requires is None:
        with suppress(Exception):  # of one parent: the others have values
            if field.spec.kind is FieldKind.PLAIN:
                return [getattr(row, field.attribute) for row in rows]
            return run.call_each(field, rows)
    return [_value(run, field, row) for row in rows]


def _value(run: Run, field: FieldPlan, row: Any) -> Any:
    try:
        return run.value(field, row)
    except Exception as error:
        return error


def _finish(run: Run, root: GroupPlan, data: dict[str, Any], on_error: ErrorBehavior) -> Outcome:
    if not run.failed:
        return Outcome(data, (), run.cost())
    groups = {id(out): batch.group for batch in run.batches for out in batch.outs}
    bubbler = ErrorBubbler(groups, on_error)
    shown = bubbler.root(root, data)
    if on_error is ErrorBehavior.HALT and bubbler.errors:
        return Outcome(None, bubbler.errors[:1], run.cost())
    return Outcome(shown, bubbler.errors, run.cost())
