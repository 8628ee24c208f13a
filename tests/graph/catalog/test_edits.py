"""Films written by editors, through the front door."""

from __future__ import annotations

from typing import Any

import pytest

import models
from resolvers.context import Runtime
from tests.support.api_client import GraphQL, token_for
from tests.support.titles import film, genre, store

UPSERT = """mutation ($input: UpsertMovieInput!) { upsertMovie(input: $input) {
  movie { id tmdbId title overview year releaseDate runtimeSeconds isFeatured
    genres { slug } poster { url } backdrop { url } }
  errors { code path message } } }"""
DELETE = """mutation ($id: ID!) { deleteMovie(input: {id: $id}) {
  accepted errors { code path } } }"""
FILM = "query ($id: ID!) { movie(by: {id: $id}) { title overview } }"


@pytest.fixture
def editor(runtime: Runtime) -> str:
    return token_for(runtime, models.Role.EDITOR)


async def upserted(graphql: GraphQL, token: str, **fields: Any) -> Any:
    status, body = await graphql(UPSERT, {"input": fields}, token=token)
    assert (status, body.keys()) == (200, {"data"}), body
    return body["data"]["upsertMovie"]


async def stored() -> list[dict[str, Any]]:
    return await models.Movie.get_pymongo_collection().find().to_list(None)


async def test_a_new_film_is_created_whole(graphql: GraphQL, editor: str) -> None:
    await store([genre("drama"), genre("noir")])
    answer = await upserted(
        graphql,
        editor,
        tmdbId=17,
        title="The Hitch-Hiker",
        overview="Two friends pick up a stranger.",
        releaseDate="1953-03-20",
        runtimeSeconds=4260,
        genres=["noir", "drama", "noir"],
        posterUrl="https://pictures.example/p.jpg",
        isFeatured=True,
    )
    movie = answer["movie"]
    id_ = movie.pop("id")
    assert answer["errors"] == []
    assert movie == {
        "tmdbId": 17,
        "title": "The Hitch-Hiker",
        "overview": "Two friends pick up a stranger.",
        "year": 1953,
        "releaseDate": "1953-03-20",
        "runtimeSeconds": 4260,
        "isFeatured": True,
        "genres": [{"slug": "noir"}, {"slug": "drama"}],
        "poster": {"url": "https://pictures.example/p.jpg"},
        "backdrop": None,
    }
    (row,) = await stored()
    assert (row["_id"], row["sort_title"], row["version"]) == (id_, "hitch-hiker", 1)


async def test_a_change_leaves_the_rest_alone_and_is_seen_at_once(
    graphql: GraphQL, editor: str
) -> None:
    await store([film(1, overview="Old.", rating=7.5, tmdb_id=3, release_date="1999-01-01")])
    # given the film in every cache
    _, before = await graphql(FILM, {"id": "movie_00001"})
    assert before["data"]["movie"] == {"title": "Film 1", "overview": "Old."}
    # when its title is changed and its overview taken away, once by id and once by number
    await upserted(graphql, editor, id="movie_00001", title="A Film")
    answer = await upserted(graphql, editor, tmdbId=3, overview=None)
    # then only those differ
    assert answer["movie"]["title"] == "A Film"
    _, after = await graphql(FILM, {"id": "movie_00001"})
    assert after["data"]["movie"] == {"title": "A Film", "overview": None}
    (row,) = await stored()
    assert (row["rating"], row["release_date"], row["version"]) == (7.5, "1999-01-01", 3)
    assert row["sort_title"] == "film"
    assert row["updated_at"] > row["created_at"]


