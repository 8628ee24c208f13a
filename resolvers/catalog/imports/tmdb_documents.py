"""TMDb's details mapped to documents: films, shows, people, genres, credits. Reads nothing.

Ids derive from TMDb's numbers. TMDb's ways of leaving a value out (0, "", no votes) become None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import models
from models import Department, ShowStatus
from models.mongo import ids
from resolvers.catalog.imports import genres
from resolvers.catalog.imports.titles import sort_title
from services.text.language_tags import normalize_case
from services.tmdb.types import (
    CastMember,
    Creator,
    CrewMember,
    Images,
    MovieDetails,
    NamedId,
    SeasonDetails,
    ShowDetails,
    TitleDetails,
)

SOURCE = "tmdb"
MAX_CREDITS = 60
MAX_SIMILAR = 20
_DIRECTORS = 5
_CAST = 40
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)
_NO_LANGUAGE = "xx"
_TAGS = {"cn": "yue"}  # TMDb's own code for Cantonese
_DEPARTMENTS = {
    "Directing": Department.DIRECTING,
    "Writing": Department.WRITING,
    "Production": Department.PRODUCTION,
    "Camera": Department.CAMERA,
    "Lighting": Department.CAMERA,
    "Sound": Department.SOUND,
}
_KEY_JOBS = (
    "Writer", "Screenplay", "Story", "Novel", "Characters", "Director of Photography",
    "Original Music Composer", "Editor", "Producer", "Executive Producer", "Production Design",
    "Costume Design",
)  # fmt: skip
_STATUSES = {
    "Returning Series": ShowStatus.RETURNING,
    "Canceled": ShowStatus.CANCELED,
    "Planned": ShowStatus.PLANNED,
    "In Production": ShowStatus.PLANNED,
    "Pilot": ShowStatus.PLANNED,
}


class TmdbPart(NamedTuple):
    """One person's part, in billing order."""

    person: CastMember | CrewMember | Creator
    department: Department
    job: str | None = None
    character: str | None = None


def person_id(number: int) -> str:
    """The id of a person imported from TMDb."""
    return ids.derive("person", SOURCE, number)


def movie(
    id_: str, details: MovieDetails, images: Images, *, imdb_id: str | None, similar_ids: list[str]
) -> models.Movie:
    """Map a film."""
    release_date = iso_date(details.release_date)
    return models.Movie(
        **_title(id_, details, details.title, details.original_title, release_date, images),
        imdb_id=imdb_id,
        tagline=details.tagline or None,
        release_date=release_date,
        runtime_seconds=seconds(details.runtime),
        similar_ids=similar_ids,
    )


def show(
    id_: str, details: ShowDetails, images: Images, seasons: Sequence[SeasonDetails]
) -> models.Show:
    """Map a show."""
    release_date = iso_date(details.first_air_date)
    regular = [season for season in seasons if season.season_number > 0]
    return models.Show(
        **_title(id_, details, details.name, details.original_name, release_date, images),
        imdb_id=imdb_number(details),
        status=_STATUSES.get(details.status, ShowStatus.ENDED),
        season_count=len(regular),
        episode_count=sum(len(season.episodes) for season in regular),
    )


def _title(
    id_: str,
    details: TitleDetails,
    title: str,
    original_title: str | None,
    release_date: str | None,
    images: Images,
) -> dict[str, Any]:
    languages = _languages(details)
    return {
        "id": id_,
        "tmdb_id": details.id,
        "title": title,
        "sort_title": sort_title(title, languages[:1]),
        "original_title": original_title if original_title and original_title != title else None,
        "overview": details.overview or None,
        "year": int(release_date[:4]) if release_date else None,
        "languages": languages,
        "genre_ids": [ids.of_genre(genre.slug) for genre in genre_documents(details.genres)],
        "rating": round(details.vote_average, 3) if details.vote_count else None,
        "vote_count": details.vote_count,
        "popularity": details.popularity,
        "poster_path": images.url(details.poster_path, images.poster_sizes, "w780"),
        "backdrop_path": images.url(details.backdrop_path, images.backdrop_sizes, "w1280"),
        "credits": _credits(id_, details),
        "is_active": True,
    }


