"""The catalogue as clients see it: films, people, genres, and the root fields that find them."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import Parent

import loaders
import models
from graph.base.enums import describe_enum
from graph.base.fields import batched, computed, plain, relation, resolver
from graph.base.info import Info, requested_fields
from graph.base.interfaces import Node
from graph.base.paging import After, Before, Count, First, Last, PageInfo
from graph.base.scalars import Date, DateTime, LanguageTag
from graph.catalog.images import Image, ImageRef
from graph.catalog.inputs import MovieBy, MovieFilter, MovieOrder, unset_to_none
from graph.playback.progress import TitleProgress
from graph.playback.watchlist import TitleWatchlist
from graph.sources.hls import TitleHls
from graph.sources.sources import TitleSources
from resolvers import paging
from resolvers.catalog import browse

Department = describe_enum(
    models.Department,
    "The kind of work a credit stands for.",
    {
        "CAST": "Acting.",
        "DIRECTING": "Directing.",
        "WRITING": "Writing.",
        "PRODUCTION": "Producing.",
        "CAMERA": "Camera and light.",
        "SOUND": "Sound and music.",
        "OTHER": "Everything else.",
    },
)
describe_enum(
    models.MovieCategory,
    "A ready-made list of films.",
    {
        "POPULAR": "The most popular first.",
        "TRENDING": "The most watched here first.",
        "TOP_RATED": "Rated films, the best first.",
        "NEW_RELEASES": "Released films, the newest first.",
        "UPCOMING": "Films not yet released, the next first.",
        "FEATURED": "Chosen by the editors.",
    },
)
OfDepartment = Annotated[
    models.Department | None, strawberry.argument(description="Only credits of this department.")
]


def _poster(title: Parent[models.TitleRecord]) -> ImageRef | None:
    return ImageRef(title.poster_path) if title.poster_path else None


def _backdrop(title: Parent[models.TitleRecord]) -> ImageRef | None:
    return ImageRef(title.backdrop_path) if title.backdrop_path else None


def _genre_ids(title: Parent[models.TitleRecord]) -> list[str]:
    return title.genre_ids


def _credits(
    title: Parent[models.TitleRecord], first: First = 20, department: OfDepartment = None
) -> list[models.CreditRecord]:
    return browse.credits_of_title(title, first, department)


@strawberry.interface(description="Something to watch that has a page of its own.")
class Title(TitleWatchlist, Node):
    tmdb_id: int | None = plain("The title's number in TMDb.")
    title: str = plain("The title in the language of the catalogue.")
    overview: str | None = plain("What it is about.")
    year: int | None = plain("The year of first release.")
    rating: float | None = plain("Mean rating, 0 to 10.")
    vote_count: int = plain("How many ratings the mean is made of.")
    views: int = plain("How often it was watched here.")
    genres: list[Annotated[Genre, strawberry.lazy("graph.catalog.catalog")]] = relation(
        _genre_ids,
        loaders.GenreById,
        "Its genres, the most fitting first.",
        needs=["genre_ids"],
        assumed_size=3,
    )
    poster: Image | None = computed(_poster, "Upright artwork.", needs=["poster_path"])
    backdrop: Image | None = computed(_backdrop, "Wide artwork.", needs=["backdrop_path"])
    credits: list[Annotated[Credit, strawberry.lazy("graph.catalog.catalog")]] = computed(
        _credits, "Who made it, in billing order.", needs=["credits"], child_projection="credits"
    )


@strawberry.interface(description="Something that plays: a film or an episode.")
class Playable(TitleSources, TitleHls, TitleProgress, Node):
    runtime_seconds: int | None = plain("How long it runs.")


def _similar(
    movie: Parent[models.MovieRecord],
    first: Annotated[int | None, strawberry.argument(description="How many: 1 to 12.")] = 12,
) -> list[str]:
    return movie.similar_ids[: paging.validate_size(first, "first", 12, 12)]


@strawberry.type(description="A film.")
class Movie(Title, Playable, Node):
    imdb_id: str | None = plain("The film's id in IMDb.")
    original_title: str | None = plain("The title in the language it was made in.")
    tagline: str | None = plain("The line on its posters.")
    release_date: Date | None = plain("The day of first release.")
    is_featured: bool = plain("Chosen by the editors.")
    languages: list[LanguageTag] = plain("Languages spoken or shown, the main one first.")
    similar: list[Movie] = relation(
        _similar,
        loaders.MovieById,
        "Films like this one, the nearest first.",
        needs=["similar_ids"],
    )
    updated_at: DateTime = plain("When its entry last changed.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.MovieRecord)


async def _genre_movies(
    genres: Parent[list[models.GenreRecord]],
    info: Info,
    order_by: Annotated[
        MovieOrder | None, strawberry.argument(description="Default: the most popular first.")
    ] = None,
    first: First = 20,
    after: After = None,
) -> list[browse.MovieConnection]:
    return await browse.movies_of_genres(
        info.context,
        genres,
        paging.PageArguments(first, after),
        order=order_by.order(None) if order_by else None,
        fields=requested_fields(info),
    )


@strawberry.type(description="A kind of film.")
class Genre(Node):
    slug: str = plain("Its name in addresses and filters.")
    name: str = plain("Its name for people.")
    movies: Annotated[MovieConnection, strawberry.lazy("graph.catalog.catalog")] = batched(
        _genre_movies, "The films of this genre, page by page.", needs=["slug"]
    )

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.GenreRecord)


def _photo(person: Parent[models.PersonRecord]) -> ImageRef | None:
    return ImageRef(person.photo_path) if person.photo_path else None


async def _person_credits(
    people: Parent[list[models.PersonRecord]],
    info: Info,
    first: First = 20,
    department: OfDepartment = None,
) -> list[list[models.CreditRecord]]:
    return await browse.credits_of_people(info.context, people, first, department)


@strawberry.type(description="Somebody who works on films.")
class Person(Node):
    tmdb_id: int | None = plain("The person's number in TMDb.")
    name: str = plain("The name on the screen.")
    photo: Image | None = computed(_photo, "A portrait.", needs=["photo_path"])
    biography: str | None = plain("A life in short.")
    credits: list[Annotated[Credit, strawberry.lazy("graph.catalog.catalog")]] = batched(
        _person_credits, "What the person worked on, the most popular title first.", needs=["id"]
    )

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.PersonRecord)


def _person_id(credit: Parent[models.CreditRecord]) -> str:
    return credit.person_id


def _title_id(credit: Parent[models.CreditRecord]) -> str:
    return credit.title_id


@strawberry.type(description="One person's part in one title.")
class Credit:
    person: Person = relation(
        _person_id, loaders.PersonById, "Who did the work.", needs=["person_id"]
    )
    title: Title = relation(_title_id, loaders.TitleById, "The work.", needs=["title_id"])
    department: models.Department = plain("The kind of work.")
    character: str | None = plain("The role played, for the cast.")
    job: str | None = plain("The job done, for the crew.")
    order: int | None = plain("Place in the billing, 0 first.")


def _cursor(edge: Parent[tuple[browse.MovieConnection, models.MovieRecord]]) -> str:
    connection, movie = edge
    return connection.cursor(movie)


def _edge_node(
    edge: Parent[tuple[browse.MovieConnection, models.MovieRecord]],
) -> models.MovieRecord:
    return edge[1]


@strawberry.type(description="A film in a list.")
class MovieEdge:
    cursor: str = computed(_cursor, "The film's place in the list.")
    node: Movie = computed(_edge_node, "The film.", child_projection="")


def _edges(
    connection: Parent[browse.MovieConnection],
) -> list[tuple[browse.MovieConnection, models.MovieRecord]]:
    return [(connection, movie) for movie in connection.nodes]


def _page_info(connection: Parent[browse.MovieConnection]) -> browse.PageBounds:
    return browse.PageBounds(connection)


async def _movie_counts(
    connections: Parent[list[browse.MovieConnection]], info: Info
) -> list[models.Count | None]:
    return await browse.count_movies(info.context, connections)


@strawberry.type(description="One page of films.")
class MovieConnection:
    edges: list[MovieEdge] = computed(_edges, "The films with their cursors.", child_projection="")
    nodes: list[Movie] = plain("The films.", needs=[], child_projection="")
    page_info: PageInfo = computed(_page_info, "Where the page stands in its list.")
    total_count: Count | None = batched(
        _movie_counts, "How long the whole list is; counted only when asked for.", cost=10
    )


def _figures_genre(figures: Parent[models.GenreFigures]) -> str:
    return figures.genre_id


@strawberry.type(description="Figures of one genre.")
class GenreStatistics:
    genre: Genre = relation(_figures_genre, loaders.GenreById, "The genre.", needs=["genre_id"])
    count: int = plain("How many films it has.")
    average_rating: float | None = plain("The mean rating of those that are rated, 0 to 10.")
    total_views: int = plain("How often its films were watched here.")


async def _movies(
    info: Info,
    category: Annotated[
        models.MovieCategory | None, strawberry.argument(description="A ready-made list.")
    ] = None,
    filter: Annotated[
        MovieFilter | None, strawberry.argument(description="Only films that fit all of this.")
    ] = None,
    order_by: Annotated[
        MovieOrder | None,
        strawberry.argument(description="Default: the category's own order, else popularity."),
    ] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> browse.MovieConnection:
    return await browse.movies(
        info.context,
        paging.PageArguments(first, after, last, before),
        category=category,
        filter_=filter.query() if filter else None,
        order=order_by.order(category) if order_by else None,
        fields=requested_fields(info),
    )


async def _movie(
    info: Info,
    by: Annotated[MovieBy, strawberry.argument(description="Exactly one of the film's ids.")],
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
    id: Annotated[strawberry.ID, strawberry.argument(description="The person's id.")],
) -> models.PersonRecord | None:
    return await browse.person(info.context, id, requested_fields(info))


async def _genres(info: Info) -> list[models.GenreRecord]:
    return await browse.genres(info.context)


async def _movie_statistics(
    info: Info,
    first: Annotated[int | None, strawberry.argument(description="How many: 1 to 100.")] = 10,
) -> list[models.GenreFigures]:
    return await browse.movie_statistics(info.context, first)


@strawberry.type
class CatalogQuery:
    movies: MovieConnection = resolver(_movies, "Films, page by page.", max_age_seconds=60)
    movie: Movie | None = resolver(
        _movie, "One film, or null if there is none of this id.", max_age_seconds=60
    )
    person: Person | None = resolver(
        _person, "One person, or null if there is none of this id.", max_age_seconds=60
    )
    genres: list[Genre] = resolver(_genres, "All genres, in order of name.", max_age_seconds=300)
    movie_statistics: list[GenreStatistics] = resolver(
        _movie_statistics,
        "Figures by genre, the one with the most films first.",
        cost=10,
        max_age_seconds=300,
    )
