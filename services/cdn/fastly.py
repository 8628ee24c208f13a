"""Fastly: images by its optimizer's query, purging by surrogate key and by address.

https://www.fastly.com/documentation/reference/api/purging/: 256 keys a call; a soft purge marks
what is cached as stale, so that a visitor gets it at once while it is fetched anew. It knows no
prefixes: everything goes instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from services.cdn.base import (
    Cdn,
    ImageFormat,
    StaleContent,
    Variant,
    is_absolute_url,
    is_svg,
    quote_path,
    require_address,
    require_setting,
    split_batches,
)
from services.cdn.calls import PurgeCalls
from services.cdn.remote_images import remote_url
from services.cdn.tags import TagRules
from services.http_client import HttpClient
from services.settings.settings import Settings

_PER_CALL = 256
_SOFT = {"Fastly-Soft-Purge": "1"}
_FORMATS = {ImageFormat.JPEG: "jpg"}  # the others are named as ours
# https://www.fastly.com/documentation/guides/full-site-delivery/purging/working-with-surrogate-keys
_TAGS = TagRules(b"surrogate-key", " ", most_tags=4_000, most_bytes=16_000)


class Fastly(Cdn):
    """Adapter of Fastly; raises StartupError where a setting is missing."""

    tag_rules = _TAGS

    def __init__(self, settings: Settings, client: HttpClient) -> None:
        token = require_setting("FASTLY_API_TOKEN", settings.fastly_api_token.get_secret_value())
        service = require_setting("FASTLY_SERVICE_ID", settings.fastly_service_id)
        self._api = require_address("FASTLY_API_URL", settings.fastly_api_url)
        self._base = require_address("FASTLY_CDN_URL", settings.fastly_cdn_url)
        self._service_address = f"{self._api}/service/{service}"
        self._headers = {
            "Fastly-Key": token,
            "Accept": "application/json",
        }
        self._calls = PurgeCalls(client, "Fastly", settings.cdn_timeout_seconds)

    def _address(self, path: str, variant: Variant) -> str:
        if is_absolute_url(path):
            return remote_url(path, variant.width)
        return self._base + quote_path(path) + ("" if is_svg(path) else _build_query(variant))

    async def purge(self, stale: StaleContent, reference: str) -> None:
        """Purge tags, addresses, or all of the service for a prefix; raises PurgeFailed."""
        if stale.prefixes:  # all that is cached: nothing else has to be named
            await self._call(f"{self._service_address}/purge_all", {})
            return
        for keys in split_batches(_TAGS.purge_forms(stale.tags), _PER_CALL):
            named = {"Surrogate-Key": " ".join(keys)}
            await self._call(f"{self._service_address}/purge", _SOFT | named)
        host = self._base.partition("://")[2]
        for path in sorted(stale.paths):
            if not is_absolute_url(path):
                await self._call(f"{self._api}/purge/{host}{quote_path(path)}", _SOFT)

    async def _call(self, address: str, headers: Mapping[str, str]) -> None:
        status, _ = await self._calls.post(address, b"", {**self._headers, **headers})
        if status != 200:
            raise self._calls.record_failure(
                f"refused to purge ({status})", "refused", is_final=True
            )
        self._calls.count_answered()


def _build_query(variant: Variant) -> str:
    """Quality is always named: the optimizer's own default is another one than ours."""
    options: dict[str, object] = {
        "width": variant.width,
        "height": variant.height,
        "quality": variant.quality,
    }
    if variant.format is ImageFormat.AUTO:
        options["auto"] = "avif,webp"
    else:
        options["format"] = _FORMATS.get(variant.format, variant.format.value.lower())
    return "?" + urlencode({name: value for name, value in options.items() if value is not None})
