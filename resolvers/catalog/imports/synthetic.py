"""A catalogue for load tests: any number of films and people, the same ones every time.

Film n depends on n and on the number of people only, so a larger catalogue contains a smaller one
(similar films apart). Popularity follows Zipf's law, as real audiences do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import models
from models.mongo import ids
from resolvers.catalog.imports import genres
from resolvers.catalog.imports import synthetic_words as words
from resolvers.catalog.imports.report import ImportProgress, Report, Writer, ignore_progress
from resolvers.catalog.imports.similar import Features, similar_ids
from resolvers.catalog.imports.titles import sort_title
from resolvers.context import Runtime
from services import cdn
from services.errors import StartupError

_SOURCE = "synthetic"
_FIRST_YEAR, _LAST_YEAR = 1920, 2025
_TOP_POPULARITY = 1000.0
_ZIPF_EXPONENT = 0.8
_MOST = 1_000_000
_FEWEST_PEOPLE = 15  # the credits of one film are of different people
_SCATTER = 2_654_435_761  # Knuth's multiplier: spreads popularity over the numbers

_CREW = (
    (models.Department.DIRECTING, "Director"),
    (models.Department.WRITING, "Screenplay"),
    (models.Department.PRODUCTION, "Producer"),
    (models.Department.CAMERA, "Director of Photography"),
)


@dataclass(frozen=True, slots=True)
class _Film:
    number: int
    title: str
    year: int
    month: int
    day: int
    genres: list[str]
    credits: list[int]  # numbers of people: the crew, then the cast
    minutes: int
    rating: float
    votes: int


async def load(
    runtime: Runtime, movies: int, people: int, progress: ImportProgress = ignore_progress
) -> Report:
    """Write the synthetic catalogue.

    Raises:
        StartupError: fewer than 1 film or 15 people, or more than a million of either.
        UpstreamUnavailable: MongoDB did not answer in time.
    """
    if not 1 <= movies <= _MOST or not _FEWEST_PEOPLE <= people <= _MOST:
        raise StartupError(f"seed takes 1-{_MOST} films and {_FEWEST_PEOPLE}-{_MOST} people.")
    films = [_film(number, people) for number in range(movies)]
    progress("similar", 0, movies)
    alike = await similar_ids(
        (_features(film, movies) for film in films), lambda done: progress("similar", done, movies)
    )
    writer = Writer(runtime, progress)
    await writer.write(
        "genres", models.Genre, map(genres.document, words.GENRES), len(words.GENRES)
    )
    await writer.write("people", models.Person, map(_person, range(people)), people)
    documents = (_movie(film, movies, alike) for film in films)
    await writer.write("movies", models.Movie, documents, movies)
    return await writer.report()


def movie_id(number: int) -> str:
    """The id of film `number`."""
    return ids.derive("movie", _SOURCE, number)


def person_id(number: int) -> str:
    """The id of person `number`."""
    return ids.derive("person", _SOURCE, number)


def popularity(number: int, movies: int) -> float:
    """Popularity by Zipf's law, over ranks scattered over the numbers."""
    rank = 1 + (number * _SCATTER) % movies
    return _zipf(rank)


def _film(number: int, people: int) -> _Film:
    chance = random.Random(number)  # noqa: S311 - a catalogue, not a secret
    pick = chance.random
    kinds = _pick_numbers(chance, len(words.GENRES), 2 + int(pick() * 3))
    title = f"{chance.choice(words.ADJECTIVES)} {chance.choice(words.NOUNS)}"
    return _Film(
        number=number,
        title=f"The {title}" if pick() < 0.4 else title,
        year=_LAST_YEAR - int((_LAST_YEAR - _FIRST_YEAR) * pick() ** 2),
        month=1 + int(pick() * 12),
        day=1 + int(pick() * 28),
        genres=[words.GENRES[kind] for kind in kinds],
        credits=_pick_numbers(chance, people, 8 + int(pick() * 8)),
        minutes=65 + int(pick() * 110),
        rating=round(3 + 6 * (pick() + pick()) / 2, 1),
        votes=int(20_000 * pick() ** 6),
    )


def _pick_numbers(chance: random.Random, among: int, count: int) -> list[int]:
    """Pick different numbers below `among`, low ones more often."""
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        chosen[int(among * chance.random() ** 2)] = None
    return list(chosen)


def _features(film: _Film, movies: int) -> Features:
    return Features(
        id=movie_id(film.number),
        year=film.year,
        genres=frozenset(film.genres),
        people=frozenset(map(str, film.credits)),
        popularity=popularity(film.number, movies),
    )


def _person(number: int) -> models.Person:
    first = words.FIRST_NAMES[number % len(words.FIRST_NAMES)]
    last = words.LAST_NAMES[number // len(words.FIRST_NAMES) % len(words.LAST_NAMES)]
    again = number // (len(words.FIRST_NAMES) * len(words.LAST_NAMES))
    name = f"{first} {last}" if again == 0 else f"{first} {last} {again + 1}"
    return models.Person(id=person_id(number), name=name, popularity=_zipf(1 + number))


def _zipf(rank: int) -> float:
    return float(round(_TOP_POPULARITY / rank**_ZIPF_EXPONENT, 3))


def _movie(film: _Film, movies: int, alike: Mapping[str, list[str]]) -> models.Movie:
    id_ = movie_id(film.number)
    return models.Movie(
        id=id_,
        title=film.title,
        sort_title=sort_title(film.title),
        overview=f"{film.title} is film number {film.number} of a catalogue made for load work.",
        year=film.year,
        release_date=f"{film.year}-{film.month:02}-{film.day:02}",
        runtime_seconds=film.minutes * 60,
        languages=["en"],
        genre_ids=[ids.of_genre(slug) for slug in film.genres],
        rating=film.rating,
        vote_count=film.votes,
        popularity=popularity(film.number, movies),
        is_featured=popularity(film.number, movies) > _TOP_POPULARITY / 10,
        similar_ids=alike[id_],
        poster_path=cdn.poster_path(id_),
        backdrop_path=cdn.backdrop_path(id_),
        credits=list(_credits(id_, film.credits)),
    )


def _credits(id_: str, numbers: list[int]) -> Iterator[models.Credit]:
    for order, number in enumerate(numbers):
        crew = _CREW[order] if order < len(_CREW) else None
        yield models.Credit(
            title_id=id_,
            person_id=person_id(number),
            department=crew[0] if crew else models.Department.CAST,
            job=crew[1] if crew else None,
            character=None
            if crew
            else words.FIRST_NAMES[(number + order) % len(words.FIRST_NAMES)],
            order=order,
        )
