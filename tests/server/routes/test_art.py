"""Drawn art over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from httpx import AsyncClient
from starlette.applications import Starlette
from starlette.routing import Route

import models
from resolvers.context import Runtime
from server.routes import art
from services.media.art import Subject, draw_backdrop, draw_poster
from tests.support.api_client import connect_app


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[AsyncClient]:
    """The two routes on a catalogue of one film and one show."""
    fields = {"title": "Faust & <Co>", "sort_title": "faust", "year": 1926}
    film = models.Movie(id="movie_1", **fields, genre_ids=["genre_fantasy", "genre_drama"])
    hidden = models.Movie(id="movie_2", **fields, is_active=False)
    await models.upsert(models.Movie, [film, hidden])
    await models.upsert(models.Show, [models.Show(id="show_1", **fields)])
    app = Starlette(
        routes=[
            Route("/art/posters/{title_id}.svg", art.poster),
            Route("/art/backdrops/{title_id}.svg", art.backdrop),
        ]
    )
    app.state.runtime = runtime
    async with connect_app(app) as client:
        yield client


async def test_a_poster_is_drawn_from_the_film(client: AsyncClient) -> None:
    response = await client.get("/art/posters/movie_1.svg")
    assert response.status_code == 200
    assert response.text == draw_poster(Subject("movie_1", "Faust & <Co>", 1926, "fantasy"))


async def test_a_show_has_a_backdrop_too(client: AsyncClient) -> None:
    response = await client.get("/art/backdrops/show_1.svg")
    assert response.status_code == 200
    assert response.text == draw_backdrop(Subject("show_1", "Faust & <Co>", 1926))


async def test_it_is_cached_for_a_day_and_can_run_nothing(client: AsyncClient) -> None:
    response = await client.get("/art/posters/movie_1.svg")
    assert response.headers["content-type"].startswith("image/svg+xml")
    assert response.headers["cache-control"] == "public, max-age=86400"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'"
    )


@pytest.mark.parametrize("form", ["W/{}", "{}", '"other", W/{}', "*"])
async def test_a_known_drawing_is_not_sent_again(client: AsyncClient, form: str) -> None:
    tag = (await client.get("/art/posters/movie_1.svg")).headers["etag"]
    assert tag.startswith('W/"')
    response = await client.get(
        "/art/posters/movie_1.svg", headers={"If-None-Match": form.format(tag[2:])}
    )
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == tag
    assert response.headers["cache-control"] == "public, max-age=86400"


async def test_another_drawing_is_sent(client: AsyncClient) -> None:
    response = await client.get(
        "/art/posters/movie_1.svg", headers={"If-None-Match": '"something-else"'}
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "title_id", ["movie_9", "movie_2", "show_9", "person_1", "movie_", "%3Cscript%3E", "..%2f"]
)
async def test_unknown_and_hidden_titles_have_no_art(client: AsyncClient, title_id: str) -> None:
    response = await client.get(f"/art/posters/{title_id}.svg")
    assert response.status_code == 404
    if title_id != "..%2f":  # not even our route
        assert response.json() == {"error": "No title has this id."}
