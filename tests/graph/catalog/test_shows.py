"""Shows, seasons and episodes through the front door."""

from __future__ import annotations

import pytest

import models
from resolvers.context import Runtime
from tests.conftest import CountCommands
from tests.support.api_client import GraphQL, fetch_data, token_for
from tests.support.titles import credit, film, genre, person, show, store, whole_show

SHOW = """query ($by: TvShowBy!) { tvShow(by: $by) {
  __typename id title status seasonCount genres { slug } poster { url(width: 100) }
  credits { person { name } title { __typename id } character }
  seasons { number episodes { number name season { number } show { id } runtimeSeconds } }
  season(number: 2) { id } none: season(number: 9) { id }
  episode(season: 2, number: 1) { id } nothing: episode(season: 2, number: 9) { id }
} }"""


@pytest.fixture
async def shows(runtime: Runtime) -> None:
    await store(
        [
            *whole_show(
                1,
                [2, 1],
                status=models.ShowStatus.RETURNING,
                tmdb_id=100,
                genre_ids=["genre_drama"],
                popularity=5.0,
                poster_path="/art/posters/show_00001.svg",
                credits=[credit("show_00001", 1, character="Ada")],
            ),
            *whole_show(2, [1], popularity=9.0, rating=7.0, year=2001),
            show(3, is_active=False, tmdb_id=300),
            film(1, popularity=7.0, credits=[credit("movie_00001", 1, character="Eve")]),
            person(1, "Ida Lupino"),
            genre("drama"),
        ]
    )


async def test_a_show_comes_with_its_seasons_and_episodes(graphql: GraphQL, shows: None) -> None:
    tv_show = (await fetch_data(graphql, SHOW, by={"tmdbId": 100}))["tvShow"]
    parts = {name: tv_show.pop(name) for name in ("seasons", "season", "episode", "credits")}
    assert tv_show.pop("poster")["url"].endswith("/art/posters/show_00001.svg")
    assert tv_show == {
        "__typename": "TvShow",
        "id": "show_00001",
        "title": "Show 1",
        "status": "RETURNING",
        "seasonCount": 2,
        "genres": [{"slug": "drama"}],
        "none": None,
        "nothing": None,
    }
    numbers = [(one["number"], len(one["episodes"])) for one in parts["seasons"]]
    assert numbers == [(1, 2), (2, 1)]
    assert parts["seasons"][0]["episodes"][1] == {
        "number": 2,
        "name": None,
        "season": {"number": 1},
        "show": {"id": "show_00001"},
        "runtimeSeconds": 1800,
    }
    assert parts["season"] == {"id": "season_1.2"}
    assert parts["episode"] == {"id": "episode_1.2.1"}
    assert parts["credits"] == [
        {
            "person": {"name": "Ida Lupino"},
            "title": {"__typename": "TvShow", "id": "show_00001"},
            "character": "Ada",
        }
    ]


async def test_what_is_deleted_or_of_another_kind_is_null(graphql: GraphQL, shows: None) -> None:
    query = "query ($by: TvShowBy!) { tvShow(by: $by) { id } }"
    for by in ({"tmdbId": 300}, {"id": "show_00003"}, {"id": "movie_00001"}, {"tmdbId": 5}):
        assert await fetch_data(graphql, query, by=by) == {"tvShow": None}


async def test_anything_of_a_show_is_a_node(graphql: GraphQL, shows: None) -> None:
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
    requested_ids = ["episode_1.1.1", "show_00001", "season_2.1", "show_00003", "episode_9.9.9"]
    assert (await fetch_data(graphql, query, ids=requested_ids))["nodes"] == [
        {"__typename": "Episode", "id": "episode_1.1.1"},
        {"__typename": "TvShow", "id": "show_00001"},
        {"__typename": "Season", "id": "season_2.1"},
        None,
        None,
    ]


async def test_people_are_credited_for_films_and_shows(graphql: GraphQL, shows: None) -> None:
    query = """{ person(id: "person_00001") { credits {
        character title { __typename title ... on TvShow { seasonCount } } } } }"""
    assert (await fetch_data(graphql, query))["person"]["credits"] == [
        {"character": "Eve", "title": {"__typename": "Movie", "title": "Film 1"}},
        {
            "character": "Ada",
            "title": {"__typename": "TvShow", "title": "Show 1", "seasonCount": 2},
        },
    ]


