"""The loader of search: hits across several kinds, best first."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import models
from loaders.base import Fields
from loaders.query_loader import QueryLoader
from services.cache.cache import Codec
from services.redis import cache_keys

__all__ = ["SearchPageByQuery", "SearchQuery"]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One page: `size` hits after a position; `words` as `models.plain_words` returns them."""

    words: str
    kinds: tuple[models.SearchKind, ...]
    filter: models.MovieFilter
    size: int
    after: models.SearchHit | None = None

    def key(self) -> str:
        """Digest that is the same for the same page."""
        return hashlib.blake2b(repr(self).encode(), digest_size=16).hexdigest()


class SearchPageByQuery(QueryLoader[list[models.SearchHit], SearchQuery]):
    """Hits of a page, plus one if more follow. Cached a minute; one command per kind."""

    kind = cache_keys.SEARCH
    codec = Codec(list[models.SearchHit])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[models.SearchHit]]:
        """Search all kinds of all pages."""
        pages = await asyncio.gather(*(_page(self._queries[key]) for key in keys))
        return dict(zip(keys, pages, strict=True))


async def _page(query: SearchQuery) -> list[models.SearchHit]:
    """Merge the best hits of each kind; none can have more of the page than its own best."""
    limit = query.size + 1
    hits_by_kind = await asyncio.gather(
        *(
            models.search_kind(kind, query.words, query.filter, query.after, limit)
            for kind in query.kinds
        )
    )
    return sorted(chain.from_iterable(hits_by_kind), key=lambda hit: (-hit.score, hit.id))[:limit]
