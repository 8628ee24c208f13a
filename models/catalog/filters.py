"""Page queries as MongoDB filters, and the index each of them walks.

A page is read along one index from its position on, so it costs what it returns: numeric ranges are
decided on index keys, and ties and nulls are branches that each begin at their position.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from models.catalog.index_definitions import (
    FEATURED_INDEX,
    LANGUAGE_INDEX,
    PERSON_INDEX,
    Keys,
    genre_index,
    order_index,
)
from models.catalog.queries import MovieCategory, MovieFilter, MovieQuery
from models.mongo import ids
from services.cursors import Position, Value

Clause = dict[str, Any]


def where(query: MovieQuery) -> Clause:
    """Build the filter of a page; an `$or` is outermost, so MongoDB merges index scans."""
    if query.position is None:
        return _all(list_clauses(query))
    return _any(query, _beyond(query.order.field, query.direction, query.position, ""))


def where_behind(query: MovieQuery, position: Position) -> Clause:
    """Build the filter of the titles at the position and on its other side."""
    return _any(query, _beyond(query.order.field, -query.direction, position, "e"))


def list_clauses(query: MovieQuery) -> list[Clause]:
    """Build the clauses of the whole list, wherever a page of it begins."""
    return [{"is_active": True}, *_category_clauses(query), *filter_clauses(query.filter)]


def index_of(query: MovieQuery) -> Keys:
    """The most selective index that serves the query: person, featured, genre, language, order.

    Always named as a hint, so that no plan ever flips.
    """
    order, chosen = query.order.field, query.filter
    if chosen.person_id is not None:
        return PERSON_INDEX
    if query.category is MovieCategory.FEATURED:
        return FEATURED_INDEX
    if chosen.genres is not None:
        return genre_index(order)
    if chosen.language is not None and order == "popularity":
        return LANGUAGE_INDEX
    return order_index(order)


def filter_clauses(chosen: MovieFilter) -> list[Clause]:
    """Build the clauses of a filter."""
    clauses: list[Clause] = []
    if chosen.genres is not None:
        clauses.append({"genre_ids": {"$in": list(map(ids.of_genre, chosen.genres))}})
    if chosen.exclude_genres:
        clauses.append({"genre_ids": {"$nin": list(map(ids.of_genre, chosen.exclude_genres))}})
    bounds = (
        ("year", "$gte", chosen.year_from),
        ("year", "$lte", chosen.year_to),
        ("rating", "$gte", chosen.min_rating),
        ("vote_count", "$gte", chosen.min_votes),
        ("runtime_seconds", "$lte", chosen.max_runtime_seconds),
        ("languages", "$eq", chosen.language),
        ("credits.person_id", "$eq", chosen.person_id),
    )
    clauses += [{name: {sign: value}} for name, sign, value in bounds if value is not None]
    return clauses


def _category_clauses(query: MovieQuery) -> list[Clause]:
    if query.category is MovieCategory.FEATURED:
        return [{"is_featured": True}]
    if query.category is MovieCategory.TOP_RATED:
        return [{"weighted_rating": {"$ne": None}}]
    if query.category is MovieCategory.NEW_RELEASES:
        return [{"released": {"$lte": query.today}}]
    if query.category is MovieCategory.UPCOMING:
        return [{"released": {"$gt": query.today}}]
    return []


def _beyond(field: str, direction: int, position: Position, equal: str) -> list[Clause]:
    """Disjoint branches that match after the position; with `equal` "e", it as well.

    MongoDB sorts null before everything, but compares only values of one type, so null has branches
    of its own.
    """
    sign = "$gt" if direction > 0 else "$lt"
    value = _stored_value(field, position.value)
    tie = {field: value, "_id": {sign + equal: position.id}}
    if value is None:
        return [{field: {"$ne": None}}, tie] if direction > 0 else [tie]
    if direction > 0:
        return [{field: {sign: value}}, tie]
    return [{field: {sign: value}}, {field: None}, tie]


def _stored_value(field: str, value: Value) -> Any:
    if field == "created_at" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    return value


def _any(query: MovieQuery, branches: list[Clause]) -> Clause:
    clauses = list_clauses(query)
    matches = [_all([*clauses, branch]) for branch in branches]
    return matches[0] if len(matches) == 1 else {"$or": matches}


def _all(clauses: list[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"$and": clauses}
