"""A small catalogue for tests: films, shows with seasons and episodes, people, genres."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import models
from models.mongo import ids


def film(number: int, **fields: Any) -> models.Movie:
    values = {"title": f"Film {number}", "sort_title": f"film {number:05}", **fields}
    return models.Movie(id=film_id(number), **values)


def film_id(number: int) -> str:
    return f"movie_{number:05}"


def show(number: int, **fields: Any) -> models.Show:
    values = {"title": f"Show {number}", "sort_title": f"show {number:05}", **fields}
    return models.Show(id=show_id(number), **values)


def show_id(number: int) -> str:
    return f"show_{number:05}"


def season(show_number: int, number: int, **fields: Any) -> models.Season:
    return models.Season(
        id=f"season_{show_number}.{number}", show_id=show_id(show_number), number=number, **fields
    )


def episode(show_number: int, season_number: int, number: int, **fields: Any) -> models.Episode:
    return models.Episode(
        id=f"episode_{show_number}.{season_number}.{number}",
        show_id=show_id(show_number),
        season_id=f"season_{show_number}.{season_number}",
        season_number=season_number,
        number=number,
        **fields,
    )


def whole_show(number: int, seasons: Sequence[int], **fields: Any) -> list[models.StoredDocument]:
    """A show with as many episodes in each season as told."""
    parts: list[models.StoredDocument] = [show(number, season_count=len(seasons), **fields)]
    for season_number, episodes in enumerate(seasons, 1):
        parts.append(season(number, season_number))
        parts += [
            episode(number, season_number, one, runtime_seconds=1800)
            for one in range(1, episodes + 1)
        ]
    return parts


def genre(slug: str) -> models.Genre:
    return models.Genre(id=ids.of_genre(slug), slug=slug, name=slug.title())


def person(number: int, name: str) -> models.Person:
    return models.Person(id=f"person_{number:05}", name=name)


def credit(title_id: str, person_number: int, **fields: Any) -> models.Credit:
    values = {"department": models.Department.CAST, "order": 0, **fields}
    return models.Credit(title_id=title_id, person_id=f"person_{person_number:05}", **values)


async def store(things: Iterable[models.StoredDocument]) -> None:
    by_class: dict[type[models.StoredDocument], list[models.StoredDocument]] = {}
    for thing in things:
        by_class.setdefault(type(thing), []).append(thing)
    for document, some in by_class.items():
        await models.upsert(document, some)
