"""Indexes are brought into step, and never missed on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

import models
from resolvers.context import Runtime
from services.errors import StartupError, UpstreamUnavailable
from services.settings.settings import Settings
from tests.support.processes import Process


@pytest.fixture
async def movies(runtime: Runtime) -> AsyncIterator[Any]:
    """The films' collection, its indexes as declared before and after."""
    collection = models.Movie.get_pymongo_collection()
    yield collection
    await collection.delete_many({})
    await collection.drop_indexes()
    await models.apply_indexes()


async def plan_of(collection: str = "movies") -> models.IndexPlan:
    return {plan.collection: plan for plan in await models.plan_indexes()}[collection]


async def names(collection: Any) -> set[str]:
    return set(await collection.index_information()) - {"_id_"}


async def test_what_was_applied_is_in_step(movies: Any) -> None:
    plans = await models.plan_indexes()
    assert [plan for plan in plans if not plan.is_in_step] == []
    assert {plan.collection for plan in plans} == {
        document.get_settings().name for document in models.DOCUMENTS
    }
    before = await names(movies)
    await models.apply_indexes(drop_extra=True)
    assert await names(movies) == before


async def test_missing_indexes_are_reported_and_built(movies: Any) -> None:
    await movies.drop_index("genre_rating")
    assert (await plan_of()).missing == ["genre_rating"]
    applied = {plan.collection: plan for plan in await models.apply_indexes()}["movies"]
    assert (applied.missing, applied.changed, applied.extra) == (["genre_rating"], [], [])
    assert (await plan_of()).is_in_step


async def test_a_changed_index_is_built_before_the_old_one_goes(movies: Any) -> None:
    # given an index that has its name, but other keys
    await movies.drop_index("rating")
    await movies.create_index([("rating", 1)], name="rating")
    plan = await plan_of()
    assert (plan.missing, plan.changed) == ([], ["rating"])
    # when applied, then the new one stands under a free name, the old one is gone
    await models.apply_indexes()
    assert {"rating", "rating_2"} & await names(movies) == {"rating_2"}
    assert (await plan_of()).is_in_step
    # and the next change takes the first name again
    await movies.drop_index("rating_2")
    await movies.create_index([("rating", 1)], name="rating_2")
    await models.apply_indexes()
    assert {"rating", "rating_2"} & await names(movies) == {"rating"}


async def test_what_was_broken_off_is_finished(movies: Any) -> None:
    # given the new index beside the one it replaces
    await movies.create_index([("rating", 1)], name="rating_2")
    plan = await plan_of()
    assert (plan.changed, plan.extra) == (["rating"], [])
    await models.apply_indexes()
    assert (await plan_of()).is_in_step


async def test_where_there_is_no_room_for_two_the_old_one_goes_first(movies: Any) -> None:
    # given the same keys with other options
    for name in ("tmdb_id", "imdb_id"):
        await movies.drop_index(name)
        await movies.create_index([(name, 1)], name=name)
    assert (await plan_of()).changed == ["tmdb_id", "imdb_id"]
    await models.apply_indexes()
    assert (await plan_of()).is_in_step


async def test_undeclared_indexes_stay_until_dropped_by_option(movies: Any) -> None:
    await movies.create_index([("rights", 1)], name="by_hand")
    await movies.create_index([("title", "text")], name="text")  # which searches once used
    assert (await plan_of()).extra == ["by_hand", "text"]
    await models.apply_indexes()
    assert {"by_hand", "text"} <= set(await names(movies))
    await models.apply_indexes(drop_extra=True)
    assert (await plan_of()).is_in_step


async def test_documents_that_break_a_unique_index_are_reported(movies: Any) -> None:
    await movies.drop_index("tmdb_id")
    await movies.insert_many([{"_id": "movie_1", "tmdb_id": 7}, {"_id": "movie_2", "tmdb_id": 7}])
    with pytest.raises(StartupError, match="movies"):
        await models.apply_indexes()
    assert (await plan_of()).missing == ["tmdb_id"]


async def test_a_page_is_read_while_its_index_is_missing(movies: Any) -> None:
    await movies.drop_index("popularity")
    await movies.insert_one({"_id": "movie_1", "is_active": True, "popularity": 1.0})
    query = models.MovieQuery(None, models.MovieFilter(), models.MovieOrder.of(None, None), 1)
    page, _ = await models.read_movie_page(query, None)
    assert page.ids == ["movie_1"]


async def test_the_command_line_plans_and_applies(settings: Settings, tmp_path: Path) -> None:
    # given a database without indexes
    environment = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database + "_indexes",
        "REDIS_URL": settings.redis_url or "",
    }

    async def run(*words: str) -> tuple[int, list[str]]:
        with Process(tmp_path, "indexes", *words, environment=environment) as process:
            code = await process.ended()
        return code, process.output.splitlines()

    # then it is told, repaired, and told again
    code, lines = await run("plan")
    assert code == 1
    assert "missing  movies.genre_popularity" in lines
    assert lines[-1].startswith("0 indexes are in place, ")
    code, lines = await run("apply")
    assert (code, len(lines)) == (0, 1)
    assert await run("plan") == (0, lines)
    assert lines[0].endswith(" indexes are in place, 0 differ.")


async def test_a_missing_search_index_is_said_and_logged(movies: Any) -> None:
    # given
    await movies.drop_index("search")
    # when somebody searches, then it neither scans the collection nor looks like a slow database
    with (
        structlog.testing.capture_logs() as logged,
        pytest.raises(UpstreamUnavailable, match="search index is not built"),
    ):
        await models.search_names(("faust",), [models.SearchKind.MOVIE], models.MovieFilter())
    # other tests' runtimes may log beside
    found = [line["collection"] for line in logged if line["event"] == "search_index_missing"]
    assert found == ["movies"]
