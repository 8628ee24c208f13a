"""Names stored by an earlier version are folded again, once."""

from __future__ import annotations

from typing import Any

import models
from resolvers.context import Runtime
from tests.support.titles import film, person, store


def ignore(_what: str, _done: int, _total: int) -> None: ...


async def hits(*words: str) -> list[str]:
    kinds = list(models.SearchKind)
    found = await models.search_names(words, kinds, models.MovieFilter())
    return [hit.id for hit in found.hits]


async def test_a_catalogue_without_keys_is_found_after_a_rebuild(runtime: Runtime) -> None:
    # given titles and people that were stored without keys, and sort keys of another folding
    await store([film(1, title="Łódź", sort_title="łodz"), film(2), person(1, "Ærø Straße")])
    unset: Any = {"$unset": {"search": ""}}
    for document in (models.Movie, models.Person):
        await document.get_pymongo_collection().update_many({}, unset)
    await models.SearchWord.get_pymongo_collection().delete_many({})
    await store([film(3, title="Lodz again")])
    assert await hits("lodz") == ["movie_00003"]
    # when
    rebuilt = await models.rebuild_search(ignore)
    # then they are found, near ones too, and another rebuild changes nothing
    assert (rebuilt.documents, rebuilt.changed) == (4, 3)
    assert await hits("lodz") == ["movie_00001", "movie_00003"]
    assert await hits("strase") == ["person_00001"]
    stored = await models.Movie.get_pymongo_collection().find_one({"_id": "movie_00001"})
    assert stored is not None
    assert stored["sort_title"] == "lodz"
    assert (await models.rebuild_search(ignore)).changed == 0


async def test_an_import_gives_keys_to_titles_that_have_none(runtime: Runtime) -> None:
    await store([film(1, title="Faust")])
    unset: Any = {"$unset": {"search": ""}}
    await models.Movie.get_pymongo_collection().update_many({}, unset)
    assert await hits("faust") == []
    await store([film(1, title="Faust")])
    assert await hits("faust") == ["movie_00001"]


async def test_words_that_nothing_has_are_forgotten_by_a_rebuild(runtime: Runtime) -> None:
    await store([film(1, title="Metropolis")])
    await store([film(1, title="Nosferatu")])
    await models.rebuild_search(ignore)
    words = await models.SearchWord.get_pymongo_collection().distinct("_id")
    assert words == ["nosferatu"]
