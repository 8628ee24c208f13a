"""The public MovieLens layout: movies.csv, links.csv, ratings.csv in one folder.

Ratings become a mean of 0-10 and a count. Broken rows are counted and listed, never fatal. Ids
derive from movieId, so importing the same folder again changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import models
from models.mongo import ids
from resolvers.catalog.imports import genres, movielens_files
from resolvers.catalog.imports.external_ids import Claim, Field, grant_ids
from resolvers.catalog.imports.movielens_files import Link, RatingSum, Row
from resolvers.catalog.imports.report import (
    ImportProgress,
    Problems,
    Report,
    Writer,
    ignore_progress,
)
from resolvers.catalog.imports.similar import Features, similar_ids
from resolvers.context import Runtime
from services import cdn

_SOURCE = "movielens"
_FIGURES = ("rating", "vote_count", "popularity", "similar_ids")


async def load(
    runtime: Runtime, folder: Path, progress: ImportProgress = ignore_progress
) -> Report:
    """Import a MovieLens folder.

    Raises:
        StartupError: there is no movies.csv, or a file is not what its name says.
        UpstreamUnavailable: MongoDB did not answer in time.
    """
    broken, conflicts = Problems(), Problems()
    rows = await movielens_files.read_movies(folder, progress, broken)
    links = await movielens_files.read_links(folder, rows, progress, broken)
    rating_sums = await movielens_files.read_ratings(folder, rows, progress, broken)
    links = await _drop_conflicting_ids(links, conflicts)
    progress("similar", 0, len(rows))
    alike = await similar_ids(
        (_features(number, row, rating_sums) for number, row in rows.items()),
        lambda done: progress("similar", done, len(rows)),
    )
    names = {slug: name for row in rows.values() for slug, name in row.genres.items()}
    kinds = [genres.document(names[slug]) for slug in sorted(names)]
    writer = Writer(runtime, progress)
    await writer.write("genres", models.Genre, kinds, len(kinds))
    movies = _movies(rows, links, rating_sums, alike)
    await writer.write("movies", models.Movie, movies, len(rows), _respect_edits)
    return await writer.report(broken, conflicts)


async def _respect_edits(movies: Sequence[models.Movie]) -> None:
    await models.respect_edits(models.Movie, movies, source=_SOURCE, figures=_FIGURES)


def movie_id(number: int) -> str:
    """The id of a MovieLens film."""
    return ids.derive("movie", _SOURCE, number)


async def _drop_conflicting_ids(links: Mapping[int, Link], conflicts: Problems) -> dict[int, Link]:
    """The links without ids that belong to another film."""
    has_imdb = await grant_ids("imdb_id", _claims(links, "imdb_id"), conflicts)
    has_tmdb = await grant_ids("tmdb_id", _claims(links, "tmdb_id"), conflicts)
    return {
        number: Link(
            link.imdb_id if movie_id(number) in has_imdb else None,
            link.tmdb_id if movie_id(number) in has_tmdb else None,
        )
        for number, link in links.items()
    }


def _claims(links: Mapping[int, Link], field: Field) -> list[Claim]:
    return [
        Claim(movie_id(number), value, f"movieId {number}")
        for number, link in links.items()
        if (value := getattr(link, field)) is not None
    ]


def _features(number: int, row: Row, rating_sums: Mapping[int, RatingSum]) -> Features:
    return Features(
        id=movie_id(number),
        year=row.title.year or 0,
        genres=frozenset(row.genres),
        popularity=_popularity(rating_sums.get(number)),
    )


def _popularity(rating_sum: RatingSum | None) -> float:
    """Grows with the logarithm of the votes: 100 votes are 20, 10,000 are 40."""
    return round(10 * math.log10(1 + rating_sum.count), 3) if rating_sum else 0.0


def _movies(
    rows: Mapping[int, Row],
    links: Mapping[int, Link],
    rating_sums: Mapping[int, RatingSum],
    alike: Mapping[str, list[str]],
) -> Iterator[models.Movie]:
    for number, row in rows.items():
        id_, rating_sum, link = movie_id(number), rating_sums.get(number), links.get(number, Link())
        yield models.Movie(
            id=id_,
            title=row.title.title,
            sort_title=row.title.sort_title,
            original_title=row.title.original_title,
            also_known_as=list(row.title.also_known_as),
            year=row.title.year,
            genre_ids=_genre_ids(row.genres),
            imdb_id=link.imdb_id,
            tmdb_id=link.tmdb_id,
            rating=rating_sum.mean if rating_sum else None,
            vote_count=rating_sum.count if rating_sum else 0,
            popularity=_popularity(rating_sum),
            similar_ids=alike[id_],
            poster_path=cdn.poster_path(id_),
            backdrop_path=cdn.backdrop_path(id_),
        )


def _genre_ids(slugs: Iterable[str]) -> list[str]:
    return [ids.of_genre(slug) for slug in slugs]
