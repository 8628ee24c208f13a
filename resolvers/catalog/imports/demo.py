"""The demo catalogue: real films and serials in the public domain or under an open licence.

Reads demo/*.toml, writes films, shows, seasons, episodes, people and genres. Ids derive from keys
and names, so loading it again changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import models
from models.mongo import ids
from resolvers.catalog.imports import demo_files, genres
from resolvers.catalog.imports.demo_files import Demo, DemoFilm, DemoSeason, DemoShow, DemoTitle
from resolvers.catalog.imports.external_ids import Claim, Field, grant_ids
from resolvers.catalog.imports.report import (
    ImportProgress,
    Problems,
    Report,
    Writer,
    ignore_progress,
)
from resolvers.catalog.imports.similar import Features, similar_ids
from resolvers.catalog.imports.titles import sort_title
from resolvers.context import Runtime
from services import cdn

T = TypeVar("T", models.Movie, models.Show)
_SOURCE = "demo"
_FIGURES = ("popularity", "similar_ids", "season_count", "episode_count")
_TOP_POPULARITY = 100.0  # of the first featured film; each next one has 2 less
_MOST_UNFEATURED = 50.0


async def is_empty(runtime: Runtime) -> bool:
    """Whether the catalogue has no film at all, of whatever source."""
    del runtime  # the database is bound to the documents
    records = await models.find(
        models.Movie, models.MovieRecord, {}, fields=frozenset({"version"}), limit=1
    )
    return not records


async def load(
    runtime: Runtime, progress: ImportProgress = ignore_progress, folder: Path = demo_files.FOLDER
) -> Report:
    """Write the demo catalogue.

    Raises:
        StartupError: a demo file is missing or broken; nothing has been written then.
        UpstreamUnavailable: MongoDB did not answer in time.
    """
    demo = demo_files.read(folder)
    conflicts = Problems()
    films = await _movies(demo, conflicts)
    shows = [_show(show) for show in demo.shows]
    seasons = [_season(show, season) for show in demo.shows for season in show.seasons]
    episodes = [episode for show in demo.shows for episode in _episodes(show)]
    people, kinds = _people(demo), _genres(demo)
    writer = Writer(runtime, progress)
    await writer.write("genres", models.Genre, kinds, len(kinds))
    await writer.write("people", models.Person, people, len(people))
    await writer.write(
        "shows", models.Show, shows, len(shows), partial(_respect_edits, models.Show)
    )
    await writer.write("seasons", models.Season, seasons, len(seasons))
    await writer.write("episodes", models.Episode, episodes, len(episodes))
    await writer.write(
        "movies", models.Movie, films, len(films), partial(_respect_edits, models.Movie)
    )
    return await writer.report(conflicts=conflicts)


async def _respect_edits(document: type[T], titles: Sequence[T]) -> None:
    await models.respect_edits(document, titles, source=_SOURCE, figures=_FIGURES)


def movie_id(key: str) -> str:
    """The id of a demo film."""
    return ids.derive("movie", _SOURCE, key)


def show_id(key: str) -> str:
    """The id of a demo show."""
    return ids.derive("show", _SOURCE, key)


def person_id(name: str) -> str:
    """The id of a person of the demo."""
    return ids.derive("person", _SOURCE, name)


def _titles(demo: Demo) -> list[DemoTitle]:
    return [film.of for film in demo.films] + [show.of for show in demo.shows]


def _genres(demo: Demo) -> list[models.Genre]:
    slugs = sorted({slug for title in _titles(demo) for slug in title.genres})
    return [genres.document(slug) for slug in slugs]


def _people(demo: Demo) -> list[models.Person]:
    """People of the demo; popularity is the number of titles they have a part in."""
    titles = Counter(name for title in _titles(demo) for name in {p.name for p in title.parts})
    return [
        models.Person(id=person_id(name), name=name, popularity=float(count))
        for name, count in sorted(titles.items())
    ]


async def _movies(demo: Demo, conflicts: Problems) -> list[models.Movie]:
    alike = await similar_ids(_features(demo, film) for film in demo.films)
    outside = {
        "imdb_id": await _grant_ids(demo, "imdb_id", conflicts),
        "tmdb_id": await _grant_ids(demo, "tmdb_id", conflicts),
    }
    return [_movie(demo, film, alike, outside) for film in demo.films]


async def _grant_ids(demo: Demo, field: Field, conflicts: Problems) -> set[str]:
    claims = [
        Claim(movie_id(film.of.key), value, film.of.key)
        for film in demo.films
        if (value := getattr(film.of, field)) is not None
    ]
    return await grant_ids(field, claims, conflicts)


def _features(demo: Demo, film: DemoFilm) -> Features:
    return Features(
        id=movie_id(film.of.key),
        year=film.of.year,
        genres=frozenset(film.of.genres),
        people=frozenset(part.name for part in film.of.parts),
        popularity=_popularity(demo, film.of),
    )


def _popularity(demo: Demo, title: DemoTitle) -> float:
    """Featured: 100, 98, 96, ... as listed. All others: 2 for each credit, 50 at most."""
    if title.key in demo.featured:
        return _TOP_POPULARITY - 2 * demo.featured.index(title.key)
    return min(_MOST_UNFEATURED, 2.0 * len(title.parts))


def _movie(
    demo: Demo, film: DemoFilm, alike: dict[str, list[str]], outside: dict[str, set[str]]
) -> models.Movie:
    id_ = movie_id(film.of.key)
    return models.Movie(
        **_fields(id_, film.of),
        popularity=_popularity(demo, film.of),
        imdb_id=film.of.imdb_id if id_ in outside["imdb_id"] else None,
        tmdb_id=film.of.tmdb_id if id_ in outside["tmdb_id"] else None,
        release_date=film.release_date,
        runtime_seconds=film.runtime_seconds,
        is_featured=film.of.key in demo.featured,
        similar_ids=alike[id_],
    )


def _fields(id_: str, title: DemoTitle) -> dict[str, Any]:
    return {
        "id": id_,
        "title": title.title,
        "sort_title": sort_title(title.title, title.languages),
        "original_title": title.original_title,
        "overview": title.overview,
        "year": title.year,
        "languages": title.languages,
        "genre_ids": [ids.of_genre(slug) for slug in title.genres],
        "poster_path": cdn.poster_path(id_),
        "backdrop_path": cdn.backdrop_path(id_),
        "credits": _credits(id_, title),
        "rights": title.rights,
    }


def _credits(id_: str, title: DemoTitle) -> list[models.Credit]:
    return [
        models.Credit(
            title_id=id_,
            person_id=person_id(part.name),
            department=part.department,
            job=None if part.department is models.Department.CAST else part.role,
            character=part.role if part.department is models.Department.CAST else None,
            order=order,
        )
        for order, part in enumerate(title.parts)
    ]


def _show(show: DemoShow) -> models.Show:
    return models.Show(
        **_fields(show_id(show.of.key), show.of),
        popularity=min(_MOST_UNFEATURED, 2.0 * len(show.of.parts)),
        imdb_id=show.of.imdb_id,
        tmdb_id=show.of.tmdb_id,
        status=show.status,
        season_count=len(show.seasons),
        episode_count=sum(len(season.episodes) for season in show.seasons),
    )


def _season_id(show: DemoShow, season: DemoSeason) -> str:
    return ids.derive("season", _SOURCE, show.of.key, season.number)


def _season(show: DemoShow, season: DemoSeason) -> models.Season:
    return models.Season(
        id=_season_id(show, season),
        show_id=show_id(show.of.key),
        number=season.number,
        name=season.name,
        air_date=season.air_date,
    )


def _episodes(show: DemoShow) -> list[models.Episode]:
    return [
        models.Episode(
            id=ids.derive("episode", _SOURCE, show.of.key, season.number, episode.number),
            show_id=show_id(show.of.key),
            season_id=_season_id(show, season),
            season_number=season.number,
            number=episode.number,
            name=episode.name,
            overview=episode.overview,
            air_date=episode.air_date,
            runtime_seconds=episode.runtime_seconds,
        )
        for season in show.seasons
        for episode in season.episodes
    ]
