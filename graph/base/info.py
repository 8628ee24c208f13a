"""What a field's function is handed besides its parents: the operation's context."""

from __future__ import annotations

from typing import TypeAlias

import strawberry

from resolvers.context import Context

Info: TypeAlias = strawberry.Info[Context, None]


class PlanInfo:
    """Info under breadth-first execution: `needs` are the record fields that will be read."""

    __slots__ = ("context", "needs")

    def __init__(self, context: Context, needs: frozenset[str]) -> None:
        self.context = context
        self.needs = needs


def requested_fields(info: Info) -> frozenset[str] | None:
    """The record fields the selection below will read; None (graphql-core) means all."""
    return getattr(info, "needs", None)
