"""The public schema, assembled from the domains. `schema.graphql` is generated from here."""

from __future__ import annotations

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.accounts.account_edits import AccountEditsMutation
from graph.accounts.accounts import AccountsMutation, AccountsQuery, Viewer
from graph.accounts.api_keys import ApiKey, ApiKeysMutation
from graph.accounts.sessions import AuthSession, SessionsMutation
from graph.base.directives import describe_arguments
from graph.base.scalars import SCALARS
from graph.catalog.cache_admin import CacheMutation
from graph.catalog.catalog import CatalogQuery, Genre, Movie, Person
from graph.catalog.edits import CatalogMutation
from graph.catalog.search import SearchQuery
from graph.catalog.shows import Episode, Season, ShowsQuery, TvShow
from graph.engine.documents import Documents
from graph.nodes import NodeQuery
from graph.ops.analytics import AnalyticsQuery, AnalyticsSubscription, set_schema_text
from graph.ops.jobs import Job, JobsMutation, JobsSubscription
from graph.ops.rate_limits import RateLimitsQuery
from graph.playback.history import HistoryMutation, Viewing
from graph.playback.progress import ViewingProgress
from graph.playback.progress_edits import ProgressMutation, ProgressSubscription
from graph.playback.sessions import PlaybackMutation, PlaybackQuery, PlaybackSession
from graph.playback.watchlist import WatchlistMutation
from graph.sources.breakers import (
    BreakersMutation,
    BreakersQuery,
    BreakersSubscription,
    CircuitBreaker,
)
from graph.sources.hls import HlsQuery
from graph.sources.provider_search import ProviderSearchQuery
from graph.sources.providers import Provider, ProvidersMutation, ProvidersQuery
from services.settings.settings import Settings


@strawberry.type(description="Entry points to read data.")
class Query(
    NodeQuery,
    CatalogQuery,
    ShowsQuery,
    SearchQuery,
    AccountsQuery,
    ProvidersQuery,
    ProviderSearchQuery,
    BreakersQuery,
    HlsQuery,
    PlaybackQuery,
    AnalyticsQuery,
    RateLimitsQuery,
):
    pass


@strawberry.type(description="Entry points to change data.")
class Mutation(
    AccountsMutation,
    AccountEditsMutation,
    SessionsMutation,
    ApiKeysMutation,
    CatalogMutation,
    PlaybackMutation,
    ProgressMutation,
    HistoryMutation,
    JobsMutation,
    CacheMutation,
    WatchlistMutation,
    ProvidersMutation,
    BreakersMutation,
):
    pass


@strawberry.type(description="Entry points to receive events as they happen.")
class Subscription(
    AnalyticsSubscription, JobsSubscription, ProgressSubscription, BreakersSubscription
):
    pass


CONFIG = StrawberryConfig(scalar_map=SCALARS)

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[
        Movie,
        TvShow,
        Season,
        Episode,
        Genre,
        Person,
        Viewer,
        AuthSession,
        ApiKey,
        Provider,
        CircuitBreaker,
        PlaybackSession,
        ViewingProgress,
        Viewing,
        Job,
    ],
    config=CONFIG,
)
describe_arguments(schema._schema)


def open_documents(settings: Settings) -> Documents:
    """Open the registry of documents of this schema under the process's settings."""
    return Documents(schema, CONFIG, introspection=settings.introspection_allowed)


def sdl() -> str:
    """Return the text of `schema.graphql`."""
    return schema.as_str().rstrip() + "\n"


set_schema_text(sdl())
