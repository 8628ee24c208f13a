"""Lists of films as the cache records them, and whether a film belongs to one.

`is_member` says in Python what `filters.list_clauses` says to MongoDB; a property test compares
them.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from models.catalog.documents import MovieRecord
from models.catalog.queries import MovieCategory, MovieFilter, MovieOrder, MovieQuery, sort_value
from models.mongo import ids


class ListDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """A list, whichever page of it; `order` is None where only membership counts."""

    category: MovieCategory | None
    filter: MovieFilter
    order: tuple[str, int] | None
    today: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ListDescription)


def encode_description(query: MovieQuery, *, members_only: bool = False) -> bytes:
    """Encode the list of a query as msgpack; `members_only` leaves out its order."""
    order = None if members_only else (query.order.field, query.order.direction)
    return _encoder.encode(ListDescription(query.category, query.filter, order, query.today))


def decode_description(text: bytes) -> ListDescription:
    """Decode what `encode_description` encoded."""
    return _decoder.decode(text)


def tags_of(query: MovieQuery | ListDescription) -> list[str]:
    """Tags that a list is recorded under: its genres, else its category, else all movies."""
    if query.filter.genres:
        return [f"movies:genre:{slug}" for slug in query.filter.genres]
    if query.category is not None:
        return [f"movies:category:{query.category.value.lower()}"]
    return ["movies:all"]


def tags_near(*versions: MovieRecord | None) -> set[str]:
    """Tags of every list that may contain one of these versions of a film."""
    return tags_of_genres({id_ for one in versions if one for id_ in one.genre_ids})


def tags_of_genres(genre_ids: Collection[str]) -> set[str]:
    """Tags of every list that may contain a film of these genres."""
    categories = {f"movies:category:{category.value.lower()}" for category in MovieCategory}
    return {"movies:all", *categories, *(f"movies:genre:{ids.slug_of(id_)}" for id_ in genre_ids)}


def is_changed_by(
    listed: ListDescription, before: MovieRecord | None, after: MovieRecord | None
) -> bool:
    """Whether the change of a film changes the list: its members or their order."""
    was, is_now = is_member(listed, before), is_member(listed, after)
    if was != is_now:
        return True
    if not was or listed.order is None or before is None or after is None:
        return False
    order = MovieOrder(*listed.order)
    return sort_value(before, order) != sort_value(after, order)


def is_member(listed: ListDescription, movie: MovieRecord | None) -> bool:
    """Whether the film belongs to the list."""
    return (
        movie is not None
        and movie.is_active
        and _is_in_category(listed, movie)
        and _has_genres(listed.filter, movie)
        and _is_within_bounds(listed.filter, movie)
    )


def _is_in_category(listed: ListDescription, movie: MovieRecord) -> bool:
    match listed.category:
        case MovieCategory.FEATURED:
            return movie.is_featured
        case MovieCategory.TOP_RATED:
            return movie.weighted_rating is not None
        case MovieCategory.NEW_RELEASES:
            return movie.released is not None and movie.released <= listed.today
        case MovieCategory.UPCOMING:
            return movie.released is not None and movie.released > listed.today
    return True


def _has_genres(chosen: MovieFilter, movie: MovieRecord) -> bool:
    own = {ids.slug_of(id_) for id_ in movie.genre_ids}
    if chosen.genres is not None and own.isdisjoint(chosen.genres):
        return False
    return own.isdisjoint(chosen.exclude_genres or ())


def _is_within_bounds(chosen: MovieFilter, movie: MovieRecord) -> bool:
    return (
        _is_at_least(movie.year, chosen.year_from)
        and _is_at_most(movie.year, chosen.year_to)
        and _is_at_least(movie.rating, chosen.min_rating)
        and _is_at_least(movie.vote_count, chosen.min_votes)
        and _is_at_most(movie.runtime_seconds, chosen.max_runtime_seconds)
        and (chosen.language is None or chosen.language in movie.languages)
        and (
            chosen.person_id is None
            or any(credit.person_id == chosen.person_id for credit in movie.credits)
        )
    )


def _is_at_least(value: float | None, bound: float | None) -> bool:
    return bound is None or (value is not None and value >= bound)


def _is_at_most(value: float | None, bound: float | None) -> bool:
    return bound is None or (value is not None and value <= bound)
