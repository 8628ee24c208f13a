"""Several operations in one POST, as a JSON array: each is its own request but for the transport.

They run at once, or one after another where a mutation is among them. Each is counted and answered
as if it had come alone; the answer's status is 200 whatever became of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson
from starlette.types import Scope

from graph.engine.exclusive_fields import exclusive_names
from graph.engine.operations import Answer, Operations, Prepared, Request
from resolvers.context import Context
from resolvers.ops import rate_limits
from server.graphql.replies import Refused
from services.limits.rate_limit import Admission

_ARRAY = re.compile(rb"[ \t\r\n]*\[")
Part = Prepared | Answer | Refused
Run = Callable[[Prepared | Answer, Context], Awaitable[Answer]]


class Batches:
    """Runs batches of at most `most` operations; of none where that is 0."""

    def __init__(self, operations: Operations, most: int) -> None:
        self.most = most
        self._operations = operations
        self._exclusive = frozenset(exclusive_names(operations.documents.schema.mutation_type))

    def is_batch(self, scope: Scope, body: bytes) -> bool:
        """Whether this is a batch, and batches are taken."""
        is_taken = self.most > 0 and scope["method"] == "POST"
        return is_taken and _ARRAY.match(body) is not None

    async def run(
        self, requests: Sequence[Request | Refused], contexts: Sequence[Context], run: Run
    ) -> list[Answer | Refused]:
        """Run the operations and return their answers, in order.

        Raises:
            Refused: 400, for more than one operation that signs in or the like.
        """
        parts: list[Part] = []
        for request, context in zip(requests, contexts, strict=True):
            if parts:  # the first was counted with the HTTP request
                watch = context.runtime.ops.abuse_watch
                watch.record_request(context.client_address, context.viewer_id)
            if isinstance(request, Refused):
                parts.append(request)
            else:
                parts.append(await self._operations.admit(request, context))
        self._reject_guessing(parts, contexts)
        if any(_is_mutation(part) for part in parts):
            return [
                await _answer(part, context, run)
                for part, context in zip(parts, contexts, strict=True)
            ]
        pairs = zip(parts, contexts, strict=True)
        return await asyncio.gather(*(_answer(part, context, run) for part, context in pairs))

    def _reject_guessing(self, parts: Sequence[Part], contexts: Sequence[Context]) -> None:
        """Allow one operation that takes a password or a code, as a document does."""
        if sum(self._is_exclusive(part) for part in parts) > 1:
            for context in contexts:
                rate_limits.settle(context, 0)
            names = ", ".join(sorted(self._exclusive))
            raise Refused.malformed(f"A batch holds at most one operation with any of {names}.")

    def _is_exclusive(self, part: Part) -> bool:
        if not isinstance(part, Prepared) or not _is_mutation(part):
            return False
        selections: Iterable[Any] = part.operation.node.selection_set.selections
        return any(one.kind != "field" or one.name.value in self._exclusive for one in selections)


def encode_batch(answers: Sequence[Answer | Refused]) -> bytes:
    """Encode the answers as a JSON array."""
    bodies = [one.body() if isinstance(one, Refused) else one.encoded() for one in answers]
    return orjson.dumps([orjson.Fragment(body) for body in bodies])


def find_scarcest(contexts: Sequence[Context]) -> Admission | None:
    """Find the admission that leaves the fewest requests."""
    admissions = [one.admission for one in contexts if one.admission is not None]
    return min(admissions, key=lambda one: one.remaining_requests, default=None)


def _is_mutation(part: Part) -> bool:
    return isinstance(part, Prepared) and part.operation.kind == "mutation"


async def _answer(part: Part, context: Context, run: Run) -> Answer | Refused:
    if isinstance(part, Refused):
        return part
    try:
        return await run(part, context)
    except Refused as refused:
        return refused
