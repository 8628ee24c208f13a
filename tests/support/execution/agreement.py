"""Runs one operation by plan and by graphql-core and says where their answers differ.

`data` must be the same text, so the order of keys and the kinds of numbers count. Errors must be
the same set of (code, path), but for what section 6.4.4 of the specification leaves open.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import DirectiveNode, DocumentNode, GraphQLError, NameNode, OperationDefinitionNode
from graphql import execute as execute_by_core

from graph.base.errors import format_errors
from graph.engine.documents import Documents
from graph.engine.execution.failures import ErrorBubbler, _NullBubble
from graph.engine.execution.plan import GroupPlan, Plan
from graph.engine.execution.run import _run_root
from graph.engine.execution.state import Run
from graph.engine.operations import Answer, Operations, Request
from resolvers.context import Context

Failures = frozenset[tuple[str, tuple[str | int, ...]]]  # (code, path)
NewContext = Callable[[], Context]


class Disagreement(AssertionError):
    """The executors answered differently; the message has the operation and both answers."""


@dataclass(slots=True)
class Compared:
    """`differing_errors` counts the answers for which the freedom of 6.4.4 was used."""

    answers: int = 0
    planned: int = 0
    refused: int = 0
    with_errors: int = 0
    differing_errors: int = 0
    fields: int = 0


class Executors:
    """Both executors over one registry of documents."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self.plan = Operations(documents, by_plan=True, deadline_seconds=60)
        self.core = Operations(documents, by_plan=False, deadline_seconds=60)
        self.compared = Compared()

    async def agree(self, request: Request, new_context: NewContext) -> Answer:
        """The answer both give. `new_context` makes one context per run, all of equal caches.

        Raises:
            Disagreement: they do not agree.
        """
        planned, seen = await self._run(self.plan, request, new_context())
        answered, seen_by_core = await self._run(self.core, request, new_context())
        self._count(planned)
        try:
            self._same_data(planned, answered)
            whole = not planned.errors  # beside an error, a sibling may be given up or not
            assert _done(seen, whole) == _done(seen_by_core, whole), "side effects"
            plan_failures, core_failures = (
                read_failures(planned.errors),
                read_failures(answered.errors),
            )
            assert not planned.started or len(plan_failures) == len(planned.errors), (
                "an error told twice"
            )
            if plan_failures != core_failures:
                self.compared.differing_errors += 1
                await self._same_failures(
                    request, new_context, planned, plan_failures, core_failures
                )
        except AssertionError as error:
            raise Disagreement(_report(request, planned, answered, error)) from error
        return planned

    async def agree_on_events(self, request: Request, new_context: NewContext) -> None:
        """As `agree`, for every event of a subscription.

        Raises:
            Disagreement: they do not agree.
        """
        planned = await _events(self.plan, request, new_context())
        answered = await _events(self.core, request, new_context())
        self.compared.planned += len(planned) > 0 and planned[0].started
        try:
            assert len(planned) == len(answered), "how many events"
            for one, other in zip(planned, answered, strict=True):
                self._count(one)
                self._same_data(one, other)
                plan_failures, core_failures = (
                    read_failures(one.errors),
                    read_failures(other.errors),
                )
                if one.started and plan_failures != core_failures:
                    self.compared.differing_errors += 1
                    _same_nulled(one, plan_failures, core_failures)
        except AssertionError as error:
            empty = Answer(None, [], started=False)
            first, second = (planned or [empty])[-1], (answered or [empty])[-1]
            raise Disagreement(_report(request, first, second, error)) from error

    async def _run(
        self, operations: Operations, request: Request, context: Context
    ) -> tuple[Answer, Context]:
        prepared = operations.prepare(request, context)
        if isinstance(prepared, Answer):
            return prepared, context
        self.compared.planned += prepared.plan is not None
        return await operations.run(prepared, context), context

    def _count(self, answer: Answer) -> None:
        self.compared.answers += 1
        self.compared.refused += not answer.started
        self.compared.with_errors += answer.started and bool(answer.errors)

    def _same_data(self, one: Answer, other: Answer) -> None:
        assert one.started == other.started, "only one was refused"
        text = json.dumps(one.data)
        assert text == json.dumps(other.data), "data"
        self.compared.fields += text.count('":')

    async def _same_failures(
        self,
        request: Request,
        new_context: NewContext,
        answer: Answer,
        plan_failures: Failures,
        core_failures: Failures,
    ) -> None:
        """Of several errors that null one position only one is told, and which is left open; so is
        whether errors below a nulled position are told (section 6.4.4). What must hold instead:
        both null the same positions for an error, each error told is one of all failures, and all
        failures, those never told included, are the same.
        """
        assert answer.started, "refusals"
        _same_nulled(answer, plan_failures, core_failures)
        ours = await self._all_by_plan(request, new_context())
        if ours is None:
            return  # both were run by graphql-core, which does not always tell the same one
        theirs = await self._all_by_core(request, new_context())
        assert plan_failures <= ours, f"told, but no failure: {plan_failures - ours}"
        assert core_failures <= theirs, f"told by core, but no failure: {core_failures - theirs}"
        assert ours == theirs, f"failures: {ours ^ theirs}"

    async def _all_by_plan(self, request: Request, context: Context) -> Failures | None:
        """Every failure of a run, those below nulled positions too; None without a plan."""
        prepared = self.plan.prepare(request, context)
        assert not isinstance(prepared, Answer), "one was refused"
        if prepared.plan is None:
            return None
        errors: list[GraphQLError] = []
        for root in _roots(prepared.plan):
            run = Run(context, prepared.variables, None)
            data = await _run_root(run, root)
            groups = {id(out): batch.group for batch in run.batches for out in batch.outs}
            finisher = _EveryFailure(groups)
            finisher.root(root, data)
            errors += finisher.errors
        return read_failures(format_errors(errors, "-"))

    async def _all_by_core(self, request: Request, context: Context) -> Failures:
        """The same of graphql-core, which has a directive for it: nothing is nulled but the
        position of the failure itself."""
        document = self.documents.get(request.query).operation(request.operation_name).document
        result: Any = execute_by_core(
            self.documents.schema,
            _without_propagation(document),
            context_value=context,
            variable_values=dict(request.variables),
            operation_name=request.operation_name,
        )
        errors = (result if hasattr(result, "errors") else await result).errors
        return read_failures(format_errors(errors or (), "-"))


