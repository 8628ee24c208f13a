"""Strawberry, Beanie and Strawberry's DataLoader as their documentation teaches, on Uvicorn.

QUERY_CACHE=on adds Strawberry's own ParserCache and ValidationCache extensions.
"""

from __future__ import annotations

import contextlib
import enum
import os
from collections.abc import AsyncIterator

import documents
import film_types as types
import progress
import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig


@strawberry.enum
class MovieCategory(enum.Enum):
    POPULAR = "POPULAR"
    TRENDING = "TRENDING"
    TOP_RATED = "TOP_RATED"
    NEW_RELEASES = "NEW_RELEASES"
    UPCOMING = "UPCOMING"
    FEATURED = "FEATURED"


@strawberry.input(one_of=True)
class MovieBy:
    id: strawberry.ID | None = strawberry.UNSET
    tmdb_id: int | None = strawberry.UNSET
    imdb_id: str | None = strawberry.UNSET


@strawberry.type
class Query:
    @strawberry.field
    async def movies(
        self, category: MovieCategory | None = None, first: int | None = None
    ) -> types.MovieConnection:
        wanted = first or 20
        rows = await documents.popular_movies(wanted + 1)
        return types.MovieConnection(
            nodes=[types.Movie.of(row) for row in rows[:wanted]],
            page_info=types.PageInfo(has_next_page=len(rows) > wanted),
        )

    @strawberry.field
    async def movie(self, by: MovieBy) -> types.Movie | None:
        row = await documents.active_movie(by.id) if by.id else None
        return types.Movie.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def report_progress(
        self, input: progress.ReportProgressInput
    ) -> progress.ProgressPayload:
        return await progress.save_progress(input)


class Endpoint(GraphQL[types.Loaders, None]):
    async def get_context(
        self, request: Request | WebSocket, response: Response | WebSocket
    ) -> types.Loaders:
        return types.make_loaders()


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    await documents.connect()
    yield


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(scalar_map={types.URL: strawberry.scalar(name="URL")}),
    extensions=[ParserCache, ValidationCache] if os.environ.get("QUERY_CACHE") == "on" else [],
)
endpoint = Endpoint(schema, graphql_ide=None)
app = Starlette(routes=[Route("/graphql", endpoint)], lifespan=lifespan)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
