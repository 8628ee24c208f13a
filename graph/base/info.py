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


# Markers among the needs of a connection: which bound of the page is asked for.
PREVIOUS_PAGE, NEXT_PAGE = "page:previous", "page:next"


def requested_fields(info: Info) -> frozenset[str] | None:
    """Return the record fields that the selection below reads; None (graphql-core) means all."""
    needs: frozenset[str] | None = getattr(info, "needs", None)
    return None if needs is None else needs - {PREVIOUS_PAGE, NEXT_PAGE}


def looks_behind(info: Info, *, is_backwards: bool = False) -> bool:
    """Whether the selection asks what lies on the far side of the page's cursor."""
    needs: frozenset[str] | None = getattr(info, "needs", None)
    return needs is None or (NEXT_PAGE if is_backwards else PREVIOUS_PAGE) in needs
