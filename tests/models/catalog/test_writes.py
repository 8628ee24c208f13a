"""Bulk writes write what differs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

import models
from models import Changes
from resolvers.context import Runtime
from services.errors import Conflict

pytestmark = pytest.mark.usefixtures("runtime")


def movie(number: int, **fields: Any) -> models.Movie:
    title = fields.pop("title", f"Film {number}")
    return models.Movie(id=f"movie_{number}", title=title, sort_title=title.lower(), **fields)


async def stored(number: int) -> dict[str, Any]:
    row = await models.Movie.get_pymongo_collection().find_one({"_id": f"movie_{number}"})
    assert row is not None
    return row


async def test_new_documents_are_inserted_whole() -> None:
    # given a film with a credit, and nothing else said about it
    credit = models.Credit(
        title_id="movie_1", person_id="person_1", department=models.Department.CAST, order=0
    )

    # when
    changes = await models.upsert(models.Movie, [movie(1, credits=[credit])])

    # then fields that were not set have their defaults, and enums are stored as their values
    assert changes == Changes(inserted=1)
    row = await stored(1)
    assert row["credits"] == [
        {
            "title_id": "movie_1",
            "person_id": "person_1",
            "department": "CAST",
            "job": None,
            "character": None,
            "order": 0,
        }
    ]
    assert (row["version"], row["schema_version"], row["views"], row["is_active"]) == (
        1,
        1,
        0,
        True,
    )
    assert row["created_at"].tzinfo is not None
    assert "revision_id" not in row
    assert "id" not in row


async def test_every_stored_document_reads_back_as_the_document_it_was() -> None:
    # given
    before = movie(1, title="Faust", genre_ids=["genre_drama"], rating=7.5, year=1926)

    # when
    await models.upsert(models.Movie, [before])

    # then
    after = await models.Movie.get("movie_1")
    assert after is not None
    excluded = {"created_at", "updated_at", "revision_id", "search"}
    steps = {"edition": 2, "votes": 0, "rating": 9, "runtime": None}
    facets = {**steps, "genres": "|genre_drama|", "languages": ""}
    made = {"released": "1926", "weighted_rating": 6.5, "facets": facets}  # of other fields
    assert after.model_dump(exclude=excluded) == before.model_dump(exclude=excluded) | made


async def test_the_same_documents_again_write_nothing(count_commands: Any) -> None:
    # given
    await models.upsert(models.Movie, [movie(n, title="Same") for n in range(3)])
    before = await stored(1)
    await count_commands.reset()

    # when
    changes = await models.upsert(models.Movie, [movie(n, title="Same") for n in range(3)])

    # then
    assert changes == Changes(unchanged=3)
    assert count_commands.mongo == ["movies.find"]
    assert await stored(1) == before


async def test_only_what_differs_is_set_and_the_version_grows_by_one() -> None:
    # given two films
    await models.upsert(models.Movie, [movie(1, year=1920), movie(2, year=1921)])
    before = await stored(1)

    # when one of them has another year
    changes = await models.upsert(models.Movie, [movie(1, year=1922), movie(2, year=1921)])

    # then
    assert changes == Changes(updated=1, unchanged=1)
    after = await stored(1)
    changed = {"year": 1922, "released": "1922", "version": 2, "updated_at": after["updated_at"]}
    assert after == before | changed
    assert after["updated_at"] >= before["updated_at"]
    assert (await stored(2))["version"] == 1


async def test_fields_that_an_import_does_not_speak_for_keep_their_value() -> None:
    # given a film that was watched 7 times since it was imported
    await models.upsert(models.Movie, [movie(1)])
    await models.Movie.get_pymongo_collection().update_one({}, {"$set": {"views": 7}})

    # when it is imported again with another title
    await models.upsert(models.Movie, [movie(1, title="Other")])

    # then
    row = await stored(1)
    assert (row["title"], row["views"], row["version"]) == ("Other", 7, 2)


async def test_fields_named_once_are_written_to_new_documents_only() -> None:
    # given
    await models.upsert(models.Movie, [movie(1, rating=5.0)], once={"rating"})

    # when
    changes = await models.upsert(models.Movie, [movie(1, rating=9.0)], once={"rating"})

    # then
    assert changes == Changes(unchanged=1)
    assert (await stored(1))["rating"] == 5.0


async def test_a_thousand_documents_are_one_write(count_commands: Any) -> None:
    # given 2,001 films, made as they are needed
    films = (movie(n) for n in range(2001))
    counts: list[int] = []
    await count_commands.reset()

    # when
    changes = await models.upsert(models.Movie, films, written=counts.append)

    # then
    assert changes == Changes(inserted=2001)
    assert count_commands.mongo == ["movies.find", "search_words.update", "movies.insert"] * 3
    assert counts == [1000, 2000, 2001]


async def test_a_taken_unique_key_is_a_conflict_and_the_other_films_are_written() -> None:
    # given
    await models.upsert(models.Movie, [movie(1, tmdb_id=11)])

    # when another film claims its id of TMDb
    with pytest.raises(Conflict) as caught:
        await models.upsert(models.Movie, [movie(2, tmdb_id=11), movie(3, tmdb_id=12)])

    # then
    message = "1 of movies share a unique key with stored ones, first {'tmdb_id': 11}."
    assert caught.value.message == message
    records = await models.find(models.Movie, models.MovieRecord, {}, sort=[("_id", 1)])
    assert [(film.id, film.tmdb_id) for film in records] == [("movie_1", 11), ("movie_3", 12)]


async def test_no_documents_are_no_commands(count_commands: Any, runtime: Runtime) -> None:
    del runtime
    await count_commands.reset()
    assert await models.upsert(models.Movie, []) == Changes()
    assert count_commands.mongo == []