async def test_what_is_refused_changes_nothing(graphql: GraphQL, editor: str) -> None:
    await store([film(1, tmdb_id=3), film(2, tmdb_id=4), film(3, is_active=False), genre("drama")])
    before = await stored()
    refused: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"id": "movie_00009", "title": "x"}, "NOT_FOUND", ["id"]),
        ({"id": "movie_00003", "title": "x"}, "NOT_FOUND", ["id"]),
        ({"id": "genre_drama", "title": "x"}, "NOT_FOUND", ["id"]),
        ({"id": "?", "title": "x"}, "VALIDATION_FAILED", ["id"]),
        ({"overview": "x"}, "VALIDATION_FAILED", ["title"]),
        ({"id": "movie_00001", "title": None}, "VALIDATION_FAILED", ["title"]),
        ({"id": "movie_00001", "title": " "}, "VALIDATION_FAILED", ["title"]),
        ({"id": "movie_00001", "isFeatured": None}, "VALIDATION_FAILED", ["isFeatured"]),
        ({"id": "movie_00001", "runtimeSeconds": 0}, "VALIDATION_FAILED", ["runtimeSeconds"]),
        ({"title": "x", "tmdbId": 0}, "VALIDATION_FAILED", ["tmdbId"]),
        ({"title": "x", "genres": ["drama", "none"]}, "VALIDATION_FAILED", ["genres", "1"]),
        ({"id": "movie_00001", "tmdbId": 4}, "ALREADY_EXISTS", ["tmdbId"]),
        ({"id": "movie_00001", "expectedVersion": 2}, "CONFLICT", ["expectedVersion"]),
        ({"title": "x", "expectedVersion": 1}, "CONFLICT", ["expectedVersion"]),
    ]
    for fields, code, path in refused:
        answer = await upserted(graphql, editor, **fields)
        assert answer["movie"] is None
        assert [(one["code"], one["path"]) for one in answer["errors"]] == [
            (code, ["input", *path])
        ], fields
    assert await stored() == before


async def test_of_two_editors_with_one_version_one_wins(graphql: GraphQL, editor: str) -> None:
    await store([film(1)])
    one = await upserted(graphql, editor, id="movie_00001", title="One", expectedVersion=1)
    other = await upserted(graphql, editor, id="movie_00001", title="Other", expectedVersion=1)
    assert (one["movie"]["title"], one["errors"]) == ("One", [])
    assert (other["movie"], other["errors"][0]["code"]) == (None, "CONFLICT")
    (row,) = await stored()
    assert (row["title"], row["version"]) == ("One", 2)


async def test_setting_nothing_writes_nothing(graphql: GraphQL, editor: str) -> None:
    await store([film(1)])
    before = await stored()
    answer = await upserted(graphql, editor, id="movie_00001")
    assert answer["movie"]["title"] == "Film 1"
    assert await stored() == before


async def test_a_deleted_film_is_gone_and_comes_back_by_its_number(
    graphql: GraphQL, editor: str
) -> None:
    await store([film(1, tmdb_id=3), film(2)])
    _, _ = await graphql(FILM, {"id": "movie_00001"})
    # when it is deleted
    _, body = await graphql(DELETE, {"id": "movie_00001"}, token=editor)
    assert body["data"]["deleteMovie"] == {"accepted": True, "errors": []}
    # then it is not there, and cannot be deleted twice
    _, body = await graphql(FILM, {"id": "movie_00001"})
    assert body["data"]["movie"] is None
    for id_ in ("movie_00001", "movie_00009", "genre_drama"):
        _, body = await graphql(DELETE, {"id": id_}, token=editor)
        assert body["data"]["deleteMovie"] == {
            "accepted": False,
            "errors": [{"code": "NOT_FOUND", "path": ["input", "id"]}],
        }
    # and its TMDb number brings it back
    answer = await upserted(graphql, editor, tmdbId=3, overview="Again.")
    assert answer["movie"]["id"] == "movie_00001"
    _, body = await graphql(FILM, {"id": "movie_00001"})
    assert body["data"]["movie"] == {"title": "Film 1", "overview": "Again."}


@pytest.mark.parametrize("role", [None, models.Role.USER])
async def test_only_editors_change_the_catalogue(
    graphql: GraphQL, runtime: Runtime, role: models.Role | None
) -> None:
    await store([film(1)])
    before = await stored()
    token = token_for(runtime, role) if role is not None else None
    code = "UNAUTHENTICATED" if role is None else "FORBIDDEN"
    for query, variables in (
        (UPSERT, {"input": {"id": "movie_00001", "title": "x"}}),
        (DELETE, {"id": "movie_00001"}),
    ):
        _, body = await graphql(query, variables, token=token)
        assert [error["extensions"]["code"] for error in body["errors"]] == [code]
    assert await stored() == before
