"""Page queries as MongoDB filters, and the index each of them walks.

A page is read along one index from its position on, so it costs what it returns: numeric ranges are
decided on index keys, and ties and nulls are branches that each begin at their position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from models.catalog.facets import having_any, having_none, step_clauses
from models.catalog.index_definitions import (
    FEATURED_INDEX,
    LANGUAGE_INDEX,
    PERSON_INDEX,
    Keys,
    genre_index,
    order_index,
)
from models.catalog.queries import MovieCategory, MovieFilter, MovieQuery
from models.catalog.sort_values import least_weighted_rating
from models.mongo import ids
from services.cursors import Position, Value

Clause = dict[str, Any]
_LAST_YEAR = 9999  # of four digits, which sort as text


def where(query: MovieQuery, index: Keys) -> Clause:
    """Build the filter of a page; an `$or` is outermost, so MongoDB merges index scans."""
    clauses = [*list_clauses(query, index), *_order_bounds(query)]
    if query.position is None:
        return _all(clauses)
    return _any(clauses, _beyond(query.order.field, query.direction, query.position, ""))


def where_behind(query: MovieQuery, position: Position, index: Keys) -> Clause:
    """Build the filter of the titles at the position and on its other side."""
    branches = _beyond(query.order.field, -query.direction, position, "e")
    return _any([*list_clauses(query, index), *_order_bounds(query)], branches)


def beyond_position(query: MovieQuery, position: Position) -> Clause:
    """Build the clause of what lies after the position, by itself."""
    return {"$or": _beyond(query.order.field, query.direction, position, "")}


def behind_position(query: MovieQuery, position: Position) -> Clause:
    """Build the clause of what lies at the position or on its other side, by itself."""
    return {"$or": _beyond(query.order.field, -query.direction, position, "e")}


def list_clauses(query: MovieQuery, index: Keys = ()) -> list[Clause]:
    """Build the clauses of the whole list, wherever a page of it begins, for this index."""
    return [
        {"is_active": True},
        *_category_clauses(query, index),
        *filter_clauses(query.filter, index),
    ]


def split_clauses(query: MovieQuery, index: Keys) -> tuple[list[Clause], list[Clause]]:
    """Build the clauses of the whole list: those of an index scan, and those of texts behind it.

    Of an index that holds a list MongoDB decides texts on documents, unless something bars the way.
    """
    chosen, names = query.filter, {name for name, _ in index}
    if _is_single(names) or "facets.genres" not in names:
        return list_clauses(query, index), []
    early = replace(
        chosen,
        genres=chosen.genres if "genre_ids" in names else None,
        exclude_genres=None,
        language=chosen.language if "languages" in names else None,
    )
    late = replace(
        MovieFilter(),
        genres=None if early.genres else chosen.genres,
        exclude_genres=chosen.exclude_genres,
        language=None if early.language else chosen.language,
    )
    texts = {"facets.genres", "facets.languages"}
    clauses = [*_genre_clauses(late, texts), *_language_clauses(late, texts)]
    return list_clauses(replace(query, filter=early), index), clauses


def _is_single(names: set[str]) -> bool:
    """Whether an index of these keys has one entry for each title."""
    return names.isdisjoint({"genre_ids", "languages", "credits.person_id"})


def index_of(query: MovieQuery) -> Keys:
    """The most selective index that has the query's order: person, featured, genre, language.

    Always named as a hint, so that no plan ever flips.
    """
    order, chosen = query.order.field, query.filter
    if chosen.person_id is not None and order == "popularity":
        return PERSON_INDEX
    if query.category is MovieCategory.FEATURED:
        return FEATURED_INDEX
    if chosen.genres is not None:
        return genre_index(order)
    if chosen.language is not None and order == "popularity":
        return LANGUAGE_INDEX
    return order_index(order)


def filter_clauses(chosen: MovieFilter, index: Keys = ()) -> list[Clause]:
    """Build the clauses of a filter, decided on the keys of this index where it has them."""
    names = {name for name, _ in index}
    names = names if _is_single(names) else set()
    return [
        *_genre_clauses(chosen, names),
        *number_clauses(chosen, index),
        *_language_clauses(chosen, names),
        *([] if chosen.person_id is None else [{"credits.person_id": {"$eq": chosen.person_id}}]),
    ]


def number_clauses(chosen: MovieFilter, index: Keys = ()) -> list[Clause]:
    """Build the clauses of a filter's numbers, with their steps for an index of facets."""
    bounds = (
        ("year", "$gte", chosen.year_from),
        ("year", "$lte", chosen.year_to),
        ("rating", "$gte", chosen.min_rating),
        ("vote_count", "$gte", chosen.min_votes),
        ("runtime_seconds", "$lte", chosen.max_runtime_seconds),
    )
    clauses = [{name: {sign: value}} for name, sign, value in bounds if value is not None]
    if ("facets.votes", 1) not in index:
        return clauses
    return [
        *step_clauses(chosen.min_rating, chosen.min_votes, chosen.max_runtime_seconds),
        *clauses,
    ]


def _genre_clauses(chosen: MovieFilter, names: set[str]) -> list[Clause]:
    clauses: list[Clause] = []
    has_text = "facets.genres" in names
    if chosen.genres is not None:
        some = list(map(ids.of_genre, chosen.genres))
        is_listed = not some or not has_text
        clauses.append(
            {"genre_ids": {"$in": some}} if is_listed else having_any("facets.genres", some)
        )
    if chosen.exclude_genres:
        some = list(map(ids.of_genre, chosen.exclude_genres))
        clauses.append(
            having_none("facets.genres", some) if has_text else {"genre_ids": {"$nin": some}}
        )
    return clauses


def _language_clauses(chosen: MovieFilter, names: set[str]) -> list[Clause]:
    if chosen.language is None:
        return []
    if "facets.languages" not in names:
        return [{"languages": {"$eq": chosen.language}}]
    return [having_any("facets.languages", [chosen.language])]


def _order_bounds(query: MovieQuery) -> list[Clause]:
    """Bounds of the order's values that follow from the filter: a walk begins and ends there."""
    chosen, order = query.filter, query.order.field
    clauses: list[Clause] = []
    if order == "released" and chosen.year_from is not None and 0 < chosen.year_from <= _LAST_YEAR:
        clauses.append({"released": {"$gte": f"{chosen.year_from:04}"}})
    if order == "released" and chosen.year_to is not None and 0 <= chosen.year_to < _LAST_YEAR:
        clauses.append({"released": {"$lt": f"{chosen.year_to + 1:04}"}})
    if order == "weighted_rating" and chosen.min_rating is not None:
        clauses.append({order: {"$gte": least_weighted_rating(chosen.min_rating)}})
    return clauses


def _category_clauses(query: MovieQuery, index: Keys) -> list[Clause]:
    if query.category is MovieCategory.FEATURED:
        return [{"is_featured": True}]
    if query.category is MovieCategory.TOP_RATED:
        names = {name for name, _ in index}
        is_compared = "rating" in names and "weighted_rating" not in names
        return [{"rating" if is_compared else "weighted_rating": {"$ne": None}}]
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


def _any(clauses: Sequence[Clause], branches: Sequence[Clause]) -> Clause:
    matches = [_all([*clauses, branch]) for branch in branches]
    return matches[0] if len(matches) == 1 else {"$or": matches}


def _all(clauses: Sequence[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"$and": clauses}
