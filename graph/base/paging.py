"""Arguments and types that every list shares (Relay's connections, keyset cursors)."""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.base.bounds import bound, bound_number
from graph.base.enums import describe_enum
from graph.base.fields import plain
from graph.base.info import NEXT_PAGE, PREVIOUS_PAGE
from resolvers.paging import MAX_PAGE_SIZE, PAGE_SIZE

describe_enum(
    models.CountPrecision,
    "Precision of a count.",
    {
        "EXACT": "The exact number.",
        "ESTIMATED": "An estimate from statistics; nothing was counted.",
        "AT_LEAST": "A lower bound: counting stopped at this number.",
    },
)

MAX_CURSOR_CHARACTERS = 4_096  # of the longest sort title, encoded

First = Annotated[
    int | None,
    strawberry.argument(
        description="Maximum number of items, from the start: 1 to 100.",
        directives=bound_number(1, MAX_PAGE_SIZE),
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(
        description="Return items after this cursor; null starts at the beginning.",
        directives=bound(characters=MAX_CURSOR_CHARACTERS),
    ),
]
Last = Annotated[
    int | None,
    strawberry.argument(
        description="Maximum number of items, from the end: 1 to 100.",
        directives=bound_number(1, MAX_PAGE_SIZE),
    ),
]
Before = Annotated[
    str | None,
    strawberry.argument(
        description="Return items before this cursor; null starts at the end.",
        directives=bound(characters=MAX_CURSOR_CHARACTERS),
    ),
]


def without_default(
    first: int | None, last: int | None, before: str | None, default: int = PAGE_SIZE
) -> int | None:
    """The `first` of a list where it has a default, which means nothing to a page backwards."""
    is_backwards = last is not None or before is not None
    return None if is_backwards and first == default else first


@strawberry.type(description="Position of a page in its list (Relay connections).")
class PageInfo:
    has_next_page: bool = plain("Whether items follow this page.", needs=[NEXT_PAGE])
    has_previous_page: bool = plain("Whether items precede this page.", needs=[PREVIOUS_PAGE])
    start_cursor: str | None = plain("Cursor of the page's first item; null on an empty page.")
    end_cursor: str | None = plain("Cursor of the page's last item; null on an empty page.")


@strawberry.type(description="Number of items in a list, with its precision.")
class Count:
    value: int = plain("The number of items.")
    precision: models.CountPrecision = plain("How precise `value` is.")
