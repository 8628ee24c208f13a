"""The public schema, assembled from the domains. `schema.graphql` is generated from here."""

from __future__ import annotations

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.accounts import AccountsMutation, AccountsQuery, Viewer
from graph.catalog import CatalogQuery, Genre, Movie, Person
from graph.documents import Documents
from graph.nodes import NodeQuery
from graph.scalars import SCALARS
from services.settings import Settings


@strawberry.type(description="Everything that can be read.")
class Query(NodeQuery, CatalogQuery, AccountsQuery):
    pass


@strawberry.type(description="Everything that can be changed.")
class Mutation(AccountsMutation):
    pass


CONFIG = StrawberryConfig(scalar_map=SCALARS)

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    types=[Movie, Genre, Person, Viewer],
    config=CONFIG,
)


def open_documents(settings: Settings) -> Documents:
    """The registry of documents of this schema, as this process's settings want it."""
    return Documents(schema, CONFIG, introspection=settings.introspection_allowed)


def sdl() -> str:
    """The text of `schema.graphql`."""
    return schema.as_str().rstrip() + "\n"
