"""Client of providers that answer JSON: one bounded GET, sources decoded one by one.

No answer is trusted: capped, not followed elsewhere, only http(s) addresses get through. Nothing of
a request (its key may be in the query) or of an answer reaches an error or a log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, TypeVar

import httpx
import msgspec

from services.errors import ProviderFailed, StartupError
from services.http_client import HttpClient
from services.providers.base import Provider, Source, SourceType, Subtitle, TitleKind, TitleRef
from services.quality import Quality
from services.retries import parse_retry_after
from services.text.language_tags import normalize_case

MAX_BODY_BYTES = 256 * 1024
MAX_ITEMS = 100
_MAX_SUBTITLES = 50
_NOT_FOUND_STATUSES = (204, 404)

HttpAddress = Annotated[
    str, msgspec.Meta(pattern=r"\A(?i:https?)://[^\s/?#@]+(?:[/?#]\S*)?\Z", max_length=2048)
]
_LANGUAGE = r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*"  # the shape of BCP 47 tags
_Language = Annotated[str, msgspec.Meta(pattern=rf"\A{_LANGUAGE}\Z")]
_HEIGHT = {str(quality.height): quality for quality in Quality if quality.height} | {
    "4k": Quality.P2160,
    "uhd": Quality.P2160,
}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_LABEL = 100

V = TypeVar("V")


class _Track(msgspec.Struct):
    language: _Language
    url: HttpAddress
    label: Any = None


class _Item(msgspec.Struct):
    """One entry: whatever is optional may be of any type, and then counts as not told."""

    url: HttpAddress
    type: Any = None
    quality: Any = None
    language: Any = None
    status: Any = None
    subtitles: Any = None


class _Answer(msgspec.Struct):
    sources: list[msgspec.Raw] | None


_answers = msgspec.json.Decoder(_Answer)
_items = msgspec.json.Decoder(_Item)


class Upstream:
    """One provider's address, and the headers or the key in the query of every request.

    Raises:
        StartupError: `base_url` is not an address.
    """

    def __init__(
        self,
        client: HttpClient,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._base = base_url.rstrip("/")
        # Not compressed: then the counted bytes are those in memory.
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        self._headers |= headers or {}
        self._query = dict(query or {})
        _validate_address(self._base)

    async def get(self, path: str, query: Mapping[str, str]) -> bytes | None:
        """Fetch the body of one answer; None when the provider answers "not found".

        Raises:
            ProviderFailed, TimeoutError.
        """
        url, params = f"{self._base}/{path}", {**query, **self._query}
        try:
            async with self._client.stream(
                "GET", url, params=params, headers=self._headers
            ) as response:
                if response.status_code in _NOT_FOUND_STATUSES:
                    return None
                _validate_response(response)
                return await _read_limited(response)
        except httpx.TimeoutException:
            raise TimeoutError from None
        except httpx.HTTPError as error:
            # Not chained: the library's error can hold the request with its headers and query.
            reason = (
                "CONNECTION_FAILED" if isinstance(error, httpx.ConnectError) else "BROKEN_ANSWER"
            )
            raise ProviderFailed(reason) from None


def title_query(title: TitleRef) -> dict[str, str]:
    """Build the query of a film, or of an episode, as the documented APIs have it."""
    query = {"type": title.kind.value}
    if title.tmdb_id is not None:
        query["tmdb"] = str(title.tmdb_id)
    if title.kind is TitleKind.TV and title.season is not None and title.episode is not None:
        query |= {"season": str(title.season), "episode": str(title.episode)}
    return query


def decode_body(decoder: msgspec.json.Decoder[V], body: bytes) -> V:
    """Decode a whole answer; a byte order mark in front is skipped (RFC 8259, 8.1).

    Raises:
        ProviderFailed: it is no JSON, or not of this shape.
    """
    try:
        return decoder.decode(body.removeprefix(_BYTE_ORDER_MARK))
    except msgspec.ValidationError:
        raise ProviderFailed("WRONG_SHAPE") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProviderFailed("MALFORMED_JSON") from None


def read_sources(
    provider: Provider, body: bytes, *, default_status: str = "active", secret: str | None = None
) -> list[Source]:
    """Decode an answer's usable sources, of the first 100; one that repeats `secret` is not usable.

    Raises:
        ProviderFailed: the answer is no list of sources, or none of them is usable.
    """
    raws = (decode_body(_answers, body).sources or [])[:MAX_ITEMS]
    items = [item for item in decode_valid(_items, raws) if not has_secret(secret, item.url)]
    sources = [one for item in items if (one := _source(provider, item, default_status, secret))]
    if raws and not sources:
        raise ProviderFailed("NO_USABLE_SOURCE")
    return sources


def decode_valid(decoder: msgspec.json.Decoder[V], raws: list[msgspec.Raw]) -> list[V]:
    """Decode entries one by one and skip the invalid ones."""
    valid_items = []
    for raw in raws:
        try:
            valid_items.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return valid_items


def has_secret(secret: str | None, text: str) -> bool:
    """Say whether the text holds the key, plain or URL-encoded."""
    if not secret:
        return False
    return secret in text or str(httpx.QueryParams({"k": secret}))[2:] in text


def _source(
    provider: Provider, item: _Item, default_status: str, secret: str | None
) -> Source | None:
    """None for a kind of source that no player of ours could open."""
    name = (_text(item.type) or "embed").upper()
    if name not in SourceType.__members__:
        return None
    return provider.source(
        item.url,
        SourceType[name],
        _quality(item.quality),
        language=_language(item.language),
        subtitles=tuple(_subtitles(item.subtitles, secret)),
        is_working=(_text(item.status) or default_status) == "active",
    )


def _subtitles(entries: object, secret: str | None) -> Iterator[Subtitle]:
    """The usable tracks; what is no list has none."""
    for entry in entries[:_MAX_SUBTITLES] if isinstance(entries, list) else ():
        with suppress(msgspec.ValidationError):
            track = msgspec.convert(entry, _Track)
            label = _text(track.label)
            label = label if label and len(label) <= _MAX_LABEL else None
            if not has_secret(secret, f"{track.url} {label}"):
                yield Subtitle(normalize_case(track.language), track.url, label)


def _validate_address(base_url: str) -> None:
    try:
        address = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise StartupError("base_url is not an address") from None
    if (address.port or 0) > 65535:
        raise StartupError("base_url has an impossible port")


def _validate_response(response: httpx.Response) -> None:
    if response.status_code != 200:
        seconds = parse_retry_after(response.headers.get("retry-after"))
        raise ProviderFailed(f"HTTP_{response.status_code}", retry_after_seconds=seconds)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProviderFailed("ENCODED_BODY")


async def _read_limited(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ProviderFailed("BODY_TOO_LARGE")
    return bytes(body)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _quality(value: object) -> Quality:
    """Read 1080, 1080.0, "1080p" or "4K"; anything else is unknown."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip().casefold() if isinstance(value, (int, str)) else ""
    return _HEIGHT.get(text.removesuffix("p"), Quality.UNKNOWN)


def _language(value: object) -> str | None:
    text = _text(value)
    return normalize_case(text) if text and re.fullmatch(_LANGUAGE, text) else None
