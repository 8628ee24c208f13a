"""The query of a page of titles: category, filter, order, size and position."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from operator import attrgetter

from models.catalog.documents import TitleRecord
from models.mongo.base import Record
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
    MovieOrderField.RELEASE_DATE: "released",
    MovieOrderField.TITLE: "sort_title",
    MovieOrderField.CREATED_AT: "created_at",
}
_SHOW_ORDER_FIELDS = _ORDER_FIELDS | {MovieOrderField.RELEASE_DATE: "year"}
_CATEGORY_ORDERS = {
    MovieCategory.POPULAR: ("popularity", -1),
    MovieCategory.TRENDING: ("trend", -1),
    MovieCategory.TOP_RATED: ("weighted_rating", -1),
    MovieCategory.NEW_RELEASES: ("released", -1),
    MovieCategory.UPCOMING: ("released", 1),
    MovieCategory.FEATURED: ("rating", -1),
}
Chosen = tuple[MovieOrderField, OrderDirection] | None


@dataclass(frozen=True, slots=True)
class MovieFilter:
    genres: Sequence[str] | None = None  # slugs, any of them; empty matches nothing
    exclude_genres: Sequence[str] | None = None
    year_from: int | None = None
    year_to: int | None = None
    min_rating: float | None = None
    min_votes: int | None = None
    max_runtime_seconds: int | None = None
    language: str | None = None
    person_id: str | None = None


_parts_of_filter = attrgetter(*(part.name for part in fields(MovieFilter)))


@dataclass(frozen=True, slots=True)
class MovieOrder:
    field: str  # the document's
    direction: int  # 1 or -1

    @classmethod
    def of(cls, category: MovieCategory | None, chosen: Chosen) -> MovieOrder:
        """Build an order; an explicit one wins over the category's, popularity is the default."""
        if chosen is not None:
            return cls(_ORDER_FIELDS[chosen[0]], _sign(chosen[1]))
        return cls(*_CATEGORY_ORDERS[category or MovieCategory.POPULAR])

    @classmethod
    def of_shows(cls, chosen: Chosen) -> MovieOrder:
        """Build an order of shows, which store the year of release, not the day."""
        if chosen is None:
            return cls("popularity", -1)
        return cls(_SHOW_ORDER_FIELDS[chosen[0]], _sign(chosen[1]))

    @property
    def name(self) -> str:
        """The order as text, for cursors."""
        return f"{self.field}:{self.direction}"


@dataclass(frozen=True, slots=True)
class MovieQuery:
    """One page: `size` titles after (or, `backwards`, before) a position.

    `looks_behind` says whether it has to be known what lies on the position's other side.
    """

    category: MovieCategory | None
    filter: MovieFilter
    order: MovieOrder
    size: int
    backwards: bool = False
    position: Position | None = None
    today: str = ""  # ISO date, for the categories that look at the calendar
    looks_behind: bool = True

    @property
    def direction(self) -> int:
        """Direction in which the index is walked, 1 or -1."""
        return -self.order.direction if self.backwards else self.order.direction

    def key(self) -> str:
        """Digest that is the same for the same page."""
        return _digest(
            self.category and self.category.value,
            _parts_of_filter(self.filter),
            self.order.field,
            self.order.direction,
            self.size,
            self.backwards,
            self.position,
            self.today,
            self.looks_behind,
        )

    def list_key(self) -> str:
        """Digest that is the same for all pages and orders of one list."""
        return _digest(
            self.category and self.category.value, _parts_of_filter(self.filter), self.today
        )


class MoviePage(Record, frozen=True):
    """A page as it is cached: ids only; titles are cached one by one."""

    ids: list[str] = []
    has_next: bool = False
    has_previous: bool = False

    @classmethod
    def of(cls, query: MovieQuery, ids: Sequence[str], *, is_behind: bool) -> MoviePage:
        """Build a page from ids in read order; one id beyond `size` means more follow.

        `is_behind` says whether titles lie on the other side of the query's position; what was
        not looked at is taken for granted.
        """
        more, page_ids = len(ids) > query.size, list(ids[: query.size])
        if query.backwards:
            page_ids.reverse()
        return cls(
            ids=page_ids,
            has_next=is_behind if query.backwards else more,
            has_previous=more if query.backwards else is_behind,
        )


def sort_value(title: TitleRecord, order: MovieOrder) -> Value:
    """The title's value in a cursor, at MongoDB's precision; instants as milliseconds."""
    value = getattr(title, order.field)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return value  # type: ignore[no-any-return]


def _sign(direction: OrderDirection) -> int:
    return 1 if direction is OrderDirection.ASC else -1


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