async def _events(operations: Operations, request: Request, context: Context) -> list[Answer]:
    prepared = operations.prepare(request, context)
    if isinstance(prepared, Answer):
        return [prepared]
    return [answer async for answer in operations.subscribe(prepared, context)]


def _same_nulled(answer: Answer, plan_failures: Failures, core_failures: Failures) -> None:
    nulled = {_nulled(answer.data, path) for _, path in plan_failures}
    nulled_by_core = {_nulled(answer.data, path) for _, path in core_failures}
    assert nulled == nulled_by_core, f"nulled positions: {nulled ^ nulled_by_core}"


def _roots(plan: Plan) -> Sequence[GroupPlan]:
    return plan.steps if plan.kind == "mutation" else [plan.root]


class _EveryFailure(ErrorBubbler):
    """Walks on past a null that its position does not allow."""

    def _object(self, group: GroupPlan, data: dict[str, Any], path: list[str | int]) -> Any:
        return self._all(
            (field, field.type, data[field.key], [*path, field.key])
            for field in group.fields
            if field.key in data
        )

    def _value(self, field: Any, type_: Any, value: Any, path: list[str | int]) -> Any:
        if isinstance(value, list) and field.list_depth and hasattr(type_, "of_type"):
            return self._all(
                (field, type_.of_type, item, [*path, index]) for index, item in enumerate(value)
            )
        return super()._value(field, type_, value, path)

    def _all(self, positions: Iterable[tuple[Any, Any, Any, list[str | int]]]) -> None:
        bubbles = False
        for position in positions:
            try:
                self._position(*position)
            except _NullBubble:
                bubbles = True
        if bubbles:
            raise _NullBubble


def _without_propagation(document: DocumentNode) -> DocumentNode:
    directive = DirectiveNode(
        name=NameNode(value="experimental_disableErrorPropagation"), arguments=()
    )
    definitions = []
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            fields = {key: getattr(node, key) for key in node.keys}
            node = OperationDefinitionNode(**{**fields, "directives": (directive,)})
        definitions.append(node)
    return DocumentNode(definitions=tuple(definitions))


def read_failures(errors: Iterable[Mapping[str, Any]]) -> Failures:
    return frozenset(
        (error["extensions"]["code"], tuple(error.get("path") or ())) for error in errors
    )


def _nulled(data: Any, path: Sequence[str | int]) -> tuple[str | int, ...]:
    """The position of the null that an error of this path led to."""
    for depth, key in enumerate(path):
        if data is None:
            return tuple(path[:depth])
        data = data[key]
    assert data is None, f"an error at {list(path)}, where there is a value"
    return tuple(path)


def _done(context: Context, whole: bool) -> list[str]:
    """What a sample mutation did, in order; `whole`: and what the fields below it did."""
    done: list[str] = getattr(context, "done", [])
    return [one for one in done if whole or one.startswith(("begin", "end"))]


def _report(request: Request, planned: Answer, answered: Answer, error: AssertionError) -> str:
    where = (str(error) or "one was refused").splitlines()[0]
    return "\n".join(
        (
            f"The executors disagree: {where}",
            request.query,
            f"variables: {json.dumps(dict(request.variables))}",
            f"by plan: {json.dumps(planned.body())[:3000]}",
            f"by core: {json.dumps(answered.body())[:3000]}",
        )
    )
