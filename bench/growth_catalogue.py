"""The large catalogue of growth.py: synthetic films of many languages, some with facts missing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from pymongo import UpdateOne

import models
from models.mongo import ids
from resolvers.catalog.imports import synthetic
from resolvers.context import Runtime

PEOPLE = 20_000
RARE_GENRE = "film-noir"
_BATCH = 2_000
_LANGUAGES = {
    "en": 60.0,
    "fr": 10,
    "de": 8,
    "ja": 7,
    "es": 6,
    "it": 4,
    "hi": 3,
    "sv": 1.5,
    "is": 0.1,
}
_UNKNOWN = ("rating", "year", "release_date", "runtime_seconds")
Say = Callable[[str], None]


async def load(runtime: Runtime, movies: int, say: Say) -> None:
    """Seed the catalogue if it is smaller than `movies`, and build its indexes."""
    collection = models.Movie.get_pymongo_collection()
    if await collection.estimated_document_count() < movies:
        await collection.drop()  # without indexes a large catalogue is written in minutes
        say(f"seeding {movies} films")
        await synthetic.load(runtime, movies, PEOPLE)
        await models.upsert(models.Genre, [_rare_genre()])
        updates = _updates(movies)
        while batch := list(islice(updates, _BATCH)):
            await collection.bulk_write(batch, ordered=False)
    await models.apply_indexes()


def _rare_genre() -> models.Genre:
    return models.Genre(id=ids.of_genre(RARE_GENRE), slug=RARE_GENRE, name="Film noir")


def _updates(movies: int) -> Iterator[UpdateOne]:
    """Each film's language; a film in 20 lacks facts, one in 500 is of the rare genre."""
    for number in range(movies):
        chance = random.Random(f"language {number}")
        (language,) = chance.choices(list(_LANGUAGES), list(_LANGUAGES.values()))
        values: dict[str, Any] = {"languages": [language], "facets": None}
        if chance.random() < 1 / 20:
            values |= dict.fromkeys(_UNKNOWN)
        update: dict[str, Any] = {"$set": values}
        if chance.random() < 1 / 500:
            update["$push"] = {"genre_ids": ids.of_genre(RARE_GENRE)}
        yield UpdateOne({"_id": synthetic.movie_id(number)}, update)
