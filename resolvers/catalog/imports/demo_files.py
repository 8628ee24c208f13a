"""The demo catalogue's files: demo/films_*.toml, demo/serials.toml, demo/featured.toml.

Reads and validates them; an error is one line that names file, film and key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
from resolvers.catalog.imports import genres
from resolvers.catalog.imports.tables import Table
from services.errors import StartupError
from services.text.language_tags import normalize_case

FOLDER = Path(__file__).resolve().parents[3] / "demo"
_KEY = r"[a-z0-9]+(-[a-z0-9]+)*"
_LANGUAGE = r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*"
_JOBS = {  # in the order of a demo title's billing
    "writing": models.Department.WRITING,
    "camera": models.Department.CAMERA,
    "sound": models.Department.SOUND,
    "production": models.Department.PRODUCTION,
}


@dataclass(frozen=True, slots=True)
class DemoPart:
    """One person's part; the role is a character for the cast and a job for all others."""

    name: str
    department: models.Department
    role: str | None


@dataclass(frozen=True, slots=True)
class DemoTitle:
    """The fields films and shows have in common."""

    key: str
    title: str
    year: int
    languages: list[str]
    genres: list[str]
    rights: str
    overview: str
    parts: list[DemoPart]
    original_title: str | None
    imdb_id: str | None
    tmdb_id: int | None


@dataclass(frozen=True, slots=True)
class DemoFilm:
    of: DemoTitle
    release_date: str | None
    runtime_seconds: int | None


@dataclass(frozen=True, slots=True)
class DemoEpisode:
    number: int
    name: str
    overview: str | None
    air_date: str | None
    runtime_seconds: int | None


@dataclass(frozen=True, slots=True)
class DemoSeason:
    number: int
    name: str | None
    air_date: str | None
    episodes: list[DemoEpisode]


@dataclass(frozen=True, slots=True)
class DemoShow:
    of: DemoTitle
    status: models.ShowStatus
    seasons: list[DemoSeason]


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo catalogue; `featured` are film keys, best known first."""

    films: list[DemoFilm]
    shows: list[DemoShow]
    featured: list[str]


def read(folder: Path = FOLDER) -> Demo:
    """Read and validate the demo files.

    Raises:
        StartupError: a file is missing or broken, a key unknown, missing, wrong or used twice.
    """
    files = sorted(folder.glob("films_*.toml"))
    if not files:
        raise StartupError(f"No films_*.toml in {folder}: is this a whole checkout?")
    films = [_film(table) for file in files for table in _tables(file, "film")]
    shows = [_show(table) for table in _tables(folder / "serials.toml", "show")]
    for titles in ([film.of for film in films], [show.of for show in shows]):
        _refuse_repeats(titles)
    return Demo(films, shows, _featured(folder / "featured.toml", films))


def _load(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:  # TOML's and UTF-8's errors are ValueErrors
        raise StartupError(f"{file.name} cannot be read: {error}") from error


def _tables(file: Path, kind: str) -> Iterator[Table]:
    top = Table(_load(file), file.name)
    for values in top.tables(kind):
        yield Table(values, f"{file.name}, {kind} {values.get('key') or values.get('title')}")
    top.finish()


def _title(table: Table) -> DemoTitle:
    return DemoTitle(
        key=table.text("key", pattern=_KEY),
        title=table.text("title"),
        year=table.number("year", 1870, 2100),
        languages=_languages(table),
        genres=_genres(table),
        rights=table.text("rights"),
        overview=table.text("overview"),
        parts=_parts(table),
        original_title=table.optional_text("original_title"),
        imdb_id=table.optional_text("imdb_id", pattern=r"tt\d{7,8}"),
        tmdb_id=table.optional_number("tmdb_id", 1, 2**31 - 1),
    )


def _languages(table: Table) -> list[str]:
    """Empty for silent films without intertitles; tags, each of them, otherwise."""
    tags = table.texts("languages")
    wrong = [tag for tag in tags if re.fullmatch(_LANGUAGE, tag, re.ASCII) is None]
    if wrong:
        table.refuse(f"{wrong[0]!r} is not a language tag such as en or pt-BR")
    return list(dict.fromkeys(map(normalize_case, tags)))


def _genres(table: Table) -> list[str]:
    slugs = table.texts("genres")
    if not slugs:
        table.refuse("genres is missing or empty")
    unknown = [slug for slug in slugs if slug not in genres.NAMES]
    if unknown:
        table.refuse(f"unknown genre {unknown[0]!r}; known are {', '.join(genres.NAMES)}")
    return slugs


def _parts(table: Table) -> list[DemoPart]:
    """Direction first, then the cast, then the crew: the order of the opening titles."""
    directing = table.texts("directing")
    if not directing:
        table.refuse("directing is missing or empty")
    parts = [DemoPart(name, models.Department.DIRECTING, "Director") for name in directing]
    for key, department in {"cast": models.Department.CAST, **_JOBS}.items():
        parts += [DemoPart(name, department, role or None) for name, role in table.pairs(key)]
    if len(set(parts)) != len(parts):
        table.refuse("the same credit stands there twice")
    return parts


def _film(table: Table) -> DemoFilm:
    film = DemoFilm(_title(table), table.optional_date("release_date"), _runtime_seconds(table))
    table.finish()
    return film


def _runtime_seconds(table: Table) -> int | None:
    minutes = table.optional_number("runtime_minutes", 1, 1000)
    return minutes * 60 if minutes is not None else None


def _show(table: Table) -> DemoShow:
    statuses = "|".join(models.ShowStatus.__members__)
    status = models.ShowStatus(table.optional_text("status", pattern=statuses) or "ENDED")
    seasons = [
        _season(Table(values, f"{table.where}, season {values.get('number')}"))
        for values in table.tables("season")
    ]
    show = DemoShow(_title(table), status, seasons)
    table.finish()
    numbers = [season.number for season in seasons]
    if not numbers or len(set(numbers)) != len(numbers):
        table.refuse("there is no season, or one number twice")
    return show


def _season(table: Table) -> DemoSeason:
    season = DemoSeason(
        number=table.number("number", 0, 1000),
        name=table.optional_text("name"),
        air_date=table.optional_date("air_date"),
        episodes=[
            _episode(Table(values, f"{table.where}, episode {values.get('number')}"))
            for values in table.tables("episode")
        ],
    )
    table.finish()
    numbers = [episode.number for episode in season.episodes]
    if not numbers or len(set(numbers)) != len(numbers):
        table.refuse("there is no episode, or one number twice")
    return season


def _episode(table: Table) -> DemoEpisode:
    table.optional_text("original_name")  # for the authors; not stored
    episode = DemoEpisode(
        number=table.number("number", 0, 10_000),
        name=table.text("name"),
        overview=table.optional_text("overview"),
        air_date=table.optional_date("air_date"),
        runtime_seconds=_runtime_seconds(table),
    )
    table.finish()
    return episode


def _refuse_repeats(titles: list[DemoTitle]) -> None:
    for name in ("key", "imdb_id", "tmdb_id"):
        holders: dict[Any, str] = {}
        for title in titles:
            value = getattr(title, name)
            if value is not None and value in holders:
                raise StartupError(
                    f"demo: {name} {value} stands twice, at {holders[value]!r} and {title.title!r}."
                )
            holders[value] = title.title


def _featured(file: Path, films: list[DemoFilm]) -> list[str]:
    table = Table(_load(file), file.name)
    keys = table.texts("films")
    table.finish()
    unknown = sorted(set(keys) - {film.of.key for film in films})
    if unknown:
        table.refuse(f"no film has the key {unknown[0]!r}")
    return keys