def genre_documents(details: Iterable[NamedId]) -> list[models.Genre]:
    """Genres, each once; "Action & Adventure" is two, so that shows appear beside films."""
    documents: dict[str, models.Genre] = {}
    for name in (part for genre in details for part in genre.name.split("&")):
        slug = genres.slug_of(name)
        if slug and slug not in documents:
            documents[slug] = genres.document(name)
    return list(documents.values())


def people(details: Iterable[TitleDetails], images: Images) -> list[models.Person]:
    """People with a credit, each once."""
    persons: dict[str, models.Person] = {}
    for part in (part for title in details for part in parts(title)):
        id_ = person_id(part.person.id)
        if id_ not in persons:
            persons[id_] = _person(id_, part.person, images)
    return list(persons.values())


def _person(id_: str, details: CastMember | CrewMember | Creator, images: Images) -> models.Person:
    fields: dict[str, Any] = (
        {} if isinstance(details, Creator) else {"popularity": details.popularity}
    )
    return models.Person(
        id=id_,
        tmdb_id=details.id,
        name=details.name,
        photo_path=images.url(details.profile_path, images.profile_sizes, "h632"),
        **fields,
    )


def parts(details: TitleDetails) -> list[TmdbPart]:
    """Directors (or a show's creators), the first of the cast, then key crew; 60 at most."""
    crew = [member for member in details.credits.crew if member.name]
    directors = [
        TmdbPart(each, Department.DIRECTING, each.job) for each in crew if each.job == "Director"
    ]
    creators = details.created_by if isinstance(details, ShowDetails) else []
    makers = [TmdbPart(each, Department.WRITING, "Creator") for each in creators if each.name]
    cast = sorted((each for each in details.credits.cast if each.name), key=_billing)
    players = [TmdbPart(each, Department.CAST, None, each.character or None) for each in cast]
    chosen = [*(directors + makers)[:_DIRECTORS], *players[:_CAST], *_key_crew(crew)]
    return _deduplicate(chosen)[:MAX_CREDITS]


def _billing(member: CastMember) -> tuple[bool, int]:
    return member.order is None, member.order or 0


def _key_crew(crew: Sequence[CrewMember]) -> Iterator[TmdbPart]:
    for job in _KEY_JOBS:
        for each in crew:
            if each.job == job:
                yield TmdbPart(each, _DEPARTMENTS.get(each.department, Department.OTHER), job)


def _deduplicate(chosen: Iterable[TmdbPart]) -> list[TmdbPart]:
    """Remove repeated credits: TMDb lists some people twice for the same work."""
    return list(
        {(part.person.id, part.job, part.character): part for part in reversed(list(chosen))}
        .values()
    )[::-1]  # fmt: skip


def _credits(title_id: str, details: TitleDetails) -> list[models.Credit]:
    return [
        models.Credit(
            title_id=title_id,
            person_id=person_id(part.person.id),
            department=part.department,
            job=part.job,
            character=part.character,
            order=order,
        )
        for order, part in enumerate(parts(details))
    ]


def _languages(details: TitleDetails) -> list[str]:
    reported = [details.original_language, *(each.iso_639_1 for each in details.spoken_languages)]
    codes = map(normalize_case, reported)
    languages = (code for code in codes if _LANGUAGE.fullmatch(code) and code != _NO_LANGUAGE)
    return list(dict.fromkeys(_TAGS.get(code, code) for code in languages))


def imdb_number(details: TitleDetails) -> str | None:
    """The IMDb id, or None if malformed."""
    imdb_id = details.external_ids.imdb_id or ""
    return imdb_id if re.fullmatch(r"tt[0-9]{7,10}", imdb_id, re.ASCII) else None


def iso_date(text: str | None) -> str | None:
    """The text if it is an ISO date, else None."""
    try:
        return date.fromisoformat(text or "").isoformat()
    except ValueError:
        return None


def seconds(minutes: int | None) -> int | None:
    """Minutes as seconds; None if zero, negative or missing."""
    return 60 * minutes if minutes and minutes > 0 else None
