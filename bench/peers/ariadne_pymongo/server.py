"""Ariadne over PyMongo's async client with aiodataloader, schema first, on Uvicorn."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import store
import uvicorn
from aiodataloader import DataLoader
from ariadne import (
    MutationType,
    ObjectType,
    QueryType,
    load_schema_from_path,
    make_executable_schema,
)
from ariadne.asgi import GraphQL
from graphql import GraphQLResolveInfo
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from store import Row

POSTER_BASE = os.environ.get("POSTER_BASE", "")

query = QueryType()
mutation = MutationType()
movie_type = ObjectType("Movie")
image_type = ObjectType("Image")
credit_type = ObjectType("Credit")
identified = [movie_type, ObjectType("Genre"), ObjectType("Person")]
for object_type in identified:
    object_type.set_alias("id", "_id")


@query.field("movies")
async def resolve_movies(
    _: None, info: GraphQLResolveInfo, first: int | None = None, category: str | None = None
) -> Row:
    wanted = first or 20
    rows = await store.popular_movies(wanted + 1)
    return {"nodes": rows[:wanted], "page_info": {"has_next_page": len(rows) > wanted}}


@query.field("movie")
async def resolve_movie(_: None, info: GraphQLResolveInfo, by: dict[str, str]) -> Row | None:
    return await store.active_movie(by["id"])


@movie_type.field("poster")
def resolve_poster(movie: Row, info: GraphQLResolveInfo) -> Row | None:
    return {"path": movie["poster_path"]} if movie["poster_path"] else None


@image_type.field("url")
def resolve_url(image: Row, info: GraphQLResolveInfo, width: int | None = None) -> str:
    has_widths = not image["path"].endswith(".svg")  # drawn posters are scaled by the browser
    return f"{POSTER_BASE}{image['path']}" + (f"?w={width}" if width and has_widths else "")


@movie_type.field("genres")
async def resolve_genres(movie: Row, info: GraphQLResolveInfo) -> list[Row]:
    rows = await info.context["genre"].load_many(movie["genre_ids"])
    return [row for row in rows if row]


@movie_type.field("credits")
def resolve_credits(movie: Row, info: GraphQLResolveInfo, first: int = 20) -> list[Row]:
    credits: list[Row] = movie["credits"]
    return credits[:first]


@movie_type.field("similar")
async def resolve_similar(movie: Row, info: GraphQLResolveInfo, first: int = 12) -> list[Row]:
    rows = await info.context["movie"].load_many(movie["similar_ids"][:first])
    return [row for row in rows if row]


@credit_type.field("person")
def resolve_person(credit: Row, info: GraphQLResolveInfo) -> Awaitable[Row | None]:
    found: Awaitable[Row | None] = info.context["person"].load(credit["person_id"])
    return found


@mutation.field("reportProgress")
async def resolve_report(_: None, info: GraphQLResolveInfo, input: dict[str, Any]) -> Row:
    return await store.save_progress(input)


def make_context(request: Request, body: object) -> dict[str, DataLoader[str, Row | None]]:
    batches: dict[str, Callable[[list[str]], Any]] = {
        "movie": store.movies_by_id,
        "person": store.people_by_id,
        "genre": store.genres_by_id,
    }
    return {name: DataLoader(batch_load_fn=batch) for name, batch in batches.items()}


schema = make_executable_schema(
    load_schema_from_path(str(Path(__file__).parent.parent / "schema.graphql")),
    [query, mutation, image_type, credit_type, *identified],
    convert_names_case=True,
)
endpoint = GraphQL(
    schema, context_value=make_context, introspection=False, execute_get_queries=True
)
app = Starlette(routes=[Route("/graphql", endpoint.handle_request, methods=["GET", "POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
