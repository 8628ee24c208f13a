"""Inputs that select, filter and order titles."""

from __future__ import annotations

from typing import TypeVar

import strawberry

import models
from graph.base.bounds import bound
from graph.base.enums import describe_enum
from graph.base.scalars import LanguageTag

T = TypeVar("T")
_SLUGS = bound(items=20, characters=100)

describe_enum(
    models.MovieOrderField,
    "Field that a list of films or shows is ordered by.",
    {
        "POPULARITY": "Popularity.",
        "RATING": "Mean rating; unrated titles come last in descending order.",
        "RELEASE_DATE": "Date of first release; for shows, and where the day is unknown, the year.",
        "TITLE": "Title, ignoring a leading article.",
        "CREATED_AT": "When the title was added to the catalogue.",
    },
)
describe_enum(
    models.OrderDirection,
    "Direction of an order.",
    {"ASC": "Ascending: smallest value first.", "DESC": "Descending: greatest value first."},
)


def unset_to_none(value: T | None) -> T | None:
    """Return the value, or None where the client omitted it."""
    return None if value is strawberry.UNSET else value


@strawberry.input(description="One identifier of a film; give exactly one field.", one_of=True)
class MovieBy:
    id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Global id of the film."
    )
    tmdb_id: int | None = strawberry.field(
        default=strawberry.UNSET, description="Id in TMDb, such as 19."
    )
    imdb_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Id in IMDb, such as tt0013442.",
        directives=bound(characters=20),
    )


@strawberry.input(description="One identifier of a show; give exactly one field.", one_of=True)
class TvShowBy:
    id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Global id of the show."
    )
    tmdb_id: int | None = strawberry.field(
        default=strawberry.UNSET, description="Id in TMDb, such as 1396."
    )


@strawberry.input(description="Conditions on titles; a title must meet all of them.")
class MovieFilter:
    genres: list[str] | None = strawberry.field(
        default=None,
        description="Genre slugs, at most 20; the title has at least one of them. Empty "
        "matches nothing; null matches any title.",
        directives=_SLUGS,
    )
    exclude_genres: list[str] | None = strawberry.field(
        default=None,
        description="Genre slugs, at most 20; the title has none of them.",
        directives=_SLUGS,
    )
    year_from: int | None = strawberry.field(
        default=None, description="Earliest year of first release, inclusive."
    )
    year_to: int | None = strawberry.field(
        default=None, description="Latest year of first release, inclusive."
    )
    min_rating: float | None = strawberry.field(
        default=None, description="Minimum mean rating, 0 to 10."
    )
    min_votes: int | None = strawberry.field(default=None, description="Minimum number of ratings.")
    max_runtime_seconds: int | None = strawberry.field(
        default=None, description="Maximum running time in seconds; excludes shows."
    )
    language: LanguageTag | None = strawberry.field(
        default=None, description="A language of the title, such as en."
    )
    person_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of a person in cast or crew."
    )

    def query(self) -> models.MovieFilter:
        """Build the stored titles' filter, genres sorted so that equal filters have equal keys."""
        return models.MovieFilter(
            genres=None if self.genres is None else tuple(sorted(set(self.genres))),
            exclude_genres=tuple(sorted(set(self.exclude_genres or ()))) or None,
            year_from=self.year_from,
            year_to=self.year_to,
            min_rating=self.min_rating,
            min_votes=self.min_votes,
            max_runtime_seconds=self.max_runtime_seconds,
            language=self.language,
            person_id=self.person_id,
        )


@strawberry.input(description="Order of a list of films or shows.")
class MovieOrder:
    field: models.MovieOrderField = strawberry.field(
        default=models.MovieOrderField.POPULARITY, description="Field to order by."
    )
    direction: models.OrderDirection = strawberry.field(
        default=models.OrderDirection.DESC, description="Direction of the order."
    )

    def of_shows(self) -> models.MovieOrder:
        """Build the order of a list of shows."""
        return models.MovieOrder.of_shows((self.field, self.direction))

    def order(self, category: models.MovieCategory | None) -> models.MovieOrder:
        """Build the order of a list of films in this category."""
        return models.MovieOrder.of(category, (self.field, self.direction))
