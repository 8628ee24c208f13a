"""The second argument of a field's function: the operation's context and requested fields."""

from __future__ import annotations

from typing import TypeAlias

import strawberry

from resolvers.context import Context

Info: TypeAlias = strawberry.Info[Context, None]


class PlanInfo:
    """Info under breadth-first execution; `needs` are the record fields to read."""

    __slots__ = ("context", "needs")

    def __init__(self, context: Context, needs: frozenset[str]) -> None:
        self.context = context
        self.needs = needs


def requested_fields(info: Info) -> frozenset[str] | None:
    """Return the record fields that the selection below reads; None (graphql-core) means all."""
    return getattr(info, "needs", None)
