"""Running one operation, whichever protocol brought it: plan first, graphql-core for the rest."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import orjson
from graphql import GraphQLError, located_error
from graphql.execution.values import VariableValues

from graph.base.errors import format_errors, format_request_errors, limit_errors
from graph.engine import execution
from graph.engine.admission import Admission
from graph.engine.answers import AnswerKey, Answers, StoredAnswer, digest_variables
from graph.engine.audiences import Audiences
from graph.engine.coercion import coerce_variables
from graph.engine.core_run import run_by_core
from graph.engine.documents import Document, Documents, Operation
from graph.engine.error_behavior import ErrorBehavior
from graph.engine.execution.state import Run
from graph.engine.extensions import build_extensions
from graph.engine.incremental import Delivery, run_in_parts
from graph.engine.live_streams import LiveStream, Source, Subscriber
from models import ApiKeyScope
from resolvers.context import Context
from resolvers.ops import abuse, rate_limits
from services.errors import (
    CodedError,
    CostLimitExceeded,
    ErrorCode,
    Overloaded,
    ValidationFailed,
)
from services.limits.address_prefixes import group_address
from services.limits.operation_gate import OperationGate

_SCOPES = {
    "query": ApiKeyScope.READ,
    "subscription": ApiKeyScope.READ,
    "mutation": ApiKeyScope.PLAYBACK,
}


@dataclass(slots=True)
class Request:
    """A client's request in valid form: a document, its id, or both.

    `answer_key` is set once it was answered from the cache: then nothing of it has to be read.
    """

    query: str | None
    variables: Mapping[str, Any]
    operation_name: str | None = None
    document_id: str | None = None
    include_cache_hits: bool = False  # `extensions: {"cache": true}`; in development only
    include_cost: bool = False  # `extensions: {"cost": true}`
    on_error: ErrorBehavior = ErrorBehavior.PROPAGATE
    answer_key: AnswerKey | None = None


@dataclass(slots=True)
class Answer:
    """A response; `started` says whether execution began, as only then it has `data`."""

    data: dict[str, Any] | None
    errors: list[dict[str, Any]]
    started: bool = True
    stored: StoredAnswer | None = None  # the cached answer of a public query
    extensions: dict[str, Any] | None = None
    cost: int = 1  # points counted where nothing runs: a stored answer or a refusal
    is_hit: bool = False  # `stored` was there before the request
    is_parsed: bool = True  # whether the document could be parsed
    cursor: str | None = None  # of an event, to resume after it
    payload: bytes | None = None  # an event's, encoded once for all who get it

    @property
    def may_wait(self) -> bool:
        """Never: nothing runs."""
        return False

    def charge(self, points: int) -> None:
        """Raise the cost."""
        self.cost += points

    @property
    def is_overload(self) -> bool:
        """Whether the request was refused because the process is too busy."""
        return not self.started and any(
            error["extensions"]["code"] == ErrorCode.OVERLOADED.value for error in self.errors
        )

    def body(self) -> dict[str, Any]:
        """Return the response as the specification orders it, ready for JSON."""
        body: dict[str, Any] = {"errors": limit_errors(self.errors)} if self.errors else {}
        if self.started:
            body["data"] = self.data
        if self.extensions is not None:
            body["extensions"] = self.extensions
        return body

    def encoded(self) -> bytes:
        """Return the response as JSON bytes."""
        if self.stored is not None:
            return self.stored.body
        return orjson.dumps(self.body()) if self.payload is None else self.payload


@dataclass(slots=True)
class Prepared:
    """A request that may run."""

    operation: Operation
    raw: Mapping[str, Any]
    variables: VariableValues
    plan: execution.Plan | None
    answer_key: AnswerKey | None  # key of the answer cache; None if it is not cached
    cost: int  # at most, in points
    surcharge: int = 0  # of that, points for the input's list entries and for a registration
    on_error: ErrorBehavior = ErrorBehavior.PROPAGATE
    errors: ClassVar[tuple[dict[str, Any], ...]] = ()  # of a request that may run

    @property
    def may_wait(self) -> bool:
        """Whether it waits for a place while the process is busy."""
        one = self.operation
        return not (one.is_urgent or one.cost.is_slow or one.kind == "subscription")

    def charge(self, points: int) -> None:
        """Raise the cost, whatever the operation comes to."""
        self.cost, self.surcharge = self.cost + points, self.surcharge + points


class Operations:
    """Runs operations, one per process: the schema's documents and how they are run."""

    def __init__(
        self,
        documents: Documents,
        *,
        by_plan: bool,
        deadline_seconds: float,
        answers: Answers | None = None,
        gate: OperationGate | None = None,
    ) -> None:
        self.documents = documents
        self._answers = answers
        self._by_plan = by_plan
        self._deadline_seconds = deadline_seconds
        self._deadline_timer = execution.DeadlineTimer()
        self.gate = gate
        self._admission: Admission[Request, Prepared | Answer] = Admission(
            documents, gate, prepare=self.prepare, recall=self._recall, refuse=_refusal_of
        )
        self._audiences: Audiences[Answer] = Audiences()

    @property
    def is_overloaded(self) -> bool:
        """Whether the process has more operations than it can run in time."""
        return self.gate is not None and self.gate.is_overloaded

    def may_be_urgent(self, body: bytes) -> bool:
        """Whether a request with this body may be a player's report, by a look at its text."""
        return self.documents.may_be_urgent(body)

    async def admit(self, request: Request, context: Context) -> Prepared | Answer:
        """Prepare the request and count it; returns it, or the answer that refuses it."""
        admitted = self.admit_now(request, context)
        return admitted if isinstance(admitted, (Prepared, Answer)) else await admitted

    def admit_now(
        self, request: Request, context: Context
    ) -> Prepared | Answer | Coroutine[Any, Any, Prepared | Answer]:
        """Admit the request as `admit` does; a coroutine where something has to be waited for."""
        return self._admission.admit(request, context)

    def prepare(self, request: Request, context: Context) -> Prepared | Answer:
        """Return the request ready to run, or the answer that refuses it or was stored before."""
        try:
            parsed = self.documents.counters.parsed
            document: Document = self.documents.find(request.query, request.document_id)
            if self.documents.counters.parsed != parsed:
                abuse.record_new_document(context, document.document_hash)
            if document.errors:
                return refusal(document.errors, context, is_parsed=document.is_parsed)
            operation = document.operation(request.operation_name)
            context.require_scope(_SCOPES[operation.kind])
            raw = operation.declared(request.variables)
            entries = operation.bounds.check(raw)
        except CodedError as error:
            return _refusal_of(error, context)
        if request.include_cache_hits and not context.runtime.settings.is_production:
            context.cache_hits = Counter()
        context.include_cost = request.include_cost
        variables = coerce_variables(self.documents.schema, operation, raw)
        if isinstance(variables, list):
            return refusal(variables, context)
        key = self._answer_key(document, operation, variables, context)
        if key is not None and self._answers is not None:
            stored = self._answers.get(key)
            if stored is not None:
                request.answer_key = (
                    key if request.query is None or not request.document_id else None
                )
                return Answer(None, [], stored=stored, is_hit=True)
        cost = operation.cost.of(variables.coerced) + entries
        if cost > self.documents.limits.cost:
            return _refusal_of(_too_costly(cost, self.documents.limits.cost), context)
        planned = self._by_plan or operation.kind == "subscription"
        plan = self.documents.plan(operation, variables.coerced) if planned else None
        if plan is None and operation.kind == "subscription":
            unfit = ValidationFailed("A condition of this subscription is null.")
            return _refusal_of(unfit, context)
        return Prepared(operation, raw, variables, plan, key, cost, entries, request.on_error)

    def _recall(self, request: Request, context: Context) -> Answer | None:
        """Return the stored answer of a request that had it before and whose document is read."""
        key = request.answer_key
        if key is None or self._answers is None:
            return None
        if not self.documents.touch(request.query, request.document_id):
            return None
        context.require_scope(ApiKeyScope.READ)
        stored = self._answers.recall(key)
        return None if stored is None else Answer(None, [], stored=stored, is_hit=True)

    def _answer_key(
        self,
        document: Document,
        operation: Operation,
        variables: VariableValues,
        context: Context,
    ) -> AnswerKey | None:
        """Build the key of a query's answer: digests of the document and of what it was given."""
        if self._answers is None or operation.kind != "query":
            return None
        if context.cache_hits is not None or context.include_cost:
            return None  # extensions describe this one answer
        return document.document_hash, operation.name, digest_variables(variables.coerced)

    async def run(self, prepared: Prepared, context: Context) -> Answer:
        """Run a query or mutation, or refuse it while the process is too busy.

        Never raises for what the client sent.
        """
        gate = self.gate
        if gate is None or prepared.operation.cost.is_slow:
            return await self._run(prepared, context)
        try:
            if not gate.try_enter(is_urgent=prepared.operation.is_urgent):
                await gate.enter(group_address(context.client_address))
        except Overloaded as error:
            rate_limits.settle(context, 0)
            return _refusal_of(error, context)
        started = time.perf_counter()
        try:
            return await self._run(prepared, context)
        finally:
            gate.leave(time.perf_counter() - started)

    async def deliver(self, prepared: Prepared, context: Context) -> Answer | Delivery:
        """Run an operation with @defer or @stream in parts; its answer where it has but one."""
        ends_at = asyncio.get_running_loop().time() + self._deadline_seconds
        gate = None if prepared.operation.cost.is_slow else self.gate
        schema, operation = self.documents.schema, prepared.operation
        try:
            result = await run_in_parts(schema, operation, prepared.raw, context, gate, ends_at)
        except Overloaded as error:
            rate_limits.settle(context, 0)
            return _refusal_of(error, context)
        return result if isinstance(result, Delivery) else _answer(*result, context)

    async def _run(self, prepared: Prepared, context: Context) -> Answer:
        deadline = execution.Deadline(self._deadline_timer, self._deadline_seconds)
        if prepared.plan is None:
            answer = await self._by_core(prepared, context, deadline)
            answer.extensions = build_extensions(prepared.cost, prepared.cost, context)
            return answer
        changes = self._answers.changes() if self._answers is not None else 0
        outcome = await execution.execute(
            prepared.plan, context, prepared.variables, deadline, prepared.on_error
        )
        cost = outcome.cost + prepared.surcharge
        rate_limits.settle(context, cost)
        answer = _answer(outcome.data, outcome.errors, context)
        self._keep(prepared, answer, context, changes)
        answer.extensions = build_extensions(prepared.cost, cost, context)
        return answer

    def _keep(self, prepared: Prepared, answer: Answer, context: Context, since: int) -> None:
        """Store a public query's answer; whether it can be does not change its headers."""
        plan, key = prepared.plan, prepared.answer_key
        if self._answers is None or plan is None or key is None or answer.errors:
            return
        if plan.freshness is not None and not context.is_degraded:
            body = orjson.dumps(answer.body())
            answer.stored = self._answers.put(key, body, plan.freshness, context, since)

    async def _by_core(
        self, prepared: Prepared, context: Context, deadline: execution.Deadline, event: Any = None
    ) -> Answer:
        data, errors = await run_by_core(
            self.documents.schema,
            prepared.operation,
            prepared.raw,
            context,
            ends_at=deadline.at,
            on_error=prepared.on_error,
            event=event,
        )
        return _answer(data, errors, context)

    def subscribe(
        self, prepared: Prepared, context: Context, resume_after: str | None = None
    ) -> LiveStream[Answer]:
        """Stream an answer per event; one answer without data if the stream cannot be opened.

        `encoded()` of each answer is made once for all equal subscriptions.

        Args:
            resume_after: the cursor that the client had last; the document's is older.
        """
        plan = prepared.plan
        assert plan is not None
        (field,) = plan.root.fields
        run = Run(context, prepared.variables, None)

        def find_source() -> Source:
            run.check_role(field)
            if resume_after is not None:
                run.resume(field, resume_after)
            source: Source = run.call(field, None)
            return source

        subscriber = Subscriber(
            plan,
            prepared.variables.coerced,
            context,
            find_source,
            partial(self._event, prepared),
            lambda error: refusal([located_error(error, field.nodes, [field.key])], context),
            prepared.on_error,
            plan.events.waits or not self._by_plan,
        )
        return LiveStream(subscriber, self._audiences)

    async def _event(self, prepared: Prepared, context: Context, event: Any) -> Answer:
        deadline = execution.Deadline(self._deadline_timer, self._deadline_seconds)
        assert prepared.plan is not None
        if self._by_plan:
            outcome = await execution.execute_event(
                prepared.plan, context, prepared.variables, event, deadline, prepared.on_error
            )
            answer = _answer(outcome.data, outcome.errors, context)
        else:
            answer = await self._by_core(prepared, context, deadline, event)
        answer.cursor = getattr(event, "cursor", None)
        answer.payload = orjson.dumps(answer.body())
        return answer


def refusal(errors: Any, context: Context, *, is_parsed: bool = True) -> Answer:
    """Build an answer without data: the request did not run."""
    formatted = format_request_errors(list(errors), context.request_id)
    return Answer(None, formatted, started=False, is_parsed=is_parsed)


def _refusal_of(error: CodedError, context: Context) -> Answer:
    return refusal([GraphQLError(error.message, original_error=error)], context)


def _answer(data: Any, errors: Any, context: Context) -> Answer:
    return Answer(data, format_errors(errors, context.request_id) if errors else [])


def _too_costly(cost: int, most: int) -> CostLimitExceeded:
    return CostLimitExceeded(f"The operation may cost {cost} points; {most} are allowed.")
