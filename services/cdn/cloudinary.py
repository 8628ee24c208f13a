"""Cloudinary: images fetched from where they are (/image/fetch), purged one by one.

https://cloudinary.com/documentation/fetch_remote_images and .../image_upload_api_reference#destroy:
`destroy` with invalidate=true drops a fetched image and all its variants. It knows neither our tags
nor prefixes, and keeps no answers of the API: of those nothing is asked.
"""

from __future__ import annotations

import asyncio
import base64
from functools import lru_cache
from urllib.parse import quote, urlencode

import msgspec

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
from services.http_client import HttpClient
from services.settings.settings import Settings

_AT_ONCE = 8
_PURGED_RESULTS = ("ok", "not found")
_FORMATS = {ImageFormat.JPEG: "jpg"}  # the others are named as ours
_SAFE_CHARACTERS = "/:"  # of a source's address; what would mean something here is quoted


class _Answer(msgspec.Struct):
    result: str = ""


class Cloudinary(Cdn):
    """Adapter of Cloudinary; raises StartupError where a setting is missing."""

    resizes_remote_images = True

    def __init__(self, settings: Settings, client: HttpClient) -> None:
        cloud = require_setting("CLOUDINARY_CLOUD_NAME", settings.cloudinary_cloud_name)
        base = require_address("CLOUDINARY_CDN_URL", settings.cloudinary_cdn_url)
        api = require_address("CLOUDINARY_API_URL", settings.cloudinary_api_url)
        key = require_setting("CLOUDINARY_API_KEY", settings.cloudinary_api_key)
        secret = settings.cloudinary_api_secret.get_secret_value()
        login = f"{key}:{require_setting('CLOUDINARY_API_SECRET', secret)}".encode()
        self._origin = settings.public_address
        self._base = f"{base}/{quote(cloud, safe='')}/image/fetch/"
        self._destroy_address = f"{api}/{quote(cloud, safe='')}/image/destroy"
        self._headers = {
            "Authorization": f"Basic {base64.b64encode(login).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._calls = PurgeCalls(client, "Cloudinary", settings.cdn_timeout_seconds)

    def _address(self, path: str, variant: Variant) -> str:
        """SVG scales by itself: it is drawn in pixels only if a format of pixels is asked for."""
        is_unchanged = is_svg(path) and variant.format is ImageFormat.AUTO
        options = "" if is_unchanged else _options(variant) + "/"
        return f"{self._base}{options}{quote(self._source(path), safe=_SAFE_CHARACTERS)}"

    async def purge(self, stale: StaleContent, reference: str) -> None:
        """Destroy each fetched image; tags and prefixes do not exist there. Raises PurgeFailed."""
        for batch in split_batches(map(self._source, stale.paths), _AT_ONCE):
            calls = [self._destroy(source) for source in batch]
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                if isinstance(answer, BaseException):
                    raise answer

    def _source(self, path: str) -> str:
        return path if is_absolute_url(path) else self._origin + quote_path(path)

    async def _destroy(self, source: str) -> None:
        form = {"public_id": source, "type": "fetch", "invalidate": "true"}
        status, answer = await self._calls.post(
            self._destroy_address, urlencode(form).encode(), self._headers
        )
        if status not in (200, 404) or _parse_result(answer) not in _PURGED_RESULTS:
            raise self._calls.record_failure(
                f"refused to purge ({status})", "refused", is_final=True
            )
        self._calls.count_answered()


@lru_cache(maxsize=1024)
def _options(variant: Variant) -> str:
    """c_limit: within the requested size, at the image's own aspect ratio, never enlarged."""
    size = [
        f"{name}_{value}"
        for name, value in (("w", variant.width), ("h", variant.height))
        if value is not None
    ]
    format = _FORMATS.get(variant.format, variant.format.value.lower())
    limit = ["c_limit", *size] if size else []
    return ",".join([*limit, f"q_{variant.quality}", f"f_{format}"])


def _parse_result(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=_Answer).result
    except msgspec.DecodeError:
        return ""
