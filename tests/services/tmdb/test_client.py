"""How TMDb is asked, against a server of our own that answers as TMDb documents."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.errors import ErrorCode, StartupError, UpstreamUnavailable
from services.http_client import USER_AGENT
from services.settings.settings import Settings
from services.telemetry import metrics
from services.tmdb import requests
from services.tmdb.client import Tmdb, open_tmdb
from services.tmdb.requests import BodyCache, CachedBody
from services.tmdb.types import TmdbKind
from tests.support import fake_tmdb
from tests.support.fake_tmdb import KEY, Answer, FakeTmdb, open_client


@pytest.fixture
async def client(tmdb_server: FakeTmdb) -> AsyncIterator[Tmdb]:
    async with open_client(tmdb_server) as client:
        yield client


def count_requests(outcome: str) -> float:
    return metrics.tmdb_requests_total.labels(outcome)._value.get()


async def test_a_film_is_requested_as_documented(client: Tmdb, tmdb_server: FakeTmdb) -> None:
    # given
    tmdb_server.has_movies(603)
    # when
    film = await client.movie(603)
    # then the answer is typed, what we do not read is left behind
    assert film is not None
    assert (film.id, film.title, film.runtime, film.external_ids.imdb_id) == (
        603, "The Film 603", 136, "tt0000603",
    )  # fmt: skip
    assert [member.name for member in film.credits.cast] == ["Second", "First"]
    # and the request was TMDb's, with the key in its header and nowhere else
    ((path, query, headers),) = tmdb_server.seen
    assert (path, query) == ("/movie/603", {"append_to_response": "credits,external_ids,similar"})
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"] == USER_AGENT
    assert KEY not in path + str(query)


async def test_every_call_has_its_path_and_query(client: Tmdb, tmdb_server: FakeTmdb) -> None:
    # given
    tmdb_server.has_show(1399)
    page = fake_tmdb.build_page(7, 8)
    tmdb_server.answers |= dict.fromkeys(
        ["/search/movie", "/search/tv", "/search/person", "/discover/movie", "/discover/tv",
         "/trending/tv/week", "/movie/changes", "/tv/changes"], page,
    )  # fmt: skip
    tmdb_server.answers["/genre/movie/list"] = {"genres": [{"id": 28, "name": "Action"}]}
    # when everything is asked
    show = await client.show(1399)
    season = await client.season(1399, 1)
    genres = await client.genres(TmdbKind.MOVIE)
    results = await client.search(TmdbKind.SHOW, "throne & co", 2)
    await client.search_people("ada")
    await client.trending(TmdbKind.SHOW)
    await client.discover(TmdbKind.MOVIE, 3, vote_count__gte=300)
    changes = await client.changes(TmdbKind.MOVIE, date(2024, 1, 1), date(2024, 1, 14))
    # then
    assert show is not None and [each.season_number for each in show.seasons] == [0, 1]
    assert season is not None and [each.runtime for each in season.episodes] == [62, 62]
    assert [(each.id, each.name) for each in genres] == [(28, "Action")]
    assert [line.id for line in results.results] == [line.id for line in changes.results] == [7, 8]
    assert [(seen.path, seen.query) for seen in tmdb_server.seen[1:]] == [
        ("/tv/1399/season/1", {}),
        ("/genre/movie/list", {}),
        ("/search/tv", {"query": "throne & co", "page": "2", "include_adult": "false"}),
        ("/search/person", {"query": "ada", "page": "1", "include_adult": "false"}),
        ("/trending/tv/week", {"page": "1"}),
        ("/discover/movie", {"page": "3", "include_adult": "false", "vote_count.gte": "300"}),
        ("/movie/changes", {"start_date": "2024-01-01", "end_date": "2024-01-14", "page": "1"}),
    ]


async def test_what_did_not_change_is_not_sent_again(client: Tmdb, tmdb_server: FakeTmdb) -> None:
    # given a film that was asked for
    tmdb_server.has_movies(603)
    before = await client.movie(603)
    unchanged = count_requests("unchanged")
    # when it is asked for again
    again = await client.movie(603)
    # then TMDb was told which one we have, and it is the same
    assert again == before
    assert tmdb_server.seen[1].headers["if-none-match"].startswith('W/"')
    assert count_requests("unchanged") == unchanged + 1
    # and when it changes, the new one comes
    tmdb_server.answers["/movie/603"] = fake_tmdb.movie(603, title="Another")
    changed = await client.movie(603)
    assert changed is not None and changed.title == "Another"


async def test_what_tmdb_does_not_have_is_none(client: Tmdb, tmdb_server: FakeTmdb) -> None:
    assert await client.movie(1) is None
    assert await client.show(1) is None
    assert await client.season(1, 1) is None
    assert len(tmdb_server.seen) == 3


async def test_retry_after_holds_back_every_call(client: Tmdb, tmdb_server: FakeTmdb) -> None:
    # given a TMDb that has had enough for a second
    tmdb_server.has_movies(1, 2)
    tmdb_server.failures["/movie/1"] = [Answer(429, headers={"retry-after": "1"})]
    started = time.monotonic()
    first = asyncio.create_task(client.movie(1))
    while tmdb_server.paths() != ["/movie/1"]:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    # when another call is made meanwhile
    second = await client.movie(2)
    # then neither was sent before the second was over, and both were answered
    assert time.monotonic() - started >= 1
    assert await first is not None and second is not None
    assert sorted(tmdb_server.paths()) == ["/movie/1", "/movie/1", "/movie/2"]


async def test_a_pause_beyond_the_deadline_fails_at_once(tmdb_server: FakeTmdb) -> None:
    # given a TMDb that wants a minute, as a date
    tmdb_server.has_movies(1)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    tmdb_server.failures["/movie/1"] = [Answer(429, headers={"retry-after": later})]
    started = time.monotonic()
    # when
    async with open_client(tmdb_server, tmdb_deadline_seconds=5) as client:
        with pytest.raises(UpstreamUnavailable) as refused:
            await client.movie(1)
    # then nobody waited, and it says when to come back
    assert time.monotonic() - started < 2
    assert 50 <= (refused.value.retry_after_seconds or 0) <= 61
    assert tmdb_server.paths() == ["/movie/1"]


@pytest.mark.parametrize("text", ["0", "soon", "", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_an_odd_retry_after_is_waited_out_in_short(
    client: Tmdb, tmdb_server: FakeTmdb, text: str
) -> None:
    tmdb_server.has_movies(1)
    tmdb_server.failures["/movie/1"] = [Answer(429, headers={"retry-after": text})]
    assert await client.movie(1) is not None


async def test_two_failures_are_tried_over(client: Tmdb, tmdb_server: FakeTmdb) -> None:
    tmdb_server.has_movies(1)
    tmdb_server.failures["/movie/1"] = [Answer(502), Answer(500)]
    assert await client.movie(1) is not None
    assert len(tmdb_server.seen) == 3


async def test_three_failures_are_an_error_that_names_the_path(
    client: Tmdb, tmdb_server: FakeTmdb
) -> None:
    tmdb_server.failures["/movie/1"] = [Answer(503, b"secret stack trace")] * 3
    with pytest.raises(UpstreamUnavailable) as failed:
        await client.movie(1)
    assert failed.value.message == "TMDb answered 503 (/movie/1)."
    assert failed.value.code is ErrorCode.UPSTREAM_UNAVAILABLE
    assert len(tmdb_server.seen) == 3


async def test_a_silent_tmdb_is_tried_three_times(tmdb_server: FakeTmdb) -> None:
    tmdb_server.failures["/movie/1"] = [Answer(200, slow=True)] * 3
    async with open_client(tmdb_server, tmdb_timeout_seconds=0.1) as client:
        with pytest.raises(UpstreamUnavailable, match="did not answer in time"):
            await client.movie(1)
    assert len(tmdb_server.seen) == 3


async def test_the_deadline_ends_all_tries(tmdb_server: FakeTmdb) -> None:
    # given a TMDb that takes twenty seconds
    tmdb_server.failures["/movie/1"] = [Answer(200, slow=True)] * 9
    tmdb_server.slow_seconds = 20
    started = time.monotonic()
    async with open_client(tmdb_server, tmdb_deadline_seconds=1) as client:
        with pytest.raises(UpstreamUnavailable, match=r"did not answer in time \(/movie/1\)"):
            await client.movie(1)
    # then it is given up long before, and not tried again
    assert time.monotonic() - started < 10
    assert len(tmdb_server.seen) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(200, b'{"id": 1, "title": '), "makes no sense"),
        (Answer(200, b'{"id": "one", "title": "A"}'), "makes no sense"),
        (Answer(200, b'[1, "secret"]'), "makes no sense"),
        (Answer(200, b'{"id": 1, "title": "\xff"}'), "makes no sense"),
        (Answer(200, b" " * (requests.MAX_BODY_BYTES + 1)), "more than fits"),
        (Answer(200, b"xx", {"content-encoding": "gzip"}), "compressed"),
        (Answer(302, b"", {"location": "http://127.0.0.1:1/elsewhere"}), "answered 302"),
        (Answer(401, b'{"status_message": "secret"}'), "refused the key"),
        (Answer(422, b'{"errors": ["secret"]}'), "answered 422"),
    ],
    ids=["cut", "type", "array", "latin", "huge", "packed", "redirect", "key", "other"],
)
async def test_a_wrong_answer_is_refused_by_path_not_body(
    client: Tmdb, tmdb_server: FakeTmdb, answer: Answer, message: str
) -> None:
    tmdb_server.failures["/movie/1"] = [answer]
    with pytest.raises(UpstreamUnavailable, match=message) as failed:
        await client.movie(1)
    # then once, with the path, and nothing of the body or the key
    assert len(tmdb_server.seen) == 1
    assert "/movie/1" in failed.value.message
    assert "secret" not in failed.value.message
    assert KEY not in failed.value.message
    assert failed.value.__cause__ is None


async def test_at_most_forty_are_under_way(client: Tmdb, tmdb_server: FakeTmdb) -> None:
    # given 100 films and a slow TMDb
    tmdb_server.has_movies(*range(1, 101))
    tmdb_server.slow = True
    # when all are asked for at once
    films = await asyncio.gather(*(client.movie(number) for number in range(1, 101)))
    # then all came, never more than forty together
    assert [film.id for film in films if film] == list(range(1, 101))
    assert 30 <= tmdb_server.most_in_flight <= requests.MAX_IN_FLIGHT == 40


@pytest.mark.parametrize("key", ["", "  "])
async def test_without_a_key_nothing_is_requested(tmdb_server: FakeTmdb, key: str) -> None:
    async with open_client(tmdb_server, key=key) as client:
        assert not client.is_on
        with pytest.raises(UpstreamUnavailable, match="set TMDB_API_KEY"):
            await client.movie(1)
    assert tmdb_server.seen == []


async def test_the_key_is_in_no_log(
    client: Tmdb, tmdb_server: FakeTmdb, caplog: pytest.LogCaptureFixture
) -> None:
    tmdb_server.has_movies(1)
    with caplog.at_level(logging.DEBUG):
        await client.movie(1)
    assert KEY not in caplog.text


async def test_an_impossible_address_stops_the_start() -> None:
    with pytest.raises(StartupError, match="TMDB_BASE_URL"):
        async with open_tmdb(Settings(_env_file=None, tmdb_base_url="api.themoviedb.org/3")):
            pass


def test_cached_bodies_are_bounded_by_number_and_size() -> None:
    # given room for three, ten bytes in all
    bodies = BodyCache(3, 10)
    for name in "abc":
        bodies.put(name, CachedBody(name, b"12"))
    # when one is used and another comes, the longest unused goes
    assert bodies.get("a") is not None
    bodies.put("d", CachedBody("d", b"12"))
    assert [bodies.get(name) is not None for name in "abcd"] == [True, False, True, True]
    # and a large one drives out what it needs
    bodies.put("e", CachedBody("e", b"12345678"))
    assert (len(bodies), bodies.bytes) == (2, 10)
    bodies.put("e", CachedBody("e", json.dumps(1).encode()))
    assert bodies.bytes == 3
