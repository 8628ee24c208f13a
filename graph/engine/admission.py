"""Admitting requests: who may run which document, and at what cost. First what costs least.

Misuse and used-up limits are refused before a document is looked for. A document that this process
does not know is looked for in the stores; one that nobody sent before is read while others wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, Protocol, TypeVar

from graph.engine.documents import Documents
from graph.engine.persisted.access import REGISTRATION_POINTS, DocumentAccess
from resolvers.context import Context
from resolvers.ops import abuse, rate_limits
from services.errors import (
    CodedError,
    Forbidden,
    Overloaded,
    PersistedQueryNotFound,
    PersistedQueryRequired,
    RateLimited,
    UpstreamUnavailable,
)
from services.limits.address_prefixes import group_address
from services.limits.fair_queue import Turns
from services.limits.operation_gate import OperationGate

_REFUSALS = (RateLimited, Forbidden, PersistedQueryRequired, Overloaded)
_OF_DOCUMENTS = (PersistedQueryNotFound, PersistedQueryRequired, UpstreamUnavailable)


class DocumentRequest(Protocol):
    """A request: a document's text, its id, or both."""

    query: str | None
    document_id: str | None


class Admissible(Protocol):
    """A prepared request, or the answer to one that needs no running."""

    @property
    def cost(self) -> int:
        """Points at most."""

    @property
    def errors(self) -> Sequence[dict[str, Any]]:
        """Why it is refused; empty if it is not."""

    @property
    def may_wait(self) -> bool:
        """Whether it waits for a place while the process is busy."""

    def charge(self, points: int) -> None:
        """Raise the cost, whatever the operation comes to."""


Q = TypeVar("Q", bound=DocumentRequest)
T = TypeVar("T", bound=Admissible)


class Admission(Generic[Q, T]):
    """One per process.

    Args:
        recall: gives the stored answer of a request that had it before.
        refuse: builds the answer that refuses a request.
    """

    def __init__(
        self,
        documents: Documents,
        gate: OperationGate | None,
        *,
        prepare: Callable[[Q, Context], T],
        recall: Callable[[Q, Context], T | None],
        refuse: Callable[[CodedError, Context], T],
    ) -> None:
        self._documents = documents
        self._access = DocumentAccess(documents.ids)
        self._gate = gate
        self._prepare = prepare
        self._recall = recall
        self._refuse = refuse
        self._reading = Turns()

    def admit(self, request: Q, context: Context) -> T | Coroutine[Any, Any, T]:
        """Prepare a request and count it; a coroutine where something has to be waited for."""
        text = self._access.find_text(request.query, request.document_id, context)
        try:
            abuse.enforce_abuse_level(context, text, self._documents.ids.has_text)
            rate_limits.refuse_exhausted(context)
        except _REFUSALS as error:
            return _note_refusal(self._refuse(error, context), context)
        document_id = request.document_id
        if document_id is not None and self._is_unknown(request.query, text, document_id):
            return self._admit_unknown(request, document_id, context)
        return self._admit_known(request, text, context)

    async def _admit_unknown(self, request: Q, document_id: str, context: Context) -> T:
        """Ask the stores for the document of an id first."""
        try:
            known = await self._access.look_up(document_id, context)
        except _OF_DOCUMENTS as error:
            return await self._count(self._refuse(error, context), context)
        text = known if request.query is None else request.query
        admitted = self._admit_known(request, text, context)
        return await admitted if asyncio.iscoroutine(admitted) else admitted

    def _is_unknown(self, sent: str | None, text: str | None, document_id: str) -> bool:
        """Whether stores may have a document of this id, which this process does not know."""
        return text is None if sent is None else self._access.may_be_pushed(document_id)

    def _admit_known(
        self, request: Q, text: str | None, context: Context
    ) -> T | Coroutine[Any, Any, T]:
        try:
            outcome = self._refuse_document(request, text, context)
            if outcome is None:
                if self._has_to_wait(request, text):
                    return self._admit_unread(request, context)
                outcome = self._recall(request, context) or self._prepare(request, context)
            if not rate_limits.admit_now(context, outcome.cost):
                return self._count(outcome, context)
        except _REFUSALS as error:
            outcome = self._refuse(error, context)
        return _note_refusal(outcome, context)

    def _refuse_document(self, request: Q, text: str | None, context: Context) -> T | None:
        try:
            self._access.enforce(text, request.document_id, context)
        except _OF_DOCUMENTS as error:
            return self._refuse(error, context)
        return None

    def _has_to_wait(self, request: Q, text: str | None) -> bool:
        """Whether the document has to be read, or to be registered."""
        if text is not None and not self._documents.is_read(text):
            return True
        sent, document_id = request.query, request.document_id
        if sent is None or document_id is None:
            return False
        return self._access.is_registration(sent, document_id)

    async def _admit_unread(self, request: Q, context: Context) -> T:
        """Read a document, which takes a while: addresses take turns. Register it if it is new."""
        try:
            async with self._reading.take(group_address(context.client_address)):
                outcome = self._prepare(request, context)
            text, document_id = request.query, request.document_id
            if outcome.errors or not self._access.is_registration(text, document_id):
                return await self._count(outcome, context)
            abuse.refuse_registration(context)
        except _REFUSALS as error:
            return _note_refusal(self._refuse(error, context), context)
        outcome.charge(REGISTRATION_POINTS)
        admitted = await self._count(outcome, context)
        if not admitted.errors:
            await self._access.register(text or "", document_id or "", context)
        return admitted

    async def _count(self, outcome: T, context: Context) -> T:
        try:
            if self._gate is not None and outcome.may_wait:
                self._gate.check(group_address(context.client_address))
            if not rate_limits.admit_now(context, outcome.cost):
                await rate_limits.admit(context, outcome.cost)
        except _REFUSALS as error:
            outcome = self._refuse(error, context)
        return _note_refusal(outcome, context)


def _note_refusal(outcome: T, context: Context) -> T:
    """Report a request that is refused to the abuse watch."""
    if outcome.errors:
        abuse.record_refusal(context, outcome.errors)
    return outcome
