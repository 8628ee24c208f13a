"""Importing from TMDb, against a server of our own that answers as TMDb documents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

import models
from models import Department, ShowStatus
from models.mongo import ids
from models.mongo.base import utc_now
from resolvers.catalog.imports import tmdb, tmdb_changes, tmdb_lists
from resolvers.catalog.imports.report import Report
from resolvers.catalog.imports.tmdb_documents import person_id
from resolvers.context import Runtime
from services import cdn
from services.errors import UpstreamUnavailable
from services.tmdb.types import TmdbKind
from tests.support import fake_tmdb
from tests.support.fake_tmdb import KEY, Answer, FakeTmdb

IMAGES = "https://image.tmdb.org/t/p"


@pytest.fixture
async def here(runtime: Runtime, tmdb_server: FakeTmdb) -> AsyncIterator[Runtime]:
    """The runtime, with the fake for TMDb."""
    async with fake_tmdb.open_runtime_with(runtime, tmdb_server) as own:
        yield own


def quiet(_done: int, _total: int | None) -> None: ...


async def films(runtime: Runtime, *numbers: int) -> Report:
    return await tmdb.load(runtime, {TmdbKind.MOVIE: numbers}, quiet)


async def shows(runtime: Runtime, *numbers: int) -> Report:
    return await tmdb.load(runtime, {TmdbKind.SHOW: numbers}, quiet)


async def rows(document: type[models.StoredDocument]) -> list[dict[str, Any]]:
    return await document.get_pymongo_collection().find().sort("_id").to_list(None)


async def film(number: int) -> models.MovieRecord:
    (record,) = await models.find(models.Movie, models.MovieRecord, {"tmdb_id": number})
    return record


async def edit(id_: str, **fields: Any) -> None:
    """What an editor's mutation does to a film."""
    await models.Movie.get_pymongo_collection().update_one(
        {"_id": id_}, {"$set": fields, "$inc": {"version": 1}}
    )


async def everything() -> list[list[dict[str, Any]]]:
    return [await rows(document) for document in models.DOCUMENTS]


async def test_a_film_is_imported_whole(here: Runtime, tmdb_server: FakeTmdb) -> None:
    # given
    tmdb_server.has_movies(603)
    # when
    report = await films(here, 603)
    # then every field is what TMDb told, in our terms
    record = await film(603)
    assert record.id == ids.derive("movie", "tmdb", 603)
    assert (record.title, record.sort_title, record.original_title) == (
        "The Film 603", "film 603", "Film 603",
    )  # fmt: skip
    assert (record.year, record.release_date, record.runtime_seconds) == (1999, "1999-03-31", 8160)
    assert (record.rating, record.vote_count, record.popularity) == (8.2, 25000, 79.5)
    assert (record.imdb_id, record.tagline, record.languages) == ("tt0000603", None, ["en"])
    assert record.overview == "What happens in film 603."
    assert record.genre_ids == ["genre_action", "genre_science-fiction"]
    assert record.poster_path == f"{IMAGES}/w780/poster603.jpg"
    assert record.backdrop_path == f"{IMAGES}/w1280/back603.jpg"
    # and its people: the director, the cast in order, key crew
    assert [(one.person_id, one.department, one.job, one.character) for one in record.credits] == [
        (person_id(3), Department.DIRECTING, "Director", None),
        (person_id(1), Department.CAST, None, "Neo"),
        (person_id(2), Department.CAST, None, "Trinity"),
        (person_id(5), Department.WRITING, "Screenplay", None),
    ]
    assert [one.order for one in record.credits] == [0, 1, 2, 3]
    people = {row["tmdb_id"]: row for row in await rows(models.Person)}
    assert sorted(people) == [1, 2, 3, 5]
    assert people[1]["photo_path"] == f"{IMAGES}/h632/first.jpg"
    assert [row["slug"] for row in await rows(models.Genre)] == ["action", "science-fiction"]
    assert report.changes["movies"] == models.Changes(inserted=1)
    assert tmdb.describe_omissions(report) is None


