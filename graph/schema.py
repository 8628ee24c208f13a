"""The public schema, assembled from the domains. `schema.graphql` is generated from here."""

from __future__ import annotations

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.account_edits import AccountEditsMutation
from graph.accounts import AccountsMutation, AccountsQuery, Viewer
from graph.analytics import AnalyticsQuery, AnalyticsSubscription, announce
from graph.api_keys import ApiKey, ApiKeysMutation
from graph.breakers import BreakersMutation, BreakersQuery, BreakersSubscription, CircuitBreaker
from graph.cache_admin import CacheMutation
from graph.catalog import CatalogQuery, Genre, Movie, Person
from graph.catalog_edits import CatalogMutation
from graph.directives import describe_arguments
from graph.documents import Documents
from graph.history import HistoryMutation, Viewing
from graph.hls import HlsQuery
from graph.jobs import Job, JobsMutation, JobsSubscription
from graph.nodes import NodeQuery
from graph.playback import PlaybackMutation, PlaybackQuery, PlaybackSession
from graph.progress import ViewingProgress
from graph.progress_edits import ProgressMutation, ProgressSubscription
from graph.provider_search import ProviderSearchQuery
from graph.providers import Provider, ProvidersMutation, ProvidersQuery
from graph.rate_limits import RateLimitsQuery
from graph.scalars import SCALARS
from graph.search import SearchQuery
from graph.sessions import AuthSession, SessionsMutation
from graph.shows import Episode, Season, ShowsQuery, TvShow
from graph.watchlist import WatchlistMutation
from services.settings.settings import Settings


@strawberry.type(description="Everything that can be read.")
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


@strawberry.type(description="Everything that can be changed.")
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


@strawberry.type(description="Everything that can be watched as it happens.")
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
    """The registry of documents of this schema, as this process's settings want it."""
    return Documents(schema, CONFIG, introspection=settings.introspection_allowed)


def sdl() -> str:
    """The text of `schema.graphql`."""
    return schema.as_str().rstrip() + "\n"


announce(sdl())
