"""Similar films: shared people, shared genres, nearness in time.

Candidates come from inverted indexes sorted by year, a bounded window around each film, so the work
grows with the number of films and not with its square. The result does not depend on the order of
the films.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

MOST = 12
_NEAR_SAME_GENRES = 16  # looked at on each side: films with exactly the same genres,
_NEAR_ONE_GENRE = 6  # with one genre in common,
_NEAR_PERSON = 12  # with one person in common
_YEARS_APART = 20  # from here on, time does not count
_PAUSE = 500  # films between two chances for the loop


@dataclass(frozen=True, slots=True)
class Features:
    """The features that likeness compares. Of equally similar films the more popular wins."""

    id: str
    year: int
    genres: frozenset[str]
    people: frozenset[str] = frozenset()
    popularity: float = 0.0


def likeness(one: Features, other: Features) -> int:
    """Symmetric score from 0 to 100: people up to 40, genres up to 40, time up to 20."""
    people = min(len(one.people & other.people), 4) * 10
    shared = len(one.genres & other.genres)
    genres = 40 * shared // (len(one.genres) + len(other.genres) - shared) if shared else 0
    return people + genres + max(0, _YEARS_APART - abs(one.year - other.year))


async def similar_ids(
    films: Iterable[Features], progress: Callable[[int], None] | None = None
) -> dict[str, list[str]]:
    """At most twelve ids for each film, most similar first; films must share something."""
    ordered = sorted(films, key=lambda film: (film.year, film.id))
    neighbours = _Neighbours(ordered)
    similar = {}
    for at, film in enumerate(ordered):
        similar[film.id] = _most_alike(film, [ordered[i] for i in neighbours.of(at)])
        if at % _PAUSE == _PAUSE - 1:
            if progress is not None:
                progress(at + 1)
            await asyncio.sleep(0)
    return similar


def _most_alike(film: Features, candidates: Iterable[Features]) -> list[str]:
    ranked = sorted((-likeness(film, other), -other.popularity, other.id) for other in candidates)
    return [other_id for _, _, other_id in ranked[:MOST]]


class _Neighbours:
    """Inverted indexes: key -> films in order of time, and each film's position in each."""

    def __init__(self, ordered: Sequence[Features]) -> None:
        self._lists: dict[Hashable, list[int]] = defaultdict(list)
        self._places: list[list[tuple[list[int], int, int]]] = []
        for at, film in enumerate(ordered):
            places = []
            for key, width in _keys(film):
                entries = self._lists[key]
                places.append((entries, len(entries), width))
                entries.append(at)
            self._places.append(places)

    def of(self, at: int) -> Collection[int]:
        """Films near the film at this position."""
        near: set[int] = set()
        for entries, place, width in self._places[at]:
            near.update(entries[max(0, place - width) : place + width + 1])
        near.discard(at)
        return near


def _keys(film: Features) -> Iterable[tuple[Hashable, int]]:
    if film.genres:
        yield film.genres, _NEAR_SAME_GENRES
    for genre in film.genres:
        yield ("genre", genre), _NEAR_ONE_GENRE
    for person in film.people:
        yield ("person", person), _NEAR_PERSON
