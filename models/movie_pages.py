"""Pages of films: what is filtered, in which order, from which position, as one MongoDB command.

Paging is by key, never by offset: a page starts at a sort value and an id, so films that come or go
meanwhile make no film appear twice and none disappear.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from models.base import Record
from models.catalog import Movie, MovieRecord
from models.reading import Fields, find
from services.cursors import Position, Value


class MovieCategory(Enum):
    POPULAR = "POPULAR"
    TRENDING = "TRENDING"
    TOP_RATED = "TOP_RATED"
    NEW_RELEASES = "NEW_RELEASES"
    UPCOMING = "UPCOMING"
    FEATURED = "FEATURED"


class MovieOrderField(Enum):
    POPULARITY = "POPULARITY"
    RATING = "RATING"
    RELEASE_DATE = "RELEASE_DATE"
    TITLE = "TITLE"
    CREATED_AT = "CREATED_AT"


class OrderDirection(Enum):
    ASC = "ASC"
    DESC = "DESC"


_ORDER_FIELDS = {
    MovieOrderField.POPULARITY: "popularity",
    MovieOrderField.RATING: "rating",
    MovieOrderField.RELEASE_DATE: "release_date",
    MovieOrderField.TITLE: "sort_title",
    MovieOrderField.CREATED_AT: "created_at",
}
_CATEGORY_ORDERS = {
    MovieCategory.POPULAR: ("popularity", -1),
    MovieCategory.TRENDING: ("views", -1),
    MovieCategory.TOP_RATED: ("rating", -1),
    MovieCategory.NEW_RELEASES: ("release_date", -1),
    MovieCategory.UPCOMING: ("release_date", 1),
    MovieCategory.FEATURED: ("rating", -1),
}


@dataclass(frozen=True, slots=True)
class MovieFilter:
    genres: Sequence[str] | None = None  # slugs, any of them
    exclude_genres: Sequence[str] | None = None
    year_from: int | None = None
    year_to: int | None = None
    min_rating: float | None = None
    min_votes: int | None = None
    max_runtime_seconds: int | None = None
    language: str | None = None
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class MovieOrder:
    field: str  # the document's
    direction: int  # 1 or -1

    @classmethod
    def of(
        cls,
        category: MovieCategory | None,
        chosen: tuple[MovieOrderField, OrderDirection] | None,
    ) -> MovieOrder:
        """An explicit order wins over the category's own; popularity is the default."""
        if chosen is not None:
            field, direction = chosen
            return cls(_ORDER_FIELDS[field], 1 if direction is OrderDirection.ASC else -1)
        return cls(*_CATEGORY_ORDERS[category or MovieCategory.POPULAR])

    @property
    def name(self) -> str:
        return f"{self.field}:{self.direction}"


@dataclass(frozen=True, slots=True)
class MovieQuery:
    """One page: `size` films after (or, `backwards`, before) a position."""

    category: MovieCategory | None
    filter: MovieFilter
    order: MovieOrder
    size: int
    backwards: bool = False
    position: Position | None = None
    today: str = ""  # ISO date, for the categories that look at the calendar

    def key(self) -> str:
        """The same text for the same page."""
        return hashlib.blake2b(repr(self).encode(), digest_size=16).hexdigest()


class MoviePage(Record, frozen=True):
    """A page as it is cached: ids; the films themselves are cached one by one."""

    ids: list[str] = []
    has_next: bool = False
    has_previous: bool = False


async def read_movie_page(
    query: MovieQuery, fields: Fields
) -> tuple[MoviePage, list[MovieRecord]]:
    """The page and its films in order; one command. Reads one film more to see if there is more.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    direction = -query.order.direction if query.backwards else query.order.direction
    rows = await find(
        Movie,
        MovieRecord,
        _where(query, direction),
        fields=fields,
        sort=[(query.order.field, direction), ("_id", direction)],
        limit=query.size + 1,
    )
    more, rows = len(rows) > query.size, rows[: query.size]
    if query.backwards:
        rows.reverse()
    beyond = query.position is not None
    page = MoviePage(
        ids=[row.id for row in rows],
        has_next=beyond if query.backwards else more,
        has_previous=more if query.backwards else beyond,
    )
    return page, rows


def sort_value(movie: MovieRecord, order: MovieOrder) -> Value:
    """What a cursor holds: MongoDB's own precision, instants as milliseconds."""
    value = getattr(movie, order.field)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return value  # type: ignore[no-any-return]


def _stored_value(field: str, value: Value) -> Any:
    if field == "created_at" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    return value


def _where(query: MovieQuery, direction: int) -> dict[str, Any]:
    clauses: list[dict[str, Any]] = [{"is_active": True}]
    clauses += _category_clauses(query)
    clauses += _filter_clauses(query.filter)
    if query.position is not None:
        clauses.append(_beyond(query.order.field, direction, query.position))
    return clauses[0] if len(clauses) == 1 else {"$and": clauses}


def _category_clauses(query: MovieQuery) -> list[dict[str, Any]]:
    if query.category is MovieCategory.FEATURED:
        return [{"is_featured": True}]
    if query.category is MovieCategory.TOP_RATED:
        return [{"rating": {"$ne": None}}]
    if query.category is MovieCategory.NEW_RELEASES:
        return [{"release_date": {"$lte": query.today}}]
    if query.category is MovieCategory.UPCOMING:
        return [{"release_date": {"$gt": query.today}}]
    return []


def _filter_clauses(chosen: MovieFilter) -> list[dict[str, Any]]:
    clauses: list[dict[str, Any]] = []
    if chosen.genres:
        clauses.append({"genre_ids": {"$in": [f"genre_{slug}" for slug in chosen.genres]}})
    if chosen.exclude_genres:
        clauses.append({"genre_ids": {"$nin": [f"genre_{slug}" for slug in chosen.exclude_genres]}})
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


def _beyond(field: str, direction: int, position: Position) -> dict[str, Any]:
    """Strictly after the position. MongoDB sorts null before everything, but compares only values
    of one type, so null has clauses of its own."""
    sign = "$gt" if direction > 0 else "$lt"
    value = _stored_value(field, position.value)
    tie = {field: value, "_id": {sign: position.id}}
    if value is None:
        after = [{field: {"$ne": None}}] if direction > 0 else []
    elif direction > 0:
        after = [{field: {sign: value}}]
    else:
        after = [{field: {sign: value}}, {field: None}]
    return {"$or": [*after, tie]}
