"""What many types have in common, and the tables that find a type by its id's kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import strawberry

from graph.base.fields import plain
from resolvers.context import Context

FindMany = Callable[[Context, Sequence[str]], Awaitable[Mapping[str, Any]]]


@strawberry.interface(description="Anything that can be asked for again by its id.")
class Node:
    id: strawberry.ID = plain("Identifies the thing everywhere in this API.")
