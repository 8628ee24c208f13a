"""A catalogue that has something to answer every operation of tests/operations with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import models
from models.mongo import ids
from resolvers.catalog.imports import synthetic
from resolvers.context import Runtime
from tests.support.titles import credit, film, film_id, person, show_id, store, whole_show

SOME = 60  # of everything that comes in lists, so that a page of 50 is full
_VIEWER = ids.derive("user", "test", models.Role.USER.value)


async def fill(runtime: Runtime, movies: int, people: int) -> None:
    """The synthetic catalogue and, with it, upcoming and featured films, shows, a viewer."""
    for document in models.DOCUMENTS:
        await document.get_pymongo_collection().delete_many({})
    await synthetic.load(runtime, movies, people)
    await store(_films())
    await store(part for number in range(1, SOME + 1) for part in _show(number))
    await store(person(number, f"Harbour Person {number}") for number in range(SOME))
    await store(_progress())
    await models.write_viewings(list(_viewings()), timedelta(days=3650))


async def drop() -> None:
    """Empties everything; deleting ten thousand films would take longer than a test may wait."""
    for document in models.DOCUMENTS:
        await document.get_pymongo_collection().drop()
    await models.apply_indexes()


def _films() -> Iterator[models.Movie]:
    yield film(999, title="The Matrix", tmdb_id=603, imdb_id="tt0133093")
    for number in range(1, SOME + 1):
        yield film(
            number,
            title=f"Harbour {number}",
            year=2099,
            release_date=f"2099-01-{1 + number % 28:02}",
            is_featured=True,
            rating=float(number % 10),
            runtime_seconds=5400,
            views=number,
            credits=[credit(film_id(number), number % 7)],
        )


def _show(number: int) -> Iterator[models.StoredDocument]:
    yield from whole_show(
        number,
        [3, 2],
        title=f"Harbour Town {number}",
        genre_ids=["genre_drama"],
        popularity=float(number),
        rating=float(number % 10),
        year=1960 + number,
        credits=[credit(show_id(number), number % 7 + other) for other in range(12)],
    )


def _progress() -> Iterator[models.StoredDocument]:
    yield models.User(id=_VIEWER, email="ada@example.org", password_hash="-", display_name="Ada")
    for number in range(1, SOME + 1):
        yield models.ViewingProgress(
            id=f"progress_{number}",
            user_id=_VIEWER,
            playable_id=film_id(number),
            position_seconds=60.0,
            last_watched_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        )
        yield models.ViewingProgress(
            id=f"progress_episode_{number}",
            user_id=_VIEWER,
            playable_id=f"episode_{number}.1.1",
            position_seconds=1800.0,
            completed=True,
            last_watched_at=datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        )
        yield models.WatchlistEntry(
            id=f"{_VIEWER}:{film_id(number)}",
            user_id=_VIEWER,
            title_id=film_id(number),
            added_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        )


def _viewings() -> Iterator[models.ViewingRecord]:
    for number in range(1, SOME + 1):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        yield models.ViewingRecord(
            id=f"viewing_{number}",
            user_id=_VIEWER,
            playable_id=film_id(number),
            started_at=at,
            last_seen_at=at,
            watched_seconds=60.0,
            stamp_ms=1,
        )