async def test_shows_are_filtered_ordered_counted_and_paged(graphql: GraphQL, shows: None) -> None:
    query = """query ($filter: MovieFilter, $after: String, $orderBy: MovieOrder) {
      tvShows(first: 1, after: $after, filter: $filter, orderBy: $orderBy) {
        nodes { id } pageInfo { endCursor hasNextPage } totalCount { value precision } } }"""
    # given pages of one, by popularity
    one = (await fetch_data(graphql, query))["tvShows"]
    two = (await fetch_data(graphql, query, after=one["pageInfo"]["endCursor"]))["tvShows"]
    assert [one["nodes"], two["nodes"]] == [[{"id": "show_00002"}], [{"id": "show_00001"}]]
    assert (one["pageInfo"]["hasNextPage"], two["pageInfo"]["hasNextPage"]) == (True, False)
    # the whole list is estimated: deleted shows are among it
    assert one["totalCount"] == {"value": 3, "precision": "ESTIMATED"}
    # a filtered one is counted
    drama = (await fetch_data(graphql, query, filter={"genres": ["drama"]}))["tvShows"]
    assert drama["nodes"] == [{"id": "show_00001"}]
    assert drama["totalCount"] == {"value": 1, "precision": "EXACT"}
    # and every order works, shows without a value last
    for field in ("RATING", "RELEASE_DATE", "TITLE", "CREATED_AT"):
        order = {"field": field}
        first = (await fetch_data(graphql, query, orderBy=order))["tvShows"]
        after = first["pageInfo"]["endCursor"]
        second = (await fetch_data(graphql, query, orderBy=order, after=after))["tvShows"]
        expected = ["show_00002", "show_00001"]
        assert [first["nodes"][0]["id"], second["nodes"][0]["id"]] == expected


async def test_episodes_play(graphql: GraphQL, runtime: Runtime, shows: None) -> None:
    # given a signed-in viewer who starts an episode
    start = """mutation { startPlayback(input: {
        playableId: "episode_1.1.2", device: {key: "tv"}}) {
      session { id playable { __typename id runtimeSeconds } durationSeconds } } }"""
    token = token_for(runtime)
    _, body = await graphql(start, token=token)
    session = body["data"]["startPlayback"]["session"]
    assert session["durationSeconds"] == 1800
    assert session["playable"] == {
        "__typename": "Episode",
        "id": "episode_1.1.2",
        "runtimeSeconds": 1800,
    }
    # when it is reported
    report = """mutation ($id: ID!) { reportProgress(input: {
        sessionId: $id, sequence: 0, positionSeconds: 600}) { applied } }"""
    _, body = await graphql(report, {"id": session["id"]}, token=token)
    assert body["data"]["reportProgress"] == {"applied": True}
    # then the show's episodes tell it, and sources are looked for
    query = """{ tvShow(by: {id: "show_00001"}) { season(number: 1) { episodes {
        progress { positionSeconds playable { __typename id } }
        streamingSources { origin sources { url } } } } } }"""
    _, body = await graphql(query, token=token)
    assert body["data"]["tvShow"]["season"]["episodes"] == [
        {"progress": None, "streamingSources": {"origin": "DEFAULT", "sources": []}},
        {
            "progress": {
                "positionSeconds": 600,
                "playable": {"__typename": "Episode", "id": "episode_1.1.2"},
            },
            "streamingSources": {"origin": "DEFAULT", "sources": []},
        },
    ]


async def test_many_shows_cost_what_one_costs(
    graphql: GraphQL, runtime: Runtime, count_commands: CountCommands
) -> None:
    await store(part for number in range(20) for part in whole_show(number, [2, 2]))
    query = """query ($first: Int) { tvShows(first: $first) { nodes { season(number: 1) { id }
        episode(season: 2, number: 2) { id }
        seasons { episodes { season { show { id } } } } } } }"""
    costs = []
    for first in (1, 20):
        await runtime.redis.flushdb()
        runtime.cache.clear_memory()
        await count_commands.reset()
        nodes = (await fetch_data(graphql, query, first=first))["tvShows"]["nodes"]
        assert len(nodes) == first
        assert nodes[-1]["seasons"][1]["episodes"][1]["season"]["show"]["id"].startswith("show_")
        costs.append(sorted(count_commands.mongo))
    assert costs[0] == costs[1]
    assert len(costs[0]) <= 5