async def test_importing_twice_writes_nothing(here: Runtime, tmdb_server: FakeTmdb) -> None:
    # given films that are similar to each other, and a show
    tmdb_server.has_movies(1, 2)
    tmdb_server.answers["/movie/1"]["similar"] = fake_tmdb.build_page(2, 77)
    tmdb_server.has_show(9)
    numbers = {TmdbKind.MOVIE: [1, 2], TmdbKind.SHOW: [9]}
    await tmdb.load(here, numbers, quiet)
    before, requests = await everything(), len(tmdb_server.seen)
    # when
    report = await tmdb.load(here, numbers, quiet)
    # then nothing was written, and nothing was dropped from the cache
    total = report.total
    assert (total.inserted, total.updated) == (0, 0)
    assert total.unchanged > 0
    assert report.keys_dropped == 0
    assert await everything() == before
    # and TMDb sent no body again: each request said what we have
    assert all("if-none-match" in seen.headers for seen in tmdb_server.seen[requests:])


async def test_what_tmdb_changes_is_taken_up(here: Runtime, tmdb_server: FakeTmdb) -> None:
    tmdb_server.has_movies(1)
    await films(here, 1)
    for title in ("Renamed", "Renamed again"):
        tmdb_server.answers["/movie/1"] = fake_tmdb.movie(
            1, title=title, overview="", vote_average=8.3
        )
        report = await films(here, 1)
        assert report.changes["movies"] == models.Changes(updated=1)
        record = await film(1)
        assert (record.title, record.overview, record.rating) == (title, None, 8.3)


async def test_what_an_editor_wrote_stays(here: Runtime, tmdb_server: FakeTmdb) -> None:
    # given an imported film that an editor worked on
    tmdb_server.has_movies(1)
    await films(here, 1)
    id_ = (await film(1)).id
    await edit(id_, title="Ours", overview=None, poster_path="/art/own.svg", is_featured=True)
    # when TMDb changes everything about it
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(
        1, title="Theirs", overview="Theirs.", poster_path="/new.jpg", runtime=90
    )
    await films(here, 1)
    # then the editor's fields stand, also an emptied one, and the rest is TMDb's
    record = await film(1)
    assert (record.title, record.overview, record.poster_path) == ("Ours", None, "/art/own.svg")
    assert (record.is_featured, record.runtime_seconds) == (True, 5400)
    assert record.sort_title == "film 1"


