"""A page of a list: its nodes, edges and bounds."""

from __future__ import annotations

from resolvers.paging import Page
from services import cursors

SECRET = b"s" * 32
NAMES = {1: "Metropolis", 2: None, 3: "M"}


def page(entries: list[int]) -> Page[str]:
    return Page(
        entries,
        has_next_page=True,
        has_previous_page=False,
        secret=SECRET,
        order="names",
        position_of=lambda entry: cursors.Position(entry, f"id{entry}"),
        node_of=NAMES.get,
    )


def position(cursor: str | None) -> cursors.Position:
    assert cursor is not None
    return cursors.decode(SECRET, "names", cursor, "after")


def test_an_entry_without_a_node_has_no_edge() -> None:
    # given a page with an entry whose node no longer exists, then it is in no list
    films = page([1, 2, 3])
    assert films.nodes == ["Metropolis", "M"]
    assert [(edge.node, position(edge.cursor)) for edge in films.edges] == [
        ("Metropolis", (1, "id1")),
        ("M", (3, "id3")),
    ]


def test_a_page_that_ends_with_such_an_entry_continues_behind_it() -> None:
    bounds = page([1, 2]).page_info
    assert (position(bounds.start_cursor), position(bounds.end_cursor)) == ((1, "id1"), (2, "id2"))
    assert (bounds.has_next_page, bounds.has_previous_page) == (True, False)


def test_an_empty_page_has_no_cursors() -> None:
    assert (page([]).start_cursor, page([]).end_cursor, page([]).edges) == (None, None, [])
