"""The public schema, assembled from the subjects. `schema.graphql` is generated from here."""

from __future__ import annotations

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph import accounts, catalog, nodes, ops, playback, sources
from graph.base.directives import describe_arguments
from graph.base.extension import apply_extensions
from graph.base.node import NODE_TYPES
from graph.base.roots import Mutation, Query, Subscription
from graph.base.scalars import SCALARS
from graph.engine.documents import Documents
from graph.engine.manifests import read_manifests
from graph.ops.analytics import set_schema_text
from services.settings.settings import Settings

# Fields that subjects add to each other's types follow in this order.
SUBJECTS = (nodes, accounts, catalog, sources, playback, ops)
CONFIG = StrawberryConfig(scalar_map=SCALARS)

apply_extensions(subject.__name__ for subject in SUBJECTS)
schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[node.type for node in NODE_TYPES.values()],
    config=CONFIG,
)
describe_arguments(schema._schema)


def open_documents(settings: Settings) -> Documents:
    """Open the registry of documents of this schema under the process's settings."""
    return Documents(
        schema,
        CONFIG,
        introspection=settings.introspection_allowed,
        published=read_manifests(settings.published_documents),
    )


def sdl() -> str:
    """Return the text of `schema.graphql`."""
    return schema.as_str().rstrip() + "\n"


set_schema_text(sdl())
