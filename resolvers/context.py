"""Runtime lives as long as the process, Context as long as an operation or stream event.

Everything a resolver may touch is reached from here, so a test or the command line can call it too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import models
from loaders import CachedLoader, CacheHits, Fields
from resolvers.runtimes import (
    AccountsRuntime,
    CatalogRuntime,
    OpsRuntime,
    PlaybackRuntime,
    SourcesRuntime,
)
from services.cache.cache import Cache
from services.errors import Forbidden, Unauthenticated
from services.limits.rate_limit import Admission
from services.playback.buffer import ProgressBuffer
from services.playback.repairs import RepairFlag
from services.redis import pool
from services.settings.settings import Settings

L = TypeVar("L", bound=CachedLoader[Any])


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in user, as the verified access token says. Times in seconds since 1970."""

    user_id: str
    role: models.Role
    tier: models.AccountTier
    login_id: str
    issued_at: float = field(default=0.0, compare=False)
    expires_at: float = field(default=math.inf, compare=False)
    scopes: frozenset[models.ApiKeyScope] | None = None  # of an API key; None: a person's rights


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a process has connected. `clock` is the wall clock in seconds; tests pass their own.

    `redis` is the cache's; `state_redis`, perhaps the same, has what must not be evicted.
    """

    settings: Settings
    redis: pool.Client
    state_redis: pool.Client
    cache: Cache
    accounts: AccountsRuntime
    catalog: CatalogRuntime
    sources: SourcesRuntime
    playback: PlaybackRuntime
    ops: OpsRuntime
    started_at: float = field(default_factory=time.time)
    clock: Callable[[], float] = time.time


@dataclass(slots=True)
class Browser:
    """A client that keeps its tokens in cookies, out of its scripts' reach.

    `refresh_token` and `device_token` are those it sent; `tokens` and `new_device_token` those it
    is to store; `forgets` says whether to delete its tokens.
    """

    refresh_token: str | None = None
    device_token: str | None = None
    tokens: tuple[str, str] | None = None  # access and refresh token, new
    new_device_token: str | None = None
    forgets: bool = False

    def keep(self, access_token: str, refresh_token: str, device_token: str | None) -> None:
        """Store these tokens with the answer."""
        self.tokens, self.forgets = (access_token, refresh_token), False
        self.new_device_token = device_token

    def forget(self) -> None:
        """Delete the tokens with the answer."""
        self.tokens, self.forgets = None, True


@dataclass(slots=True)
class Context:
    """One operation: its viewer, its client, and the loaders it has used."""

    runtime: Runtime
    viewer: Viewer | None = None
    request_id: str = "-"
    client_address: str | None = None
    user_agent: str | None = None
    browser: Browser | None = None  # set where the answer can carry cookies
    client_name: str | None = None  # what the client calls itself
    is_degraded: bool = False  # something stale was served
    admission: Admission | None = None  # what was counted for this operation
    include_cost: bool = False  # the answer tells its cost
    cache_hits: CacheHits | None = None  # by tier; counted on request, in development
    batches: dict[Any, Any] = field(default_factory=dict)  # of fields, by graphql-core
    _loaders: dict[type[Any], Any] = field(default_factory=dict)

    @property
    def cache(self) -> Cache:
        """The process's cache."""
        return self.runtime.cache

    @property
    def viewer_id(self) -> str | None:
        """The viewer's user id; None for an anonymous viewer."""
        return self.viewer.user_id if self.viewer is not None else None

    @property
    def progress_buffer(self) -> ProgressBuffer:
        """The buffer of progress in Redis."""
        return self.runtime.playback.progress

    @property
    def progress_repairs(self) -> RepairFlag:
        """The flag that says whether progress must be compared with MongoDB."""
        return self.runtime.playback.repairs

    def loader(self, kind: type[L]) -> L:
        """The operation's one loader of this class."""
        loader = self._loaders.get(kind)
        if loader is None:
            loader = self._loaders[kind] = kind(self)
        return loader

    async def load(self, kind: type[CachedLoader[Any]], key: str) -> Any:
        """Load one record by key, or None; batched with other loads of the same moment."""
        return await self.loader(kind).load(key)

    async def load_many(
        self, kind: type[CachedLoader[Any]], keys: Iterable[str], fields: Fields = None
    ) -> dict[str, Any]:
        """Load records by key, None where there is none; one read per missing cache tier."""
        return await self.loader(kind).many(keys, fields)

    def seen_cache_keys(self) -> set[str]:
        """Cache keys of everything this operation saw."""
        return {key for loader in self._loaders.values() for key in loader.seen_cache_keys()}

    def seen_tags(self) -> set[str]:
        """Tags of everything this operation saw, by which a CDN drops what shows it."""
        return {tag for loader in self._loaders.values() for tag in loader.seen_tags()}

    def require(self, role: models.Role) -> Viewer:
        """The viewer, if their role reaches `role`.

        Raises:
            Unauthenticated: nobody is signed in.
            Forbidden: the viewer's role is too low.
        """
        if self.viewer is None:
            raise Unauthenticated("Sign in to use this.")
        if self.viewer.role.rank < role.rank:
            raise Forbidden(f"This needs the role {role.value}.")
        return self.viewer

    def require_scope(self, scope: models.ApiKeyScope) -> None:
        """Check that the viewer may do this: people may, API keys with this scope.

        Raises:
            Forbidden: an API key without the scope.
        """
        scopes = self.viewer.scopes if self.viewer is not None else None
        if scopes is not None and scope not in scopes:
            raise Forbidden(f"This needs an API key with the scope {scope.value}.")

    def for_event(self) -> Context:
        """A context of the same viewer with fresh loaders, so an event sees current data."""
        return Context(
            self.runtime, self.viewer, self.request_id, self.client_address, self.user_agent
        )
