from __future__ import annotations

from typing import Any

import models
from resolvers.context import Runtime


def build_film(**fields: Any) -> models.Movie:
    """What an import says of the one film here."""
    return models.Movie(id="movie_1", **{"title": "A", "sort_title": "a", **fields})


async def imported(**fields: Any) -> models.Changes:
    movie = build_film(**fields)
    await models.respect_edits(models.Movie, [movie])
    return await models.upsert(models.Movie, [movie])


async def edited(**fields: Any) -> None:
    await models.Movie.get_pymongo_collection().update_one({"_id": "movie_1"}, {"$set": fields})


async def stored() -> dict[str, Any]:
    row = await models.Movie.get_pymongo_collection().find_one({"_id": "movie_1"})
    assert row is not None
    return row


async def test_a_write_that_never_arrived_takes_nothing_from_the_import(runtime: Runtime) -> None:
    # given an imported film, and an import that died between remembering and writing
    await imported(overview="first")
    await models.respect_edits(models.Movie, [build_film(overview="second")])
    assert (await stored())["overview"] == "first"
    # when the next one comes, then the field is still the import's
    await imported(overview="third")
    assert (await stored())["overview"] == "third"


async def test_a_field_never_imported_is_filled_only_where_it_is_empty(runtime: Runtime) -> None:
    # given a film made by hand
    await models.Movie(id="movie_1", title="Ours", sort_title="ours", vote_count=7).insert()
    # when an import speaks for the first time
    await imported(overview="theirs", vote_count=900, rating=8.0)
    # then
    row = await stored()
    assert (row["title"], row["overview"]) == ("Ours", "theirs")
    assert (row["vote_count"], row["rating"]) == (7, 8.0)


async def test_an_edit_stands_until_it_is_undone(runtime: Runtime) -> None:
    await imported(overview="theirs")
    for edit in ("ours", "", None):
        await edited(overview=edit)
        await imported(overview="new")
        assert (await stored())["overview"] == edit
    await edited(overview="theirs")
    await imported(overview="newer")
    assert (await stored())["overview"] == "newer"


async def test_the_sort_title_goes_with_the_title(runtime: Runtime) -> None:
    await imported()
    await edited(title="Ours")
    await imported(title="B", sort_title="b")
    row = await stored()
    assert (row["title"], row["sort_title"]) == ("Ours", "a")


async def test_nothing_is_remembered_twice(runtime: Runtime) -> None:
    await imported(overview="one")
    await imported(overview="two")
    memory = models.ImportedTitle.get_pymongo_collection()
    before = await memory.find_one({"_id": "movie_1"})
    assert await imported(overview="two") == models.Changes(unchanged=1)
    assert await memory.find_one({"_id": "movie_1"}) == before
    assert before is not None and {len(digests) for digests in before["told"].values()} <= {1, 2}
