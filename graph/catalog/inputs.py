"""What clients say to choose films."""

from __future__ import annotations

from typing import TypeVar

import strawberry

import models
from graph.base.enums import describe_enum
from graph.base.scalars import LanguageTag

T = TypeVar("T")

describe_enum(
    models.MovieOrderField,
    "What films are put in order by.",
    {
        "POPULARITY": "How popular they are.",
        "RATING": "Their mean rating; films without one last when descending.",
        "RELEASE_DATE": "The day of first release; of shows, the year.",
        "TITLE": "The title, without its leading article.",
        "CREATED_AT": "When they came into the catalogue.",
    },
)
describe_enum(
    models.OrderDirection,
    "Which end comes first.",
    {"ASC": "The smallest first.", "DESC": "The greatest first."},
)


def unset_to_none(value: T | None) -> T | None:
    """The value, or None where the client left it out."""
    return None if value is strawberry.UNSET else value


@strawberry.input(description="Exactly one of a film's ids.", one_of=True)
class MovieBy:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Our own id.")
    tmdb_id: int | None = strawberry.field(
        default=strawberry.UNSET, description="The number in TMDb."
    )
    imdb_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="The id in IMDb, such as tt0013442."
    )


@strawberry.input(description="Exactly one of a show's ids.", one_of=True)
class TvShowBy:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Our own id.")
    tmdb_id: int | None = strawberry.field(
        default=strawberry.UNSET, description="The number in TMDb."
    )


@strawberry.input(description="Only titles that fit all of this.")
class MovieFilter:
    genres: list[str] | None = strawberry.field(
        default=None, description="Slugs of genres, of which the title has at least one."
    )
    exclude_genres: list[str] | None = strawberry.field(
        default=None, description="Slugs of genres, of which the title has none."
    )
    year_from: int | None = strawberry.field(
        default=None, description="Released in this year or later."
    )
    year_to: int | None = strawberry.field(
        default=None, description="Released in this year or earlier."
    )
    min_rating: float | None = strawberry.field(
        default=None, description="Rated at least this, 0 to 10."
    )
    min_votes: int | None = strawberry.field(default=None, description="Rated at least this often.")
    max_runtime_seconds: int | None = strawberry.field(
        default=None, description="Films running no longer than this; no shows."
    )
    language: LanguageTag | None = strawberry.field(
        default=None, description="Spoken or shown in this language."
    )
    person_id: strawberry.ID | None = strawberry.field(
        default=None, description="Somebody of this id worked on it."
    )

    def query(self) -> models.MovieFilter:
        return models.MovieFilter(
            genres=self.genres and tuple(sorted(set(self.genres))),
            exclude_genres=self.exclude_genres and tuple(sorted(set(self.exclude_genres))),
            year_from=self.year_from,
            year_to=self.year_to,
            min_rating=self.min_rating,
            min_votes=self.min_votes,
            max_runtime_seconds=self.max_runtime_seconds,
            language=self.language,
            person_id=self.person_id,
        )


@strawberry.input(description="How films are put in order.")
class MovieOrder:
    field: models.MovieOrderField = strawberry.field(
        default=models.MovieOrderField.POPULARITY, description="By what."
    )
    direction: models.OrderDirection = strawberry.field(
        default=models.OrderDirection.DESC, description="Which end comes first."
    )

    def of_shows(self) -> models.MovieOrder:
        return models.MovieOrder.of_shows((self.field, self.direction))

    def order(self, category: models.MovieCategory | None) -> models.MovieOrder:
        return models.MovieOrder.of(category, (self.field, self.direction))
