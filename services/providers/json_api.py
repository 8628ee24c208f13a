"""A provider that answers JSON: GET {base_url}/sources?tmdb=..&imdb=..&title_id=..

Its key travels in a header, never in an address, an error or a log. Its answer is not trusted:
capped, not followed elsewhere, checked item by item; only http(s) addresses get through.
"""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

import httpx
import msgspec

from services.errors import ProviderFailed, StartupError
from services.http_client import HttpClient
from services.providers.base import Provider, ProviderInfo, Source, SourceType, Subtitle, TitleRef
from services.quality import Quality

MAX_BODY_BYTES = 256 * 1024
_MAX_SOURCES = 100
_MAX_SUBTITLES = 50
_NOT_THERE = (204, 404)

_Address = Annotated[
    str, msgspec.Meta(pattern=r"\A(?i:https?)://[^\s/?#@]+(?:[/?#]\S*)?\Z", max_length=2048)
]
_LANGUAGE = r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*"  # the shape of BCP 47 tags
_Language = Annotated[str, msgspec.Meta(pattern=rf"\A{_LANGUAGE}\Z")]
_HEIGHT = {str(quality.height): quality for quality in Quality if quality.height} | {
    "4k": Quality.P2160,
    "uhd": Quality.P2160,
}

V = TypeVar("V")


class _Track(msgspec.Struct):
    language: _Language
    url: _Address
    label: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class _Item(msgspec.Struct):
    url: _Address
    type: str = "embed"
    quality: str | None = None
    language: str | None = None
    status: str = "active"
    subtitles: list[msgspec.Raw] = []


class _Answer(msgspec.Struct):
    sources: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=_MAX_SOURCES)]


_answers = msgspec.json.Decoder(_Answer)
_items = msgspec.json.Decoder(_Item)
_tracks = msgspec.json.Decoder(_Track)


class JsonApi(Provider):
    """
    Raises:
        StartupError: `base_url` is not an address.
    """

    def __init__(
        self, info: ProviderInfo, client: HttpClient, base_url: str, api_key: str | None = None
    ) -> None:
        super().__init__(info)
        self._client = client
        self._url = _address(base_url)
        # Not compressed: what is counted is then what is held in memory.
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def sources(self, title: TitleRef) -> list[Source]:
        body = await self._ask(title)
        return self._read(body) if body is not None else []

    async def _ask(self, title: TitleRef) -> bytes | None:
        """The answer's body; None when the provider says that it does not have the title."""
        try:
            async with self._client.stream(
                "GET", self._url, params=_query(title), headers=self._headers
            ) as response:
                if response.status_code in _NOT_THERE:
                    return None
                _check(response)
                return await _capped(response)
        except httpx.TimeoutException:
            raise TimeoutError from None
        except httpx.HTTPError as error:
            # Not chained: the library's error can hold the request with its headers.
            reason = (
                "CONNECTION_FAILED" if isinstance(error, httpx.ConnectError) else "BROKEN_ANSWER"
            )
            raise ProviderFailed(reason) from None

    def _read(self, body: bytes) -> list[Source]:
        try:
            raws = _answers.decode(body).sources
        except msgspec.ValidationError:
            raise ProviderFailed("WRONG_SHAPE") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ProviderFailed("MALFORMED_JSON") from None
        found = [source for item in _valid(_items, raws) if (source := self._source(item))]
        if raws and not found:
            raise ProviderFailed("NO_USABLE_SOURCE")
        return found

    def _source(self, item: _Item) -> Source | None:
        """None for a kind of source that no player of ours could open."""
        name = item.type.upper()
        if name not in SourceType.__members__:
            return None
        tracks = _valid(_tracks, item.subtitles[:_MAX_SUBTITLES])
        return self.source(
            item.url,
            SourceType[name],
            _quality(item.quality),
            language=_language(item.language),
            subtitles=tuple(Subtitle(track.language, track.url, track.label) for track in tracks),
            is_working=item.status == "active",
        )


def _address(base_url: str) -> httpx.URL:
    try:
        address = httpx.URL(base_url.rstrip("/") + "/sources")
    except httpx.InvalidURL:
        raise StartupError("base_url is not an address") from None
    if (address.port or 0) > 65535:
        raise StartupError("base_url has an impossible port")
    return address


def _query(title: TitleRef) -> dict[str, str]:
    ids = {"tmdb": title.tmdb_id, "imdb": title.imdb_id, "title_id": title.id}
    return {name: str(value) for name, value in ids.items() if value is not None}


def _check(response: httpx.Response) -> None:
    if response.status_code != 200:
        raise ProviderFailed(f"HTTP_{response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProviderFailed("ENCODED_BODY")


async def _capped(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ProviderFailed("BODY_TOO_LARGE")
    return bytes(body)


def _valid(decoder: msgspec.json.Decoder[V], raws: list[msgspec.Raw]) -> list[V]:
    """One bad entry loses itself, not its neighbours."""
    good = []
    for raw in raws:
        try:
            good.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return good


def _quality(text: str | None) -> Quality:
    return _HEIGHT.get((text or "").casefold().removesuffix("p"), Quality.UNKNOWN)


def _language(text: str | None) -> str | None:
    return text if text and re.fullmatch(_LANGUAGE, text) else None
