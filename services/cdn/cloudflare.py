"""Cloudflare: images by /cdn-cgi/image, purging by address, tag and prefix (any plan).

https://developers.cloudflare.com/images/transform-images/transform-via-url/ and
https://developers.cloudflare.com/cache/how-to/purge-cache/: 30 tags or prefixes a call, 30
addresses (500 on Enterprise); an original's address stands for its variants. It resizes no SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from services.cdn.base import (
    Cdn,
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

_PER_CALL = 30  # tags, or prefixes
# https://developers.cloudflare.com/cache/how-to/purge-cache/purge-by-tags/: 16 KB of Cache-Tag
_TAGS = TagRules(b"cache-tag", ",", most_tags=1_000, most_bytes=16_000)


class _Answer(msgspec.Struct):
    success: bool = False


class Cloudflare(Cdn):
    """Adapter of Cloudflare; raises StartupError where a setting is missing."""

    tag_rules = _TAGS

    def __init__(self, settings: Settings, client: HttpClient) -> None:
        token = settings.cloudflare_api_key.get_secret_value()
        zone = require_setting("CLOUDFLARE_ZONE_ID", settings.cloudflare_zone_id)
        api = require_address("CLOUDFLARE_API_URL", settings.cloudflare_api_url)
        self._base = require_address("CLOUDFLARE_CDN_URL", settings.cloudflare_cdn_url)
        self._purge_address = f"{api}/zones/{zone}/purge_cache"
        self._headers = {
            "Authorization": f"Bearer {require_setting('CLOUDFLARE_API_KEY', token)}",
            "Content-Type": "application/json",
        }
        self._files_per_call = settings.cloudflare_files_per_purge
        self._calls = PurgeCalls(client, "Cloudflare", settings.cdn_timeout_seconds)

    def _address(self, path: str, variant: Variant) -> str:
        """One from elsewhere keeps its sizes: a zone resizes its own images alone, unless told."""
        if is_absolute_url(path):
            return remote_url(path, variant.width)
        if is_svg(path):
            return self._base + quote_path(path)
        return f"{self._base}/cdn-cgi/image/{_options(variant)}{quote_path(path)}"

    async def purge(self, stale: StaleContent, reference: str) -> None:
        """Purge files, tags and prefixes, one call a batch; raises PurgeFailed."""
        files = [self._base + quote_path(path) for path in stale.paths if not is_absolute_url(path)]
        for batch in split_batches(files, self._files_per_call):
            await self._purge_items("files", batch)
        for batch in split_batches(_TAGS.purge_forms(stale.tags), _PER_CALL):
            await self._purge_items("tags", batch)
        host = self._base.partition("://")[2]
        prefixes = [(host + quote_path(prefix)).rstrip("/") for prefix in stale.prefixes]
        for batch in split_batches(prefixes, _PER_CALL):
            await self._purge_items("prefixes", batch)

    async def _purge_items(self, kind: str, items: Sequence[str]) -> None:
        body = msgspec.json.encode({kind: items})
        status, answer = await self._calls.post(self._purge_address, body, self._headers)
        if status != 200 or not _succeeded(answer):
            raise self._calls.record_failure(
                f"refused to purge ({status})", "refused", is_final=True
            )
        self._calls.count_answered()


@lru_cache(maxsize=1024)
def _options(variant: Variant) -> str:
    """Quality is always named: Cloudflare's own default is another one than ours."""
    options = {
        "width": variant.width,
        "height": variant.height,
        "quality": variant.quality,
        "format": variant.format.value.lower(),
    }
    return ",".join(f"{name}={value}" for name, value in options.items() if value is not None)


def _succeeded(answer: bytes) -> bool:
    try:
        return msgspec.json.decode(answer, type=_Answer).success
    except msgspec.DecodeError:
        return False
