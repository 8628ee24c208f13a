"""Search through the front door, on MongoDB's own text indexes."""

from __future__ import annotations

from typing import Any

import pytest

import models
from resolvers.context import Runtime
from tests.conftest import CountCommands
from tests.support.api_client import GraphQL
from tests.support.titles import film, person, show, store

SEARCH = """query ($query: String!, $kinds: [SearchKind!], $filter: MovieFilter,
    $first: Int, $after: String) {
  search(query: $query, kinds: $kinds, filter: $filter, first: $first, after: $after) {
    edges { cursor score node { __typename ... on Movie { id title } ... on TvShow { id status }
      ... on Person { id name } } }
    nodes { __typename }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


@pytest.fixture
async def library(runtime: Runtime) -> None:
    await store(
        [
            film(1, title="The Lighthouse", overview="Two keepers and a storm.", year=2019),
            film(2, title="Storm Front", overview="A lighthouse, at last.", year=1990),
            film(3, title="Lighthouse Keepers", is_active=False),
            film(4, title="It", overview="A clown."),
            film(5, title="Les Amants", original_title="Les Âmes du phare"),
            show(1, title="Lighthouse Lane", overview="Life by the sea.", year=2005),
            person(1, "Ada Lighthouse"),
            person(2, "Eve Storm"),
        ]
    )


async def search(graphql: GraphQL, query: str, **variables: Any) -> Any:
    status, body = await graphql(SEARCH, {"query": query, **variables})
    assert (status, body.keys()) == (200, {"data"}), body
    return body["data"]["search"]


async def refused(graphql: GraphQL, query: str, **variables: Any) -> str:
    _, body = await graphql(SEARCH, {"query": query, **variables})
    assert body["data"] == {"search": None}
    (error,) = body["errors"]
    return str(error["extensions"]["code"])


def ids_of(page: Any) -> list[str]:
    return [edge["node"]["id"] for edge in page["edges"]]


async def test_all_kinds_are_found_a_name_above_a_description(
    graphql: GraphQL, library: None
) -> None:
    page = await search(graphql, "lighthouse")
    # then titles and names come before the film that only tells of one; deleted ones never
    assert set(ids_of(page)[:3]) == {"movie_00001", "show_00001", "person_00001"}
    assert ids_of(page)[3:] == ["movie_00002"]
    scores = [edge["score"] for edge in page["edges"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[3] > 0
    assert [node["__typename"] for node in page["nodes"]] == [
        edge["node"]["__typename"] for edge in page["edges"]
    ]
    assert page["pageInfo"]["hasNextPage"] is False


async def test_kinds_and_filters_leave_out(graphql: GraphQL, library: None) -> None:
    page = await search(graphql, "lighthouse", kinds=["PERSON", "TV_SHOW"])
    assert set(ids_of(page)) == {"show_00001", "person_00001"}
    # a filter is for titles; people always fit
    page = await search(graphql, "lighthouse", filter={"yearFrom": 2000, "yearTo": 2010})
    assert set(ids_of(page)) == {"show_00001", "person_00001"}
    assert ids_of(await search(graphql, "lighthouse", kinds=[])) == []


async def test_any_word_is_enough_in_any_case_and_accent(graphql: GraphQL, library: None) -> None:
    page = await search(graphql, "STORM keepers")
    assert set(ids_of(page)) == {"movie_00001", "movie_00002", "person_00002"}
    assert ids_of(await search(graphql, "ames")) == ["movie_00005"]
    assert ids_of(await search(graphql, "it")) == ["movie_00004"]


@pytest.mark.parametrize(
    "query",
    ['"storm front" lane', "storm -front", "--storm", '"storm"', "storm\\", "storm $where [.*]"],
)
async def test_nothing_in_a_query_is_an_operator(
    graphql: GraphQL, library: None, query: str
) -> None:
    result_ids = ids_of(await search(graphql, query, kinds=["MOVIE"]))
    assert set(result_ids) == {"movie_00001", "movie_00002"}


@pytest.mark.parametrize("query", [".*", "", "  ", '"-"', "-", "a" * 101])
async def test_queries_without_a_word_are_refused(
    graphql: GraphQL, library: None, query: str
) -> None:
    assert await refused(graphql, query) == "VALIDATION_FAILED"


async def test_bad_pages_are_refused(graphql: GraphQL, library: None) -> None:
    assert await refused(graphql, "storm", first=0) == "VALIDATION_FAILED"
    assert await refused(graphql, "storm", after="x") == "INVALID_CURSOR"
    # a cursor of another list is no cursor here
    _, body = await graphql("{ movies(first: 1) { pageInfo { endCursor } } }")
    other = body["data"]["movies"]["pageInfo"]["endCursor"]
    assert await refused(graphql, "storm", after=other) == "INVALID_CURSOR"


async def test_pages_go_through_all_kinds_once_among_equal_scores(graphql: GraphQL) -> None:
    # given forty things of one name, so of few different scores
    await store(
        [
            *(film(number, title="Harbour") for number in range(15)),
            *(show(number, title="Harbour") for number in range(15)),
            *(person(number, "Harbour") for number in range(10)),
        ]
    )
    # when they are paged through, one of them gone meanwhile and one come that is behind
    seen: list[str] = []
    after = None
    while True:
        page = await search(graphql, "harbour", first=7, after=after)
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += ids_of(page)
        after = page["pageInfo"]["endCursor"]
        if len(seen) == 7:
            await models.Movie.get_pymongo_collection().delete_one({"_id": "movie_00000"})
            await store([person(99, "Harbour")])
        if not page["pageInfo"]["hasNextPage"]:
            break
    # then each that stood throughout was met once
    assert len(seen) == len(set(seen))
    assert len(set(seen) - {"movie_00000", "person_00099"}) == 39


async def test_a_search_costs_the_same_at_every_size(
    graphql: GraphQL, runtime: Runtime, count_commands: CountCommands
) -> None:
    await store([film(n, title="Quay") for n in range(20)] + [show(1, title="Quay")])
    await store([person(number, "Quay") for number in range(20)])
    costs = []
    for first in (5, 40):
        await runtime.redis.flushdb()
        runtime.cache.clear_memory()
        await count_commands.reset()
        assert len(ids_of(await search(graphql, "quay", first=first))) == first
        commands = sorted(count_commands.mongo)
        costs.append([name for name in commands if name.endswith("aggregate")])
    assert costs == [["movies.aggregate", "people.aggregate", "shows.aggregate"]] * 2
    # and again, for a minute, none
    await count_commands.reset()
    assert len(ids_of(await search(graphql, "quay", first=40))) == 40
    assert count_commands.mongo == []


SUGGEST = """query ($text: String!, $first: Int) { suggest(text: $text, first: $first) {
  __typename ... on Movie { id } ... on TvShow { id } ... on Person { id } } }"""


async def suggest(graphql: GraphQL, text: str, **variables: Any) -> list[str]:
    _, body = await graphql(SUGGEST, {"text": text, **variables})
    assert body.keys() == {"data"}, body
    return [node["id"] for node in body["data"]["suggest"]]


async def test_suggestions_begin_as_what_is_typed_most_popular_first(
    graphql: GraphQL, library: None
) -> None:
    await store(
        [
            film(11, title="The Light", popularity=1.0),
            film(12, title="Lights Out", popularity=9.0),
            film(13, title="City Lights", popularity=99.0),
            film(14, title="Light", popularity=0.0),
        ]
    )
    # a whole name first, then names that begin so, then those that have a word that does
    assert (await suggest(graphql, "light", first=4)) == [
        "movie_00014",
        "movie_00011",
        "movie_00012",
        "movie_00001",
    ]
    assert (await suggest(graphql, "ligh", first=20))[-2:] == ["movie_00013", "person_00001"]
    # a blank ends the word
    assert (await suggest(graphql, "lights ", first=2)) == ["movie_00012", "movie_00013"]


async def test_suggestions_want_two_letters_and_forgive_one(
    graphql: GraphQL, library: None, count_commands: CountCommands
) -> None:
    await count_commands.reset()
    assert [await suggest(graphql, text) for text in ("", "l", " l ", "-")] == [[]] * 4
    assert count_commands.mongo == []
    assert "movie_00001" in await suggest(graphql, "lighthose")
    _, body = await graphql(SUGGEST, {"text": "li", "first": 21})
    assert body["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("東京", "東京物語"),
        ("STRASSE", "Die freudlose Straße"),
        ("istanbul", "İstanbul"),
        ("Lodz", "Łódź"),
        ("aero", "Ærø"),
        ("metr", "Metropolis"),
        ("nosf", "Nosferatu"),
        ("Chaplim", "Chaplin"),
        ("ต้มยำ", "ต้มยำกุ้ง"),
        ("walle", "WALL·E"),
        ("wall e", "WALL·E"),
        ("spiderman", "Spider-Man"),
        ("spider man", "Spiderman"),
        ("xmen", "X-Men"),
        ("e.t.", "E.T. the Extra-Terrestrial"),
        ("et", "E.T. the Extra-Terrestrial"),
        ("oceans eleven", "Ocean's Eleven"),
        ("rocky 2", "Rocky II"),
        ("rocky ii", "Rocky 2"),
        ("fast & furious", "Fast and Furious"),
        ("gladiatr", "Gladiator"),
        ("se7en", "Seven"),
        ("the the", "The The"),
        ("ai", "A.I. Artificial Intelligence"),
        ("$", "$"),
    ],
)
async def test_a_film_is_found_however_its_name_is_typed(
    graphql: GraphQL, query: str, found: str
) -> None:
    # given the film, known by one more name, among others
    others = [film(n, title=title) for n, title in enumerate(("The Wall", "Rocks", "Sevens"), 2)]
    more = ["Se7en"] if found == "Seven" else []
    await store([film(1, title=found, also_known_as=more), *others])
    # then it is the first hit
    assert ids_of(await search(graphql, query))[:1] == ["movie_00001"]


async def test_better_matches_come_before_popular_ones(graphql: GraphQL) -> None:
    titles = ["Star Wars", "A Star Wars Tale", "Wars of a Star", "Starry Warsaw", "Stat Wars"]
    await store(film(n, title=title, popularity=float(10**n)) for n, title in enumerate(titles, 1))
    assert ids_of(await search(graphql, "star wars")) == [f"movie_{n:05}" for n in range(1, 6)]
    # and among equal ones popularity decides
    await store([film(6, title="Star Wars", popularity=0.5)])
    films = await search(graphql, "Star  WARS!", kinds=["MOVIE"])
    assert ids_of(films)[:2] == ["movie_00001", "movie_00006"]


async def test_a_changed_name_is_found_and_the_old_one_is_not(graphql: GraphQL) -> None:
    await store([film(1, title="Lighthouse", original_title="Phare")])
    assert await models.edit_movie("movie_00001", {"title": "Harbour"}, None) is not None
    assert ids_of(await search(graphql, "harbour")) == ["movie_00001"]
    assert ids_of(await search(graphql, "phare")) == ["movie_00001"]
    assert ids_of(await search(graphql, "lighthouse")) == []
    # and an import that changes it again
    await store([film(1, title="Quay")])
    assert ids_of(await search(graphql, "quay")) == ["movie_00001"]
    assert ids_of(await search(graphql, "harbours")) == []


async def test_a_cursor_is_of_one_search(graphql: GraphQL, library: None) -> None:
    page = await search(graphql, "lighthouse", first=1)
    cursor = page["pageInfo"]["endCursor"]
    assert await refused(graphql, "storm", after=cursor) == "INVALID_CURSOR"
    assert await refused(graphql, "lighthouse", kinds=["MOVIE"], after=cursor) == "INVALID_CURSOR"
    filtered = {"filter": {"yearFrom": 1900}, "after": cursor}
    assert await refused(graphql, "lighthouse", **filtered) == "INVALID_CURSOR"
    # the same words in another spelling are the same search
    assert len(ids_of(await search(graphql, "LIGHTHOUSE!", after=cursor))) == 3


async def test_all_hits_are_paged_through_beyond_those_read_at_first(graphql: GraphQL) -> None:
    # given more films with a word, and more with its beginning, than a first search reads
    await store(film(n, title=f"Quay {n}", popularity=float(n % 7)) for n in range(250))
    await store(film(n, title=f"Quays {n}", popularity=99.0) for n in range(250, 400))
    seen: list[str] = []
    after = None
    while True:
        page = await search(graphql, "quay", first=60, after=after, kinds=["MOVIE"])
        seen += ids_of(page)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen)) == 400
    assert set(seen[:250]) == {f"movie_{n:05}" for n in range(250)}
