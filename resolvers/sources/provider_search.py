"""Search at the providers: which titles of our catalogue they have for a query."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import loaders
import models
from models import Role, SearchKind
from resolvers.context import Context
from resolvers.runtimes import SourcesRuntime
from resolvers.sources.provider_calls import call_provider
from resolvers.sources.providers import providers, select_providers, viewer_key
from services.cache.cache import Codec
from services.errors import ProviderFailed, UpstreamUnavailable, ValidationFailed
from services.providers.base import TitleKind
from services.redis import cache_keys

MAX_QUERY_CHARACTERS = 100
MAX_RESULTS = 50
_TITLE_KINDS = {SearchKind.MOVIE: TitleKind.MOVIE, SearchKind.TV_SHOW: TitleKind.TV}
Title = models.MovieRecord | models.ShowRecord
_NUMBERS = Codec[list[int]](list[int])


async def provider_search(context: Context, query: str, kind: SearchKind) -> list[Title]:
    """Titles of our catalogue among the results of the first provider that has any.

    Spends a provider's quota, so it is for editors; results are cached for five minutes. Providers
    know no people.

    Raises:
        ValidationFailed: the query is empty or over 100 characters.
        UpstreamUnavailable: every provider that can search failed.
        Unauthenticated, Forbidden.
    """
    context.require(Role.EDITOR)
    words = " ".join(query.split())
    if not 1 <= len(words) <= MAX_QUERY_CHARACTERS:
        message = f"`query` has 1 to {MAX_QUERY_CHARACTERS} characters."
        raise ValidationFailed(message, path=["query"])
    title_kind = _TITLE_KINDS.get(kind)
    if title_kind is None:
        return []
    numbers = await _numbers(context, words, title_kind)
    return await _titles(context, title_kind, numbers[:MAX_RESULTS])


async def _numbers(context: Context, words: str, kind: TitleKind) -> list[int]:
    """TMDb ids from the cache, or from the providers, once for all who wait."""
    infos = select_providers(await providers(context), viewer_key(context))
    keys = [
        info.key for info in infos if context.runtime.sources.providers.members[info.key].searches
    ]
    if not keys:
        return []
    text = "\x1f".join([kind.value, words.casefold(), *keys])
    name = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    cache, kind_ = context.cache, cache_keys.PROVIDER_SEARCH
    key = kind_.key(name)
    entries = cache.peek([key]) or await cache.fetch(kind_, _NUMBERS, [key])
    entry = entries.get(key)
    numbers: list[int]
    if entry is not None and entry.value is not None and entry.fresh_until > cache.now():
        numbers = entry.value
        return numbers
    sources = context.runtime.sources
    numbers = await sources.fetches.run(key, lambda: _search(sources, keys, words, kind))
    await cache.store(kind_, _NUMBERS, {key: cache.build_entry(kind_, numbers)})
    return numbers


async def _search(
    sources: SourcesRuntime, keys: Collection[str], words: str, kind: TitleKind
) -> list[int]:
    """TMDb ids from the first provider with results; empty if none has any.

    Raises:
        UpstreamUnavailable: no provider answered in time.
    """
    has_answered = False
    with suppress(TimeoutError):
        async with asyncio.timeout(sources.providers.deadline_seconds):
            for key in keys:
                with suppress(ProviderFailed):
                    numbers = await call_provider(sources, key, lambda one: one.search(words, kind))
                    has_answered = True
                    if numbers:
                        return numbers
    if not has_answered:
        raise UpstreamUnavailable("No provider could search just now.", retry_after_seconds=10)
    return []


async def _titles(context: Context, kind: TitleKind, numbers: Sequence[int]) -> list[Title]:
    """Our titles with these TMDb ids, in their order."""
    is_film = kind is TitleKind.MOVIE
    by_number = loaders.MovieIdByTmdbId if is_film else loaders.ShowIdByTmdbId
    ids_by_number = await context.load_many(by_number, [str(number) for number in numbers])
    title_ids = [id_ for number in numbers if (id_ := ids_by_number[str(number)]) is not None]
    titles: Mapping[str, Title | None] = await context.load_many(
        loaders.MovieById if is_film else loaders.ShowById, title_ids
    )
    return loaders.in_order(titles, title_ids)
