"""VidKing, as its interface was described to us: /source, /embed, /search and /status.

Its key travels in the query, which is all that interface knows; therefore no address of ours, no
error and no text of an answer that holds it is ever logged, kept or told.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from services.errors import ProviderFailed
from services.http_client import HttpClient
from services.providers import http_json
from services.providers.base import (
    Availability,
    Provider,
    ProviderInfo,
    Source,
    TitleKind,
    TitleRef,
)
from services.providers.http_json import HttpAddress, Upstream

KEY = "vidking"
_MAX_MESSAGE = 200
_ONLINE = "online"


class _Embed(msgspec.Struct):
    embed_url: HttpAddress | None = None


class _Results(msgspec.Struct):
    results: list[msgspec.Raw] | None = None


class _Result(msgspec.Struct):
    """What holds TMDb's number is not described: one of these does."""

    tmdb_id: Any = None
    tmdb: Any = None
    id: Any = None

    @property
    def number(self) -> int | None:
        for value in (self.tmdb_id, self.tmdb, self.id):
            if value is not None and re.fullmatch(r"[1-9][0-9]{0,8}", str(value)):
                return int(str(value))
        return None


class _RateLimit(msgspec.Struct):
    remaining: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None = None


class _Status(msgspec.Struct):
    status: str
    message: Any = None
    rate_limit: Any = None


_embeds = msgspec.json.Decoder(_Embed)
_results = msgspec.json.Decoder(_Results)
_result = msgspec.json.Decoder(_Result)
_statuses = msgspec.json.Decoder(_Status)


class VidKing(Provider):
    """Provider of sources, player pages, search and status.

    Raises:
        StartupError: `base_url` is not an address.
    """

    embeds = True
    searches = True
    tells_status = True

    def __init__(
        self, info: ProviderInfo, client: HttpClient, base_url: str, api_key: str | None = None
    ) -> None:
        super().__init__(info)
        self._key = api_key
        self._upstream = Upstream(client, base_url, query={"api_key": api_key} if api_key else {})

    async def sources(self, title: TitleRef) -> list[Source]:
        """List the sources in its answer; one works if its status says `active`."""
        body = await self._request("source", title)
        if body is None:
            return []
        return http_json.read_sources(self, body, default_status="", secret=self._key)

    async def embed(self, title: TitleRef) -> str | None:
        """Get the player page; raises as Provider.sources does."""
        body = await self._request("embed", title)
        if body is None:
            return None
        address = http_json.decode_body(_embeds, body).embed_url
        if address is not None and http_json.has_secret(self._key, address):
            raise ProviderFailed("NO_USABLE_SOURCE")
        return address

    async def search(self, query: str, kind: TitleKind) -> list[int]:
        """Search for titles: TMDb's numbers, each once."""
        body = await self._upstream.get("search", {"query": query, "type": kind.value})
        if body is None:
            return []
        raws = (http_json.decode_body(_results, body).results or [])[: http_json.MAX_ITEMS]
        numbers = (result.number for result in http_json.decode_valid(_result, raws))
        return list(dict.fromkeys(number for number in numbers if number is not None))

    async def status(self) -> Availability:
        """Ask for its status, with the calls that its rate limit leaves."""
        body = await self._upstream.get("status", {})
        if body is None:
            raise ProviderFailed("HTTP_404")
        report = http_json.decode_body(_statuses, body)
        return Availability(
            report.status.casefold() == _ONLINE,
            self._clean_message(report.message),
            _parse_remaining_calls(report.rate_limit),
        )

    async def _request(self, path: str, title: TitleRef) -> bytes | None:
        """None also for a title without a number of TMDb's: it knows no other."""
        if title.tmdb_id is None:
            return None
        return await self._upstream.get(path, http_json.title_query(title))

    def _clean_message(self, message: object) -> str | None:
        """The provider's words on one line, cut short; none if they hold the key."""
        if not isinstance(message, str) or http_json.has_secret(self._key, message):
            return None
        words = "".join(c if c.isprintable() else " " for c in message).split()
        return " ".join(words)[:_MAX_MESSAGE] or None


def _parse_remaining_calls(rate_limit: object) -> int | None:
    """Number of calls that remain, from a number or {"remaining": number}."""
    report = rate_limit if isinstance(rate_limit, dict) else {"remaining": rate_limit}
    try:
        return msgspec.convert(report, _RateLimit).remaining
    except msgspec.ValidationError:
        return None
