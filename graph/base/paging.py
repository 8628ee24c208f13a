"""Arguments and types that every list shares (Relay's connections, keyset cursors)."""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.base.enums import describe_enum
from graph.base.fields import plain

describe_enum(
    models.CountPrecision,
    "How far a count can be relied on.",
    {
        "EXACT": "It was counted.",
        "ESTIMATED": "About right: it was not counted.",
        "AT_LEAST": "It was counted up to this number, and there is more.",
    },
)

First = Annotated[int | None, strawberry.argument(description="How many at most: 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="Only what comes after this cursor.")]
Last = Annotated[
    int | None, strawberry.argument(description="How many at most, counted from the end: 1 to 100.")
]
Before = Annotated[
    str | None, strawberry.argument(description="Only what comes before this cursor.")
]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = plain("More comes after this page.")
    has_previous_page: bool = plain("More comes before this page.")
    start_cursor: str | None = plain("The cursor of the page's first item.")
    end_cursor: str | None = plain("The cursor of the page's last item.")


@strawberry.type(description="How many there are.")
class Count:
    value: int = plain("The number.")
    precision: models.CountPrecision = plain("How far it can be relied on.")
