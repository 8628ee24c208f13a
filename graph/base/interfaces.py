"""The Node interface, and the signature of look-ups by id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import strawberry

from graph.base.fields import plain
from resolvers.context import Context

FindMany = Callable[[Context, Sequence[str]], Awaitable[Mapping[str, Any]]]


@strawberry.interface(description="An object with a global id that `node` can fetch again.")
class Node:
    id: strawberry.ID = plain(
        "Opaque global id, such as movie_5d1c0b7c2f9a4e6b8d10; accepted by `node`."
    )
