"""The loader of search: which things match, best first, across their kinds."""

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


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One page: `size` hits after a position; `words` are of `models.plain_words`."""

    words: str
    kinds: tuple[models.SearchKind, ...]
    filter: models.MovieFilter
    size: int
    after: models.SearchHit | None = None

    def key(self) -> str:
        return hashlib.blake2b(repr(self).encode(), digest_size=16).hexdigest()


class SearchPageByQuery(QueryLoader[list[models.SearchHit], SearchQuery]):
    """One hit more than asked for, if there is more. Kept for a minute; one command a kind."""

    kind = cache_keys.SEARCH
    codec = Codec(list[models.SearchHit])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[models.SearchHit]]:
        pages = await asyncio.gather(*(_page(self._questions[key]) for key in keys))
        return dict(zip(keys, pages, strict=True))


async def _page(query: SearchQuery) -> list[models.SearchHit]:
    """The best of each kind, merged: no kind can have more of the page than its own best ones."""
    wanted = query.size + 1
    found = await asyncio.gather(
        *(
            models.search_kind(kind, query.words, query.filter, query.after, wanted)
            for kind in query.kinds
        )
    )
    return sorted(chain.from_iterable(found), key=lambda hit: (-hit.score, hit.id))[:wanted]
