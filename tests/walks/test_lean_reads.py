"""A visitor's pages read MongoDB the lean way alone: nothing is left to the driver."""

from __future__ import annotations

from tests.support.api_client import GraphQL, fetch_data
from tests.support.lean_reads import ReadCounts

BROWSE = """{ movies(first: 10) {
  nodes { id title genres { name } credits { person { name } } similar(first: 3) { id } } } }"""
FILM = "query ($id: ID!) { movie(by: {id: $id}) { title directors: credits { person { name } } } }"
SEARCH = '{ search(query: "the", kinds: [MOVIE]) { nodes { __typename } } }'


async def test_pages_films_and_searches_are_read_the_lean_way(
    graphql: GraphQL, demo_catalog: None
) -> None:
    counts = ReadCounts()
    data = await fetch_data(graphql, BROWSE)
    await fetch_data(graphql, FILM, id=data["movies"]["nodes"][0]["id"])
    await fetch_data(graphql, SEARCH)
    assert counts.lean >= 5
    assert counts.fallbacks == {}
