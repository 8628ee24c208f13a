"""Indexes that pages of titles walk: one for each order, and one behind a genre.

After its order each carries the numbers that filters compare, so a title that does not match is
skipped by its index key, without being read. Where few titles fit a filter, the index of facets
finds them all, and carries what they are sorted by.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pymongo import IndexModel

Keys = tuple[tuple[str, int], ...]
_COMPARED = ("year", "rating", "vote_count", "runtime_seconds")
_SORTED_BY = ("popularity", "released", "weighted_rating", "sort_title", "created_at")
_RISING = frozenset({"sort_title"})  # the rest is mostly read from its greatest value down
_NAMES = {"sort_title": "title"}


@cache
def order_index(field: str) -> Keys:
    """Keys of the index of all active titles in this order."""
    return (("is_active", 1), *_order_keys(field))


@cache
def genre_index(field: str) -> Keys:
    """Keys of the index of a genre's active titles in this order.

    That by popularity decides every filter, since it serves whatever is counted of a genre.
    """
    texts = _TEXTS if field == "popularity" else ()
    return (("is_active", 1), ("genre_ids", 1), *_order_keys(field), *texts)


def _order_keys(field: str) -> Keys:
    direction = 1 if field in _RISING else -1
    compared = [(name, 1) for name in _COMPARED if name != field]
    return ((field, direction), ("_id", direction), *compared)


_TEXTS: Keys = (("facets.genres", 1), ("facets.languages", 1))
LANGUAGE_INDEX: Keys = (
    *(("is_active", 1), ("languages", 1), *_order_keys("popularity"), _TEXTS[0]),
    *((name, 1) for name in _SORTED_BY if name != "popularity"),
)
FACET_INDEX: Keys = (
    *(("is_active", 1), ("facets.votes", 1), ("facets.rating", 1), ("facets.runtime", 1)),
    *((name, 1) for name in _COMPARED),
    *_TEXTS,
    *((name, 1) for name in _SORTED_BY),
    ("_id", 1),
)
PERSON_INDEX: Keys = (
    ("credits.person_id", 1),
    ("is_active", 1),
    ("popularity", -1),
    ("_id", -1),
)
# is_active last: titles taken away are passed over without reading them
SEARCH_INDEX: Keys = (("search.keys", 1), ("popularity", -1), ("_id", 1), ("is_active", 1))
FEATURED_INDEX: Keys = (("is_featured", 1), ("rating", -1), ("_id", -1), ("is_active", 1))


def title_indexes(orders: Sequence[str]) -> list[IndexModel]:
    """Build the indexes that films and shows have in common."""
    named: dict[str, Keys] = {
        "language_popularity": LANGUAGE_INDEX,
        "person": PERSON_INDEX,
        "facets": FACET_INDEX,
    }
    for field in orders:
        name = _NAMES.get(field, field)
        named |= {name: order_index(field), f"genre_{name}": genre_index(field)}
    return [
        *(IndexModel(list(keys), name=name) for name, keys in named.items()),
        search_index(),
        unique_where_present("tmdb_id", "int"),
    ]


def search_index() -> IndexModel:
    """Build the index of the keys by which titles and people are found, most popular first."""
    return IndexModel(list(SEARCH_INDEX), name="search")


def unique_where_present(field: str, bson_type: str) -> IndexModel:
    """Build a unique partial index; queries must name `$type` for MongoDB to use it."""
    return IndexModel(
        [(field, 1)],
        name=field,
        unique=True,
        partialFilterExpression={field: {"$type": bson_type}},
    )