async def test_an_editors_field_given_back_is_tmdbs_again(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    tmdb_server.has_movies(1)
    await films(here, 1)
    id_ = (await film(1)).id
    await edit(id_, title="Ours")
    await films(here, 1)
    await edit(id_, title="The Film 1")
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(1, title="Theirs")
    await films(here, 1)
    assert (await film(1)).title == "Theirs"


async def test_a_film_of_another_source_is_completed_not_doubled(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given a film that came from elsewhere, with TMDb's number
    own = models.Movie(
        id=ids.derive("movie", "demo", "it"), tmdb_id=1, title="It", sort_title="it",
        overview="Ours.", popularity=96.0, imdb_id="tt9999999", poster_path="/art/it.svg",
    )  # fmt: skip
    await own.insert()
    tmdb_server.has_movies(1)
    # when
    report = await films(here, 1)
    # then it is that film which got what it lacked, and kept what it had
    assert report.changes["movies"] == models.Changes(updated=1)
    record = await film(1)
    assert record.id == own.id
    assert (record.title, record.overview, record.popularity) == ("It", "Ours.", 96.0)
    assert (record.imdb_id, record.poster_path) == ("tt9999999", "/art/it.svg")
    assert (record.rating, record.vote_count, record.runtime_seconds) == (8.2, 25000, 8160)
    assert len(record.credits) == 4
    assert {one.title_id for one in record.credits} == {own.id}


@pytest.mark.parametrize("posters", [["/p.jpg"], [None, "/p.jpg"], ["/a.jpg", "/p.jpg"]])
async def test_a_drawn_poster_gives_way_to_a_real_one(
    here: Runtime, tmdb_server: FakeTmdb, posters: list[str | None]
) -> None:
    # given a film of another source, with art drawn by us
    id_ = ids.derive("movie", "demo", "it")
    drawn = {"poster_path": cdn.poster_path(id_), "backdrop_path": cdn.backdrop_path(id_)}
    await models.Movie(id=id_, tmdb_id=1, title="It", sort_title="it", **drawn).insert()
    # when TMDb has a poster, now or later, and never a backdrop
    for poster in posters:
        tmdb_server.answers["/movie/1"] = fake_tmdb.movie(1, poster_path=poster, backdrop_path=None)
        await films(here, 1)
    # then
    record = await film(1)
    assert record.poster_path == f"{IMAGES}/w780/p.jpg"
    assert record.backdrop_path == drawn["backdrop_path"]


async def test_a_film_that_editors_took_out_stays_out(here: Runtime, tmdb_server: FakeTmdb) -> None:
    tmdb_server.has_movies(1)
    await films(here, 1)
    await edit((await film(1)).id, is_active=False)
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(1, title="Renamed")
    await films(here, 1)
    record = await film(1)
    assert (record.title, record.is_active) == ("Renamed", False)


async def test_two_imports_at_once_make_each_film_once(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    numbers = list(range(1, 21))
    tmdb_server.has_movies(*numbers)
    await asyncio.gather(*(films(here, *numbers) for _ in range(3)))
    assert sorted(row["tmdb_id"] for row in await rows(models.Movie)) == numbers
    # and the films are the import's to change, whoever of them wrote
    tmdb_server.answers["/movie/7"] = fake_tmdb.movie(7, title="Renamed")
    await films(here, 7)
    assert (await film(7)).title == "Renamed"


async def test_an_imdb_id_that_another_film_has_is_left_to_it(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    other = models.Movie(id="movie_other", title="Other", sort_title="other", imdb_id="tt0000001")
    await other.insert()
    tmdb_server.has_movies(1)
    report = await films(here, 1)
    assert (await film(1)).imdb_id is None
    assert report.conflicts.examples == ["movie 1: imdb_id tt0000001 belongs to movie_other"]


async def test_similar_films_are_those_we_have_or_import(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given one stored film, and two imported together
    tmdb_server.has_movies(1, 2, 3)
    await films(here, 3)
    tmdb_server.answers["/movie/1"]["similar"] = fake_tmdb.build_page(3, 99, 2)
    # when
    await films(here, 1, 2)
    # then the unknown one is left out
    assert (await film(1)).similar_ids == [(await film(3)).id, (await film(2)).id]


async def test_at_most_sixty_credits_are_stored(here: Runtime, tmdb_server: FakeTmdb) -> None:
    cast = [{"id": n, "name": f"P{n}", "order": 300 - n, "character": "x"} for n in range(1, 201)]
    crew = [
        {"id": 500 + n, "name": f"C{n}", "job": "Producer", "department": "Production"}
        for n in range(50)
    ] + [{"id": 900, "name": "D", "job": "Director", "department": "Directing"}] * 2
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(1, credits={"cast": cast, "crew": crew})
    await films(here, 1)
    credits = (await film(1)).credits
    assert len(credits) == 60
    assert [one.department for one in credits[:2]] == [Department.DIRECTING, Department.CAST]
    assert sum(one.department is Department.CAST for one in credits) == 40
    assert credits[1].person_id == person_id(200)
    assert len(await rows(models.Person)) == 60


async def test_a_show_comes_with_seasons_and_episodes(here: Runtime, tmdb_server: FakeTmdb) -> None:
    # given
    tmdb_server.has_show(1399)
    # when
    report = await shows(here, 1399)
    # then
    (show,) = await models.find(models.Show, models.ShowRecord, {})
    assert show.id == ids.derive("show", "tmdb", 1399)
    assert (show.title, show.year, show.status) == ("Show 1399", 2011, ShowStatus.ENDED)
    assert (show.season_count, show.episode_count) == (1, 2)
    assert show.genre_ids == ["genre_science-fiction", "genre_fantasy"]
    assert [(one.department, one.job) for one in show.credits] == [
        (Department.WRITING, "Creator"), (Department.CAST, None),
    ]  # fmt: skip
    specials, season = sorted(await rows(models.Season), key=lambda row: row["number"])
    assert (season["show_id"], season["number"], season["name"]) == (show.id, 1, "Season 1")
    episodes = await models.find(
        models.Episode, models.EpisodeRecord, {"season_number": 1}, sort=[("number", 1)]
    )
    assert [(one.season_id, one.number, one.name) for one in episodes] == [
        (season["_id"], 1, "Episode 1"), (season["_id"], 2, "Episode 2"),
    ]  # fmt: skip
    assert (episodes[0].runtime_seconds, episodes[0].overview) == (3720, None)
    assert episodes[0].still_path == f"{IMAGES}/w300/still1.jpg"
    # and the specials are season 0, which the show's counts leave out
    assert (specials["show_id"], specials["number"]) == (show.id, 0)
    paths = ["/configuration", "/tv/1399", "/tv/1399/season/0", "/tv/1399/season/1"]
    assert tmdb_server.paths() == paths
    assert report.changes["episodes"] == models.Changes(inserted=3)


async def test_seasons_of_a_show_of_another_source_are_not_doubled(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    await models.Show(id="show_own", tmdb_id=9, title="Own", sort_title="own").insert()
    await models.Season(id="season_own", show_id="show_own", number=1, name="Ours").insert()
    await models.Episode(
        id="episode_own", show_id="show_own", season_id="season_own", season_number=1, number=2
    ).insert()
    tmdb_server.has_show(9)
    await shows(here, 9)
    assert [row["_id"] for row in await rows(models.Show)] == ["show_own"]
    seasons = {row["number"]: row["_id"] for row in await rows(models.Season)}
    assert (len(seasons), seasons[1]) == (2, "season_own")
    episodes = [row for row in await rows(models.Episode) if row["season_number"] == 1]
    assert {row["number"]: row["season_id"] for row in episodes} == {
        1: "season_own", 2: "season_own",
    }  # fmt: skip


async def test_unavailable_titles_are_skipped_and_reported(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given one that TMDb does not have and one that makes no sense
    tmdb_server.has_movies(1)
    tmdb_server.answers["/movie/3"] = {"id": "three"}
    steps: list[tuple[int, int | None]] = []
    # when
    report = await tmdb.load(
        here, {TmdbKind.MOVIE: [1, 2, 3]}, lambda done, total: steps.append((done, total))
    )
    # then
    assert [row["tmdb_id"] for row in await rows(models.Movie)] == [1]
    assert tmdb.describe_omissions(report) == "2 left out, first movie 2: TMDb has no such title."
    assert steps == [(0, 3), (3, 3)]


async def test_when_nothing_of_a_batch_can_be_had_it_ends(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    tmdb_server.failures["/movie/1"] = [Answer(503)] * 3
    with pytest.raises(UpstreamUnavailable, match=r"TMDb answered 503 \(/movie/1\)"):
        await films(here, 1)
    assert await rows(models.Movie) == []


async def test_a_missing_key_is_reported_and_nothing_is_written(
    runtime: Runtime, tmdb_server: FakeTmdb
) -> None:
    assert not runtime.catalog.tmdb.is_on
    with pytest.raises(UpstreamUnavailable, match="set TMDB_API_KEY"):
        await films(runtime, 1)
    assert await rows(models.Movie) == []


async def test_an_import_drops_what_is_cached_of_the_film(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    tmdb_server.has_movies(1)
    await films(here, 1)
    await here.redis.set("movie:any", b"x")
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(1, title="Renamed")
    report = await films(here, 1)
    assert (report.keys_dropped or 0) >= 1


@pytest.mark.parametrize(
    ("kind", "category", "path", "query"),
    [
        ("movie", "POPULAR", "/discover/movie", {"sort_by": "popularity.desc"}),
        ("movie", "TRENDING", "/trending/movie/week", {}),
        ("tv", "TOP_RATED", "/discover/tv",
         {"sort_by": "vote_average.desc", "vote_count.gte": "300"}),
        ("movie", "NEW_RELEASES", "/discover/movie",
         {"sort_by": "popularity.desc", "primary_release_date.gte": "2024-01-16",
          "primary_release_date.lte": "2024-03-01"}),
        ("tv", "UPCOMING", "/discover/tv",
         {"sort_by": "popularity.desc", "first_air_date.gte": "2024-03-02",
          "first_air_date.lte": "2024-08-28"}),
    ],
)  # fmt: skip
async def test_a_category_is_read_page_by_page(
    here: Runtime,
    tmdb_server: FakeTmdb,
    kind: str,
    category: str,
    path: str,
    query: dict[str, str],
) -> None:
    # given a list of two pages, and the first of March 2024
    tmdb_server.answers[path] = fake_tmdb.build_page(5, 6, total_pages=2)
    today, one = date(2024, 3, 1), models.MovieCategory(category)
    # when more pages are asked for than there are
    numbers = await tmdb_lists.numbers(here.catalog.tmdb, TmdbKind(kind), one, 9, today)
    # then
    assert numbers == [5, 6]
    common = {} if "trending" in path else {"include_adult": "false"}
    assert [(seen.path, seen.query) for seen in tmdb_server.seen] == [
        (path, {"page": page, **common, **query}) for page in ("1", "2")
    ]


def here_at(runtime: Runtime, at: float) -> Runtime:
    return replace(runtime, clock=lambda: at)


async def test_changes_are_requested_since_the_last_success_and_only_ours_read(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given a film and a show of ours, of which TMDb changed the film, and a last run 3 days ago
    tmdb_server.has_movies(1)
    tmdb_server.has_show(9)
    await tmdb.load(here, {TmdbKind.MOVIE: [1], TmdbKind.SHOW: [9]}, quiet)
    now = datetime(2024, 3, 10, 2, tzinfo=UTC)
    await models.Job(
        id="job_1", kind="import_tmdb_changes", state=models.JobState.SUCCEEDED,
        started_at=datetime(2024, 3, 7, 2, tzinfo=UTC), heartbeat_at=now, finished_at=utc_now(),
    ).insert()  # fmt: skip
    tmdb_server.answers |= {
        "/movie/changes": fake_tmdb.build_page(1, 2, 3),
        "/tv/changes": {"results": []},
    }
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(1, title="Renamed")
    tmdb_server.seen.clear()
    # when
    assert await tmdb_changes.run_import(here_at(here, now.timestamp()), {}, quiet) is None
    # then
    assert (await film(1)).title == "Renamed"
    assert tmdb_server.paths() == ["/movie/changes", "/tv/changes", "/configuration", "/movie/1"]
    days = {"start_date": "2024-03-07", "end_date": "2024-03-10", "page": "1"}
    assert tmdb_server.seen[0].query == tmdb_server.seen[1].query == days
    assert KEY not in str([seen.query for seen in tmdb_server.seen])


@pytest.mark.parametrize(
    ("last", "start"), [(None, "2024-03-09"), (datetime(2024, 1, 1, tzinfo=UTC), "2024-02-26")]
)
async def test_changes_reach_back_a_day_at_first_and_two_weeks_at_most(
    here: Runtime, tmdb_server: FakeTmdb, last: datetime | None, start: str
) -> None:
    now = datetime(2024, 3, 10, tzinfo=UTC)
    if last is not None:
        await models.Job(
            id="job_1", kind="import_tmdb_changes", state=models.JobState.SUCCEEDED,
            started_at=last, heartbeat_at=last,
        ).insert()  # fmt: skip
    tmdb_server.answers |= dict.fromkeys(["/movie/changes", "/tv/changes"], fake_tmdb.build_page(5))
    await tmdb_changes.run_import(here_at(here, now.timestamp()), {}, quiet)
    assert tmdb_server.seen[0].query["start_date"] == start
