"""Loaders of search: hits across several kinds, best first."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import models
from loaders.base import Fields
from loaders.query_loader import QueryLoader
from services.cache.cache import Codec
from services.redis import cache_keys


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched: folded words, kinds and a filter; deep for the hits far behind.

    `is_word_ended` is for suggestions: the last word is not a beginning.
    """

    words: tuple[str, ...]
    kinds: tuple[models.SearchKind, ...]
    filter: models.MovieFilter = field(default_factory=models.MovieFilter)
    is_deep: bool = False
    is_word_ended: bool = False

    def key(self) -> str:
        """Digest that is the same for the same search."""
        return hashlib.blake2b(repr(self).encode(), digest_size=16).hexdigest()


class SearchHitsByQuery(QueryLoader[models.SearchHits, SearchQuery]):
    """All hits of a search, whichever page is read. Cached a minute."""

    kind = cache_keys.SEARCH
    codec = Codec(models.SearchHits)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.SearchHits]:
        """Run each search."""
        found = await asyncio.gather(*(_search(self._queries[key]) for key in keys))
        return dict(zip(keys, found, strict=True))


class SuggestionsByQuery(QueryLoader[list[models.SearchHit], SearchQuery]):
    """What begins as the words do. Cached a minute."""

    kind = cache_keys.SUGGESTIONS
    codec = Codec(list[models.SearchHit])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[models.SearchHit]]:
        """Look up each beginning."""
        queries = [self._queries[key] for key in keys]
        found = await asyncio.gather(
            *(
                models.suggest_names(each.words, each.kinds, is_word_ended=each.is_word_ended)
                for each in queries
            )
        )
        return dict(zip(keys, found, strict=True))


async def _search(query: SearchQuery) -> models.SearchHits:
    return await models.search_names(query.words, query.kinds, query.filter, is_deep=query.is_deep)
