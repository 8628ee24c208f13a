"""TMDb's API, version 3, as typed calls: details, search, discovery, genres, changes.

Off without a key. What TMDb does not have is None; an answer without its required values, or of
another title, is UnreadableAnswer naming the path, never the body. Requests:
services/tmdb/requests.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import TypeVar

from services import http_client
from services.errors import StartupError, UpstreamUnavailable
from services.http_client import is_web_address
from services.settings.settings import Settings
from services.tmdb.decoding import decode
from services.tmdb.requests import MAX_BODY_BYTES, Query, Requests
from services.tmdb.types import (
    ChangedTitles,
    Configuration,
    Genres,
    MovieDetails,
    NamedId,
    Page,
    SeasonDetails,
    ShowDetails,
    TitleDetails,
    TmdbKind,
)

T = TypeVar("T")
D = TypeVar("D", bound=TitleDetails)
MAX_PAGE = 500  # of any list; TMDb refuses more
_APPENDED = {"append_to_response": "credits,external_ids,similar"}
_NO_QUERY: Query = {}
_SEASON_BODY_BYTES = 32 * 1024 * 1024  # daily shows have 1,500 episodes a season


class UnreadableAnswer(UpstreamUnavailable):
    """Error of an answer that is not what was asked for: asking again does not help."""


class Tmdb:
    """Client of TMDb's API, one object per process; every call raises UpstreamUnavailable."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    @property
    def is_on(self) -> bool:
        """Say whether there is a key."""
        return self._requests.is_on

    def require_key(self) -> None:
        """Refuse to work without a key.

        Raises:
            UpstreamUnavailable: there is none.
        """
        self._requests.require_key()

    async def configuration(self) -> Configuration:
        """Get the sizes and base address of images."""
        return await self._require("/configuration", Configuration)

    async def movie(self, number: int) -> MovieDetails | None:
        """Get a film with credits, external ids and similar titles; None: no such film."""
        path = f"/movie/{number}"
        return _require_number(await self._get(path, MovieDetails, _APPENDED), number, path)

    async def show(self, number: int) -> ShowDetails | None:
        """Get a show with credits, external ids and similar titles; None: no such show."""
        path = f"/tv/{number}"
        return _require_number(await self._get(path, ShowDetails, _APPENDED), number, path)

    async def season(self, show_number: int, number: int) -> SeasonDetails | None:
        """Get one season with its episodes; None: no such season."""
        path = f"/tv/{show_number}/season/{number}"
        season = await self._get(path, SeasonDetails, {}, _SEASON_BODY_BYTES)
        if season is not None and season.season_number != number:
            raise UnreadableAnswer(f"TMDb answered with season {season.season_number} ({path}).")
        return season

    async def genres(self, kind: TmdbKind) -> list[NamedId]:
        """List the genres of films or of shows."""
        return (await self._require(f"/genre/{kind.value}/list", Genres)).genres

    async def search(self, kind: TmdbKind, text: str, page: int = 1) -> Page:
        """Search titles by text."""
        return await self._require(f"/search/{kind.value}", Page, _build_search(text, page))

    async def search_people(self, text: str, page: int = 1) -> Page:
        """Search people by text."""
        return await self._require("/search/person", Page, _build_search(text, page))

    async def trending(self, kind: TmdbKind, page: int = 1) -> Page:
        """List the week's most watched titles."""
        return await self._require(f"/trending/{kind.value}/week", Page, {"page": page})

    async def discover(self, kind: TmdbKind, page: int = 1, **filters: str | int) -> Page:
        """List titles by TMDb's filters, with `__` for the dot: vote_count__gte=300."""
        own = {name.replace("__", "."): value for name, value in filters.items()}
        query: Query = {"page": page, "include_adult": "false", **own}
        return await self._require(f"/discover/{kind.value}", Page, query)

    async def changes(self, kind: TmdbKind, start: date, end: date, page: int = 1) -> ChangedTitles:
        """List the numbers of titles changed from `start` to `end`, at most 14 days."""
        query: Query = {
            "start_date": start.isoformat(),
            "end_date": end.isoformat(),
            "page": page,
        }
        return await self._require(f"/{kind.value}/changes", ChangedTitles, query)

    async def _require(self, path: str, kind: type[T], query: Query = _NO_QUERY) -> T:
        answer = await self._get(path, kind, query)
        if answer is None:
            raise UpstreamUnavailable(f"TMDb answered 404 ({path}): look at TMDB_BASE_URL.")
        return answer

    async def _get(
        self, path: str, kind: type[T], query: Query, most_bytes: int = MAX_BODY_BYTES
    ) -> T | None:
        body = await self._requests.get(path, query, most_bytes)
        if body is None:
            return None
        try:
            return decode(body, kind)
        except ValueError:
            # Not chained: the library tells which part of the body is wrong.
            raise UnreadableAnswer(f"TMDb's answer makes no sense ({path}).") from None


def _require_number(details: D | None, number: int, path: str) -> D | None:
    if details is not None and details.id != number:
        raise UnreadableAnswer(f"TMDb answered with the title {details.id} ({path}).")
    return details


def _build_search(text: str, page: int) -> Query:
    return {"query": text, "page": page, "include_adult": "false"}


def parse_base_url(settings: Settings) -> str:
    """Read TMDB_BASE_URL, without a slash at its end.

    Raises:
        StartupError: it is no address.
    """
    if not is_web_address(settings.tmdb_base_url):
        raise StartupError("TMDB_BASE_URL is not an address that starts with https://.")
    return settings.tmdb_base_url.rstrip("/")


@asynccontextmanager
async def open_tmdb(settings: Settings) -> AsyncIterator[Tmdb]:
    """Open a client with its own HTTP connections.

    Raises:
        StartupError: TMDB_BASE_URL is no address.
    """
    base_url = parse_base_url(settings)
    async with http_client.connect(settings.tmdb_timeout_seconds) as client:
        yield Tmdb(
            Requests(
                client,
                base_url,
                settings.tmdb_api_key.get_secret_value().strip(),
                deadline_seconds=settings.tmdb_deadline_seconds,
            )
        )
