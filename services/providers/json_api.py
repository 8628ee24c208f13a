"""A provider that answers JSON: GET {base_url}/sources?tmdb=..&imdb=..&title_id=..

Of an episode the ids are its show's, with type=tv, season and episode. Its key travels in a header,
never in an address, an error or a log.
"""

from __future__ import annotations

from collections.abc import Collection

from services.http_client import HttpClient
from services.providers import http_json
from services.providers.base import (
    Provider,
    ProviderInfo,
    Source,
    SupportedHint,
    TitleKind,
    TitleRef,
)
from services.providers.http_json import Upstream


class JsonApi(Provider):
    """Provider behind GET {base_url}/sources.

    Raises:
        StartupError: `base_url` is not an address.
    """

    def __init__(
        self,
        info: ProviderInfo,
        client: HttpClient,
        base_url: str,
        api_key: str | None = None,
        supported_hints: Collection[SupportedHint] = (),
    ) -> None:
        super().__init__(info)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._upstream = Upstream(client, base_url, headers=headers)
        self._key = api_key
        self.supported_hints = frozenset(supported_hints)

    async def sources(self, title: TitleRef) -> list[Source]:
        """List the sources in its answer; raises as Provider.sources does."""
        body = await self._upstream.get("sources", self._query(title))
        return http_json.read_sources(self, body, secret=self._key) if body is not None else []

    def _query(self, title: TitleRef) -> dict[str, str]:
        query = {"title_id": title.id, **http_json.title_query(title)}
        if title.kind is TitleKind.MOVIE:
            del query["type"]  # the default of that API
        if title.imdb_id is not None:
            query["imdb"] = title.imdb_id
        if title.language is not None and SupportedHint.LANGUAGE in self.supported_hints:
            query["language"] = title.language
        if title.max_quality is not None and SupportedHint.MAX_QUALITY in self.supported_hints:
            query["max_quality"] = f"{title.max_quality.height}p"
        return query
