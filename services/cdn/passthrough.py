"""Adapter without a purge API: the API itself, or a CDN that heeds only its headers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

from services.cdn.base import (
    DEFAULT_QUALITY,
    Cdn,
    ImageFormat,
    StaleContent,
    Variant,
    is_absolute_url,
    is_svg,
    quote_path,
)
from services.cdn.remote_images import remote_url


@dataclass(frozen=True)
class Passthrough(Cdn):
    """Adapter without a CDN: addresses are relative to whatever host the client knows us by.

    Args:
        base: path that the API is reached under, without a slash at its end; mostly empty.
    """

    base: str
    can_purge = False

    def _address(self, path: str, variant: Variant) -> str:
        if is_absolute_url(path):
            return remote_url(path, variant.width)
        return self.base + quote_path(path) + ("" if is_svg(path) else build_query(variant))

    async def purge(self, stale: StaleContent, reference: str) -> None:
        """Do nothing: caches in front hold answers only as long as headers allow."""


@lru_cache(maxsize=1024)
def build_query(variant: Variant) -> str:
    """Build the query of a variant, without the defaults."""
    parameters = {
        "w": variant.width,
        "h": variant.height,
        "q": variant.quality if variant.quality != DEFAULT_QUALITY else None,
        "f": variant.format.value.lower() if variant.format is not ImageFormat.AUTO else None,
    }
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"?{query}" if query else ""
