"""The catalogue as clients see it: films, people, genres, and the root fields that find them."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import Parent

import loaders
import models
from graph.base.bounds import bound_number
from graph.base.connections import connection
from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import batched, computed, plain, relation, resolver
from graph.base.freshness import CATALOGUE, FIGURES
from graph.base.info import Info, looks_behind, requested_fields
from graph.base.node import Node, node_type
from graph.base.paging import After, Before, Count, First, Last, without_default
from graph.base.roots import Query
from graph.base.scalars import Date, DateTime, LanguageTag, Long
from graph.catalog.categories import MovieCategory
from graph.catalog.images import Image, image
from graph.catalog.inputs import MovieBy, MovieFilter, MovieOrder, unset_to_none
from resolvers import paging
from resolvers.catalog import browse

Department = describe_enum(
    models.Department,
    "Department of a credit.",
    {
        "CAST": "Acting.",
        "DIRECTING": "Directing.",
        "WRITING": "Writing.",
        "PRODUCTION": "Producing.",
        "CAMERA": "Camera and lighting.",
        "SOUND": "Sound and music.",
        "OTHER": "Any other department.",
    },
)
_MOST_SIMILAR = 12
OfDepartment = Annotated[
    models.Department | None,
    strawberry.argument(description="Return only credits of this department; null for all."),
]


def _credits(
    title: Parent[models.TitleRecord], first: First = 20, department: OfDepartment = None
) -> list[models.CreditRecord]:
    return browse.credits_of_title(title, first, department)


@strawberry.interface(description="A film or a show: what a catalogue page presents.")
class Title(Node):
    tmdb_id: int | None = plain("Id in TMDb, such as 19; null if the title is not in TMDb.")
    title: str = plain("Title in the language of the catalogue.")
    overview: str | None = plain("Plot summary; null if unknown.")
    year: int | None = plain("Year of first release, such as 1927; null if unknown.")
    rating: float | None = plain("Mean rating, 0 to 10; null if unrated.")
    vote_count: Long = plain("Number of ratings behind `rating`.")
    views: Long = plain(
        "Number of times it was watched on this service, 60 seconds or 5 % of it at least."
    )
    genres: list[Genre] | None = relation(
        "genre_ids",
        loaders.GenreById,
        "Genres, most relevant first.",
        assumed_size=3,
    )
    poster: Image | None = image("poster_path", "Poster in portrait format; null if there is none.")
    backdrop: Image | None = image(
        "backdrop_path", "Backdrop in landscape format; null if there is none."
    )
    credits: list[Credit] = computed(
        _credits, "Cast and crew in billing order.", needs=["credits"], child_projection="credits"
    )


@strawberry.interface(description="A film or an episode: what a player can play.")
class Playable(Node):
    runtime_seconds: int | None = plain("Running time in seconds; null if unknown.")


def _similar(
    movie: Parent[models.MovieRecord],
    first: Annotated[
        int | None,
        strawberry.argument(
            description="Maximum number of films: 1 to 12.",
            directives=bound_number(1, _MOST_SIMILAR),
        ),
    ] = 12,
) -> list[str]:
    return movie.similar_ids[: paging.validate_size(first, "first", _MOST_SIMILAR, _MOST_SIMILAR)]


@node_type("movie", models.MovieRecord, loaders.MovieById, "A film in the catalogue.")
class Movie(Title, Playable, Node):
    imdb_id: str | None = plain("Id in IMDb, such as tt0013442; null if unknown.")
    original_title: str | None = plain("Title in the original language; null if unknown.")
    tagline: str | None = plain("Marketing tagline; null if there is none.")
    release_date: Date | None = plain("Date of first release; null if unknown.")
    is_featured: bool = plain("Whether the editors selected the film.")
    languages: list[LanguageTag] = plain("Languages of the film, main language first.")
    similar: list[Movie] | None = relation(
        _similar,
        loaders.MovieById,
        "Similar films, most similar first.",
        needs=["similar_ids"],
    )
    updated_at: DateTime = plain("When the catalogue entry last changed.")


async def _genre_movies(
    genres: Parent[list[models.GenreRecord]],
    info: Info,
    order_by: Annotated[
        MovieOrder | None,
        strawberry.argument(description="Order of the list; null means most popular first."),
    ] = None,
    first: First = paging.PAGE_SIZE,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> list[browse.MoviePage]:
    return await browse.movies_of_genres(
        info.context,
        genres,
        paging.PageArguments(without_default(first, last, before), after, last, before),
        order=order_by.order(None) if order_by else None,
        fields=requested_fields(info),
        looks_behind=looks_behind(info, is_backwards=last is not None or before is not None),
    )


@node_type("genre", models.GenreRecord, loaders.GenreById, "A genre.")
class Genre(Node):
    slug: str = plain("Name in URLs and filters, such as science-fiction.")
    name: str = plain("Display name, such as Science Fiction.")
    movies: MovieConnection | None = batched(
        _genre_movies, "Films of this genre, paginated.", needs=["slug"]
    )


async def _person_credits(
    people: Parent[list[models.PersonRecord]],
    info: Info,
    first: First = 20,
    department: OfDepartment = None,
) -> list[list[models.CreditRecord]]:
    return await browse.credits_of_people(info.context, people, first, department)


@node_type("person", models.PersonRecord, loaders.PersonById, "A member of cast or crew.")
class Person(Node):
    tmdb_id: int | None = plain("Id in TMDb; null if the person is not in TMDb.")
    name: str = plain("Name as credited.")
    photo: Image | None = image("photo_path", "Portrait; null if there is none.")
    biography: str | None = plain("Short biography; null if there is none.")
    credits: list[Credit] | None = batched(
        _person_credits, "The person's credits, most popular title first.", needs=["id"]
    )


@strawberry.type(description="A person's work on a title.")
class Credit:
    person: Person | None = relation("person_id", loaders.PersonById, "The person credited.")
    title: Title | None = relation("title_id", loaders.TitleById, "The title credited.")
    department: models.Department = plain("Department of the work.")
    character: str | None = plain("Character played; null for crew.")
    job: str | None = plain("Job title, such as Director; null for cast.")
    order: int | None = plain("Position in the billing, 0 first; null if unbilled.")


async def _movie_counts(
    connections: Parent[list[browse.MoviePage]], info: Info
) -> list[models.Count | None]:
    return await browse.count_movies(info.context, connections)


@connection(Movie, "films", "film", item="film", items="films")
class MovieConnection:
    total_count: Count | None = batched(
        _movie_counts,
        "Length of the whole list; null if it was not counted. Counted only when selected.",
        cost=10,
    )


@strawberry.type(description="Statistics of one genre.")
class GenreStatistics:
    genre: Genre | None = relation("genre_id", loaders.GenreById, "The genre.")
    count: int = plain("Number of films in the genre.")
    average_rating: float | None = plain(
        "Mean rating of the rated films, 0 to 10; null if none is rated."
    )
    total_views: Long = plain("Number of times its films were watched on this service.")


async def _movies(
    info: Info,
    category: Annotated[
        MovieCategory | None,
        strawberry.argument(description="Predefined list to return; null for all films."),
    ] = None,
    filter: Annotated[
        MovieFilter | None, strawberry.argument(description="Conditions that every film must meet.")
    ] = None,
    order_by: Annotated[
        MovieOrder | None,
        strawberry.argument(
            description="Order of the list; null means the category's order, without a "
            "category popularity."
        ),
    ] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> browse.MoviePage:
    arguments = paging.PageArguments(first, after, last, before)
    return await browse.movies(
        info.context,
        arguments,
        category=category,
        filter_=filter.query() if filter else None,
        order=order_by.order(category) if order_by else None,
        fields=requested_fields(info),
        looks_behind=looks_behind(info, is_backwards=arguments.is_backwards),
    )


async def _movie(
    info: Info,
    by: Annotated[MovieBy, strawberry.argument(description="One identifier of the film.")],
) -> models.MovieRecord | None:
    return await browse.movie(
        info.context,
        id_=unset_to_none(by.id),
        tmdb_id=unset_to_none(by.tmdb_id),
        imdb_id=unset_to_none(by.imdb_id),
        fields=requested_fields(info),
    )


async def _person(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the person.")],
) -> models.PersonRecord | None:
    return await browse.person(info.context, id, requested_fields(info))


async def _genres(info: Info) -> list[models.GenreRecord]:
    return await browse.genres(info.context)


async def _movie_statistics(
    info: Info,
    first: Annotated[
        int | None,
        strawberry.argument(
            description="Maximum number of genres: 1 to 100.",
            directives=bound_number(1, paging.MAX_PAGE_SIZE),
        ),
    ] = 10,
) -> list[models.GenreFigures]:
    return await browse.movie_statistics(info.context, first)


@extend(Query)
class CatalogQuery:
    movies: MovieConnection | None = resolver(
        _movies, "Films of the catalogue, filtered, ordered and paginated.", freshness=CATALOGUE
    )
    movie: Movie | None = resolver(
        _movie, "One film by an identifier; null if there is none.", freshness=CATALOGUE
    )
    person: Person | None = resolver(
        _person, "One person by id; null if there is none.", freshness=CATALOGUE
    )
    genres: list[Genre] | None = resolver(
        _genres, "All genres, ordered by name.", freshness=FIGURES
    )
    movie_statistics: list[GenreStatistics] | None = resolver(
        _movie_statistics,
        "Statistics by genre, the genre with the most films first.",
        cost=10,
        freshness=FIGURES,
    )
