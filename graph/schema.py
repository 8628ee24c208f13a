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
from graph.engine.persisted.manifests import read_published
from graph.ops.analytics import set_schema_text
from services.documents.trusted import TrustedDocuments
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


def open_documents(settings: Settings, trusted: TrustedDocuments | None = None) -> Documents:
    """Open the registry of documents of this schema under the process's settings.

    Args:
        trusted: those that operators pushed, now and later.
    """
    return Documents(
        schema,
        CONFIG,
        introspection=settings.introspection_allowed,
        incremental=settings.incremental_delivery,
        published=read_published(settings.published_documents),
        trusted=trusted,
    )


def sdl() -> str:
    """Return the text of `schema.graphql`."""
    return schema.as_str().rstrip() + "\n"


set_schema_text(sdl())
